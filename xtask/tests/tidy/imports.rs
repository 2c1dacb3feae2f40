//! No circle of imports, and none that runs upwards: what a file needs stands beside or below it.
//!
//! Circles are looked for folder by folder: in each, the files and folders that lie in it are the
//! points, and what lies deeper counts as its folder. A folder's mod.rs holds its words and its
//! flow at once, so mod.rs and the files of its folder may use each other. The order of a crate's
//! rooms is declared in `imports/orders.rs`; its top is lib.rs or main.rs, which nobody imports. A
//! crate without an order is one room, and its lib.rs is the room's mod.rs.

mod circles;
mod modules;
mod orders;
mod package;

use crate::project::{fail_if_any, root, with_extension};
use modules::Modules;
pub use modules::is_for_tests;
use orders::{ORDERS, Order};
use package::Package;
use std::{collections::BTreeSet, fs, sync::LazyLock};

/// The workspace, and the packages outside of it.
const MANIFESTS: [&str; 6] = [
    "Cargo.toml",
    "preload/Cargo.toml",
    "fuzz/Cargo.toml",
    "demo/Cargo.toml",
    "server/benches/storage/Cargo.toml",
    "tests/builds/crates/Cargo.toml",
];

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    MANIFESTS.iter().flat_map(|manifest| Package::read_all(&root().join(manifest))).collect()
});

#[test]
fn no_circle_of_imports() {
    let offenders: Vec<_> = PACKAGES.iter().flat_map(Package::circles).collect();
    fail_if_any("circles of imports", &offenders);
}

#[test]
fn no_import_runs_upwards() {
    for (name, _) in ORDERS {
        assert!(PACKAGES.iter().any(|package| package.name == *name), "no package {name}");
    }
    let offenders: Vec<_> = PACKAGES.iter().flat_map(Package::upward).collect();
    fail_if_any(
        "imports that run upwards (the orders stand in xtask/tests/tidy/imports/orders.rs)",
        &offenders,
    );
}

#[test]
fn every_source_file_belongs_to_a_program() {
    let known: BTreeSet<_> = PACKAGES.iter().flat_map(|package| &package.modules.files).collect();
    assert!(known.len() > 300, "{} source files", known.len());
    let offenders: Vec<_> = with_extension("rs")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !known.contains(&root().join(path)))
        .map(|path| path.display().to_string())
        .collect();
    fail_if_any("source files that no `mod` names", &offenders);
}

/// A small crate with one of each fault, and with what looks like one and is none.
#[test]
fn a_circle_and_an_upward_import_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join("src").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod clock;\nmod queue;\nmod receive;\npub use receive::run;");
    write(
        "clock.rs",
        "// use crate::queue::Entry;\npub fn now() -> &'static str { \"crate::queue::Entry\" }",
    );
    write("queue/mod.rs", "mod entry;\nmod reader;\nmod writer;\npub use entry::Entry;\npub struct Queue;");
    write("queue/entry.rs", "pub struct Entry(\n    super::Queue);");
    write("queue/reader.rs", "use super::writer::Writer;\npub struct Reader;");
    write("queue/writer.rs", "pub struct Writer;\nfn f() { let _ = vec![\n\n  super::reader::Reader]; }");
    write("receive.rs", "use crate::{clock, queue::Entry};\npub fn run(_: Entry) { clock::now(); }");
    const ORDER: &Order = &[&["clock"], &["queue"], &["receive", "send"], &["lib"]];
    let read = || Package {
        name: "small".into(),
        modules: Modules::read(&[folder.path().join("src/lib.rs")], None),
        order: Some(ORDER),
    };
    let without_folder = |found: Vec<String>| {
        let prefix = format!("{}/src/", folder.path().display());
        found.into_iter().map(|line| line.replace(&prefix, "")).collect::<Vec<_>>()
    };

    let small = read();
    assert_eq!(small.upward(), [""; 0]);
    assert_eq!(
        without_folder(small.circles()),
        ["queue/reader.rs:1 imports queue/writer.rs, queue/writer.rs:4 imports queue/reader.rs"]
    );

    write(
        "queue/reader.rs",
        "pub struct Reader;\n#[cfg(test)]\nmod tests { use super::super::writer::Writer; }",
    );
    write("clock.rs", "pub fn now(_: super::queue::Entry) {}");
    write("receive.rs", "use super::run as me;\n#[serde(with = \"crate::journal::text\")]\npub fn run() {}");
    write("journal.rs", "");
    write("send.rs", "use crate::receive;");
    write("lib.rs", "mod clock;\nmod journal;\nmod queue;\nmod receive;\npub use receive::run;\nmod send;");
    let small = read();
    assert_eq!(
        without_folder(small.upward()),
        [
            "clock.rs:1 imports queue/mod.rs, which stands above it",
            "journal.rs: the order of small does not name it",
            "receive.rs:1 imports lib.rs, which stands above it",
            "send.rs:1 imports receive.rs, which stands on the same rung",
        ]
    );
    let circle = "lib.rs:5 imports receive.rs, receive.rs:1 imports lib.rs";
    assert_eq!(without_folder(small.circles()), [circle]);
}
