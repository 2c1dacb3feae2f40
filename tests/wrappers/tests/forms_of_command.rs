//! The forms in which a compiler is named: several words in a variable, and words in front of it.

use ogrt_wrapper_tests::{Bench, has_tool, signatures_of};

fn is_marked(bench: &Bench, line: &str) {
    let before = bench.spooled().len();
    bench.ours_succeeds(&format!("rm -f program; {line}"));
    assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{line}");
    assert_eq!(bench.spooled().len(), before + 1, "{line}");
}

#[test]
fn a_variable_may_hold_several_words() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    for value in [
        "gcc -std=gnu99",
        "/usr/bin/gcc -std=gnu99 -O1",
        "env X=1 gcc",
        "nice -n 1 gcc -O1",
        "'/usr/bin/gcc' -DTEXT=\"a\\ b\"",
    ] {
        let value = value.replace('"', "\\\"");
        is_marked(&bench, &format!("OGRT_REAL_CC=\"{value}\" ogrt-cc main.c answer.c -o program"));
        let record = bench.spooled().into_iter().last().expect("a record");
        assert_eq!(record.driver.expect("a driver").path(), b"/usr/bin/gcc", "{value}");
    }
    if has_tool("ccache") {
        is_marked(&bench, "OGRT_REAL_CC='ccache gcc' ogrt-cc main.c answer.c -o program");
    }
    // A file whose name holds a space is one word.
    assert_eq!(bench.bare("mkdir 'a b' && ln -s /usr/bin/gcc 'a b/gcc'").code, Some(0));
    is_marked(&bench, "OGRT_REAL_CC=\"$PWD/a b/gcc\" ogrt-cc main.c answer.c -o program");
    let outcome = bench.ours("OGRT_REAL_CC='none-such -O2' ogrt-cc main.c answer.c -o program");
    assert!(outcome.code == Some(1) && outcome.stderr.contains("named none-such "), "{outcome:?}");
}

#[test]
fn words_in_front_of_the_compiler() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    for words in
        ["env X=1", "nice", "nice -n 1", "nohup", "timeout 60", "setarch x86_64", "nice env X=1", "env -u X"]
    {
        is_marked(&bench, &format!("ogrt-cc {words} gcc main.c answer.c -o program"));
        is_marked(&bench, &format!("{words} ogrt-cc gcc main.c answer.c -o program"));
    }
    if has_tool("ccache") {
        is_marked(&bench, "ogrt-cc env X=1 ccache gcc main.c answer.c -o program");
    }
    // The words decide which compiler runs.
    let here = bench.dir().display().to_string();
    ogrt_wrapper_tests::executable(
        &bench,
        "bin/gcc",
        "#!/bin/sh\necho \"X is $X\" >> seen\nexec /usr/bin/gcc \"$@\"\n",
    );
    is_marked(&bench, &format!("ogrt-cc env X=7 PATH={here}/bin:$PATH gcc main.c answer.c -o program"));
    let seen = std::fs::read_to_string(bench.path("seen")).expect("what the compiler saw");
    assert!(seen.contains("X is 7"), "{seen}");
    // What does not link is not touched, and neither is what runs no compiler.
    bench.ours_succeeds("ogrt-cc env X=1 gcc -c main.c -o other.o");
    let outcome = bench.ours("ogrt-cc env X=1 sh -c 'exit 7'");
    assert_eq!(outcome.code, Some(7), "{outcome:?}");
}

#[test]
fn without_proc_the_output_is_marked_as_well() {
    if !has_tool("gcc") || !has_tool("bwrap") {
        return;
    }
    let bench = Bench::new().with_program();
    let sandbox = "bwrap --dev-bind / / --tmpfs /proc";
    if bench.bare(&format!("{sandbox} true")).code != Some(0) {
        println!("skipped: bwrap makes no sandbox here");
        return;
    }
    is_marked(&bench, &format!("{sandbox} ogrt-cc gcc main.c answer.c -o program"));
    is_marked(&bench, &format!("{sandbox} $(command -v ogrt-cc) main.c answer.c -o program"));
}
