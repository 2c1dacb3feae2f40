//! The reader at the start of `docs/note.md`: its lines, taken from the page, find what ours finds.

use ogrt_note::Signature;
use ogrt_wrapper_tests::{Bench, has_tool, signatures_of};

const PAGE: &str = include_str!("../../../docs/note.md");

/// Compilers whose files differ in what the reader must take care of: the class and the byte order.
const COMPILERS: [&str; 4] =
    ["gcc", "arm-linux-gnueabihf-gcc", "s390x-linux-gnu-gcc", "aarch64-linux-gnu-gcc"];

/// The first block of Python on the page.
fn reader() -> &'static str {
    let (_, rest) = PAGE.split_once("```python\n").expect("a block of Python");
    rest.split_once("```").expect("its end").0
}

#[test]
fn the_reader_of_the_page_has_ten_lines() {
    assert!(reader().lines().count() <= 10, "{}", reader());
    assert!(PAGE.find("```python") < PAGE.find("\n## "), "the page begins with it");
}

#[test]
fn the_reader_of_the_page_prints_the_signature_that_ours_finds() {
    if !has_tool("python3") {
        return;
    }
    for compiler in COMPILERS.into_iter().filter(|compiler| has_tool(compiler)) {
        let bench = Bench::new().with_program();
        bench.write("reader.py", reader());
        let sources = "main.c answer.c";
        for (name, options) in [("program", ""), ("static", "-static"), ("gold", "-fuse-ld=gold")] {
            if bench.bare(&format!("{compiler} {options} {sources} -o bare")).code != Some(0) {
                println!("{compiler} {options} fails without us too");
                continue;
            }
            bench.ours_succeeds(&format!("ogrt-cc {compiler} {options} {sources} -o {name}"));
            let [signature] = signatures_of(&bench.path(name))[..] else {
                panic!("{compiler} {name}: one note")
            };
            let read = bench.bare(&format!("python3 reader.py {name}"));
            assert_eq!(
                read.stdout,
                format!("{}\n", Signature::from_bytes(signature)),
                "{compiler}: {read:?}"
            );
            assert_eq!(bench.bare("python3 reader.py bare").stdout, "", "{compiler}");
        }
    }
}
