//! Configurations of the server.
//!
//! What must hold: no panic. One that is refused is refused with one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_server::fuzzing::configuration;

fuzz_target!(|input: &[u8]| {
    // A file that is not UTF-8 is refused unread, so of such an input the beginning is taken.
    configuration(input.utf8_chunks().next().map_or("", |chunk| chunk.valid()));
});
