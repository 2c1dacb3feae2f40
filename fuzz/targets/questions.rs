//! Requests to the HTTP interface: the request line, headers, an empty line and a body.
//!
//! What must hold: no panic, and no answer that tells of a failure of the server. Answers are of
//! the type that they declare; errors are problem documents; text has no control characters. A
//! build that is registered can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_server::fuzzing::Questions;
use std::sync::{LazyLock, Mutex};

static QUESTIONS: LazyLock<Mutex<Questions>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory").keep();
    Mutex::new(Questions::new(&directory))
});

fuzz_target!(|input: &[u8]| QUESTIONS.lock().expect("one thread").ask(input));
