//! Configurations of the server.
//!
//! What must hold: no panic. One that is refused is refused with one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_server::fuzzing::configuration;

fuzz_target!(|input: &str| configuration(input));
