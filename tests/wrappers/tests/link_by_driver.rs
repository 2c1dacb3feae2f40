//! Drivers that cannot be led to our linkers: the compiler wrapper puts the note on their line
//! itself, and no link ends with two notes or two records.

use ogrt_wrapper_tests::{Bench, Outcome, executable, has_tool, prefix, signatures_of};

/// A gcc that runs this linker and looks nowhere, as one built `--with-ld` does.
const SPECS: &str = "*linker:\n/usr/bin/ld\n";

/// nvcc cannot be had here. This stands for it: it refuses what it does not know, shows no linker,
/// and leaves the link to gcc.
const NVCC: &str = "#!/bin/sh\nfor word; do case $word in\n\
    -B*|-print*|-Xlinker|-nostdlib|-###) echo \"nvcc fatal   : Unknown option '$word'\" >&2; exit 1;;\n\
    esac; done\nexec /usr/bin/gcc \"$@\"\n";

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    bench.write("fixed.specs", SPECS);
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    bench
}

fn is_marked_once(bench: &Bench, line: &str) {
    let before = bench.spooled().len();
    bench.ours_succeeds(line);
    let marks = signatures_of(&bench.path("program"));
    assert_eq!(marks.len(), 1, "{line}");
    let records = bench.spooled();
    assert_eq!(records.len(), before + 1, "{line}");
    assert!(records.iter().any(|record| record.signature() == marks[0]), "{line}");
    assert_eq!(bench.bare("./program").stdout, "answer 42\n", "{line}");
}

#[test]
fn a_driver_with_a_fixed_linker_is_marked_on_its_own_line() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    is_marked_once(&bench, "ogrt-cc gcc -specs=fixed.specs main.o answer.o -o program");
    let record = bench.spooled().into_iter().last().expect("a record");
    assert!(record.client().starts_with("ogrt-cc "), "{}", record.client());
    // What the linker was given is in the record although we were not called as the linker.
    let named = |name: &str| record.inputs.iter().any(|input| input.path().ends_with(name.as_bytes()));
    assert!(named("main.o") && named("crti.o") && named("libc.so.6"), "{:#?}", record.inputs);
    assert_eq!(record.linker.as_ref().expect("a linker").path(), b"/usr/bin/ld");
    // From sources the objects are gone after the link; the output is marked all the same.
    is_marked_once(&bench, "ogrt-cc gcc -specs=fixed.specs main.c answer.c -o program");
    is_marked_once(&bench, "ogrt-cc gcc -specs=fixed.specs -x c main.c -x none answer.o -o program");
    is_marked_once(&bench, "ogrt-cc gcc -specs=fixed.specs -static main.o answer.o -o program");
}

#[test]
fn its_failures_and_questions_are_its_own() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    for line in [
        "main.o -o program",
        "main.o answer.o -lnone -o program",
        "-v",
        "--version",
        "-c main.c",
        "-r main.o answer.o -o both.o",
        "missing.c",
        "-shared -fPIC answer.c -o libanswer.so && rm libanswer.so",
    ] {
        let of = |compiler: &str| format!("{compiler} -specs=fixed.specs {line}");
        let (bare, ours) = (bench.bare(&of("gcc")), bench.ours(&of("ogrt-cc gcc")));
        let plain = |outcome: Outcome| Outcome {
            stderr: outcome.stderr.replace("COLLECT_GCC=/usr/bin/", "COLLECT_GCC="),
            ..outcome
        };
        assert_eq!(plain(ours), plain(bare), "{line}");
    }
}

#[test]
fn a_driver_that_knows_no_options_of_gcc() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    executable(&bench, "nvcc", NVCC);
    is_marked_once(&bench, "ogrt-cc ./nvcc main.o answer.o -o program");
    // The same where the inner compiler is ours too: it finds the note on the line and stands
    // aside.
    executable(&bench, "nvcc", "#!/bin/sh\ncase $1 in -*) exit 1;; esac\nexec ogrt-cc gcc \"$@\"\n");
    is_marked_once(&bench, "ogrt-cc ./nvcc main.o answer.o -o program");
}

