//! What is generated from `ogrt.proto` is committed; this holds it against a fresh generation.
//!
//! After a change to `ogrt.proto`: `OGRT_GENERATE=1 cargo test -p ogrt-proto --test generated`.

use prost_build::Config;
use std::{env, fs, path::Path};

#[test]
fn messages_are_those_of_ogrt_proto() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    let descriptors = protox::compile([here.join("ogrt.proto")], [here]).unwrap();
    Config::new().bytes(["."]).out_dir(fresh.path()).compile_fds(descriptors).unwrap();
    let generated = fs::read_to_string(fresh.path().join("ogrt.rs")).unwrap();
    let committed = here.join("src/messages.rs");
    if env::var_os("OGRT_GENERATE").is_some() {
        fs::write(&committed, &generated).unwrap();
    }
    let committed = fs::read_to_string(&committed).unwrap_or_default();
    assert!(committed == generated, "src/messages.rs is not what ogrt.proto says: see the head of this test");
}
