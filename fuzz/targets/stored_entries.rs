//! Events as they lie in the queue and in what is kept of jobs.
//!
//! What must hold: no panic. An entry that is read is written as it was; its document is JSON; what
//! is kept of its program is read as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_server::fuzzing::{StoredEntries, stored_program};
use std::sync::LazyLock;

static ENTRIES: LazyLock<StoredEntries> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory").keep();
    StoredEntries::new(&directory)
});

fuzz_target!(|input: &[u8]| {
    ENTRIES.read(input);
    stored_program(input);
});