#[test]
fn a_large_link_of_a_driver_that_shows_no_linker_has_its_inputs_in_the_record() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    executable(&bench, "nvcc", NVCC);
    let objects: String = (0..80).map(|number| format!(" part{number}.o")).collect();
    for object in objects.split_whitespace() {
        let source = object.replace(".o", "");
        bench.write(&format!("{source}.c"), &format!("int {source};\n"));
    }
    assert_eq!(bench.bare("gcc -c part*.c").code, Some(0));
    is_marked_once(&bench, &format!("ogrt-cc ./nvcc main.o answer.o {objects} -o program"));
    let record = bench.spooled().into_iter().next_back().expect("a record");
    let has = |name: &str| record.inputs.iter().any(|input| input.path() == name.as_bytes());
    assert!(has("main.o") && has("part79.o"), "{:#?}", record.inputs);
}

#[test]
fn a_program_that_is_no_compiler_gets_its_line_as_it_was() {
    let bench = Bench::new();
    executable(&bench, "tool", "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n");
    let outcome = bench.ours("ogrt-cc ./tool a b.o -o x");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(7), "<a><b.o><-o><x>"), "{outcome:?}");
}

#[test]
fn both_layers_and_our_linkers_on_path_make_one_note() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write("path.specs", "*linker:\nld\n");
    let path = format!(
        "{}:{}:{}",
        prefix().join("libexec/ogrt").display(),
        prefix().join("bin").display(),
        std::env::var("PATH").expect("a PATH")
    );
    for specs in ["fixed", "path"] {
        let before = bench.spooled().len();
        let outcome =
            bench.run(&format!("ogrt-cc gcc -specs={specs}.specs main.o answer.o -o program"), &path);
        assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
        assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{specs}");
        assert_eq!(bench.spooled().len(), before + 1, "{specs}");
    }
}

#[test]
fn the_trial_of_a_driver_is_remembered() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    executable(&bench, "counting", "#!/bin/sh\necho x >> calls\nexec /usr/bin/gcc \"$@\"\n");
    bench.ours_succeeds("ogrt-cc ./counting main.o answer.o -o program");
    let calls = |bench: &Bench| std::fs::read_to_string(bench.path("calls")).expect("calls").len() / 2;
    let first = calls(&bench);
    bench.ours_succeeds("ogrt-cc ./counting main.o answer.o -o program");
    assert_eq!(calls(&bench), first + 1, "the second link runs the driver once");
}

#[test]
fn another_installation_is_tried_anew() {
    if !has_tool("gcc") {
        return;
    }
    // An `ogrt-ld` that does not answer, as one would that cannot be run: what was learnt then is
    // not kept for the next.
    let bench = bench();
    let old = bench.path("../old");
    std::fs::create_dir_all(old.join("bin")).expect("a prefix");
    std::fs::create_dir_all(old.join("libexec/ogrt")).expect("a prefix");
    std::fs::copy(prefix().join("bin/ogrt-cc"), old.join("bin/ogrt-cc")).expect("a wrapper");
    executable(&bench, "../old/libexec/ogrt/ld", "#!/bin/sh\nexec /usr/bin/ld \"$@\"\n");
    let line = format!("{} gcc main.o answer.o -o program", old.join("bin/ogrt-cc").display());
    assert_eq!(bench.bare(&line).code, Some(0), "the link is what it is without us");
    assert_eq!(signatures_of(&bench.path("program")).len(), 0);
    std::fs::remove_file(old.join("libexec/ogrt/ld")).expect("the old one");
    std::fs::copy(prefix().join("bin/ogrt-ld"), old.join("libexec/ogrt/ld")).expect("a wrapper");
    is_marked_once(&bench, &line);
    let record = bench.spooled().into_iter().last().expect("a record");
    assert!(record.client().starts_with("ogrt-ld "), "{}", record.client());
}
