//! The linker that would have run without us is the one that runs, wherever a driver is told of it:
//! in files, in variables, by `mold -run`. And nothing that records the driver's line names us.

use ogrt_wrapper_tests::{Bench, executable, has_tool, prefix, signatures_of};
use std::fs;

/// A bench with objects, and with a linker in `bin` that says when it runs.
fn bench() -> Bench {
    let bench = Bench::new().with_program();
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    other_linker(&bench, "bin/ld");
    bench
}

fn other_linker(bench: &Bench, name: &str) {
    executable(bench, name, "#!/bin/sh\necho OTHER-LD >&2\nexec /usr/bin/ld \"$@\"\n");
}

/// The line, in which `%CC` stands for the compiler, ends as it does without us and gives a program
/// with one note. Says what it wrote to standard error.
fn same_linker(bench: &Bench, compiler: &str, line: &str) -> String {
    let run = |compiler: &str| format!("rm -f program; {}", line.replace("%CC", compiler));
    let bare = bench.bare(&run(compiler));
    assert_eq!(bare.code, Some(0), "{line}: {bare:?}");
    let ours = bench.ours(&run(&format!("ogrt-cc {compiler}")));
    assert_eq!((ours.code, &ours.stderr), (bare.code, &bare.stderr), "{line}");
    assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{line}");
    ours.stderr
}

fn other_runs(bench: &Bench, compiler: &str, line: &str) {
    assert_eq!(same_linker(bench, compiler, line), "OTHER-LD\n", "{line}");
}

const LINK: &str = "main.o answer.o -o program";

#[test]
fn gcc_is_told_in_files_and_variables() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let here = bench.dir().display().to_string();
    other_linker(&bench, "real/real-ld");
    other_linker(&bench, "collect/collect-ld");
    bench.write("fixed.specs", &format!("*linker:\n{here}/bin/ld\n"));
    bench.write("specs.rsp", &format!("-specs=fixed.specs {LINK}"));
    bench.write("inner.rsp", &format!("-B{here}/bin"));
    bench.write("outer.rsp", &format!("@inner.rsp {LINK}"));
    // What was learnt from an ordinary link does not hold for these.
    assert_eq!(same_linker(&bench, "gcc", &format!("%CC {LINK}")), "");
    other_runs(&bench, "gcc", "%CC @specs.rsp");
    other_runs(&bench, "gcc", "%CC @outer.rsp");
    other_runs(&bench, "gcc", &format!("%CC --prefix=bin/ {LINK}"));
    other_runs(&bench, "gcc", &format!("%CC -B bin {LINK}"));
    other_runs(&bench, "gcc", &format!("COMPILER_PATH=bin %CC {LINK}"));
    other_runs(&bench, "gcc", &format!("COMPILER_PATH=$PWD/real %CC {LINK}"));
    other_runs(&bench, "gcc", &format!("COMPILER_PATH=$PWD/collect %CC {LINK}"));
    assert_eq!(same_linker(&bench, "gcc", &format!("%CC {LINK}")), "");
}

#[test]
fn clang_is_told_in_files_and_variables() {
    if !has_tool("gcc") || !has_tool("clang") {
        return;
    }
    let bench = bench();
    let here = bench.dir().display().to_string();
    bench.write("prefix.rsp", &format!("-Bbin {LINK}"));
    bench.write("path.rsp", &format!("--ld-path={here}/bin/ld {LINK}"));
    bench.write("inner.rsp", &format!("-fuse-ld={here}/bin/ld"));
    bench.write("outer.rsp", &format!("@inner.rsp {LINK}"));
    bench.write("path.cfg", &format!("--ld-path={here}/bin/ld\n"));
    bench.write("prefix.cfg", &format!("-B{here}/bin\n"));
    assert_eq!(same_linker(&bench, "clang", &format!("%CC {LINK}")), "");
    for line in ["%CC @prefix.rsp", "%CC @path.rsp", "%CC @outer.rsp"] {
        other_runs(&bench, "clang", line);
    }
    for config in ["path", "prefix"] {
        other_runs(&bench, "clang", &format!("%CC --config ./{config}.cfg {LINK}"));
    }
    other_runs(&bench, "clang", &format!("COMPILER_PATH=$PWD/bin %CC {LINK}"));
    other_runs(&bench, "clang", &format!("CCC_OVERRIDE_OPTIONS='# +-B{here}/bin' %CC {LINK}"));
}

/// A script may take the choice of the emulation, of the start files and of the directories away.
#[test]
fn scripts_and_specs_in_front_of_a_driver() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write("own.specs", "*link:\n%{shared:-shared} -dynamic-linker /lib64/ld-linux-x86-64.so.2\n");
    executable(&bench, "own-gcc", "#!/bin/sh\nexec gcc \"$@\" -specs \"$PWD/own.specs\"\n");
    executable(&bench, "path-gcc", "#!/bin/sh\nCOMPILER_PATH=$PWD/bin exec gcc \"$@\"\n");
    executable(&bench, "prefix-gcc", "#!/bin/sh\nexec gcc \"$@\" -B \"$PWD/bin\"\n");
    let line = "%CC main.c answer.c -o program";
    assert_eq!(same_linker(&bench, "./own-gcc", line), "");
    other_runs(&bench, "./path-gcc", line);
    other_runs(&bench, "./prefix-gcc", line);
    for compiler in ["musl-gcc", "klcc", "diet gcc"] {
        if has_tool(compiler.split(' ').next().expect("a word")) {
            same_linker(&bench, compiler, line);
            assert_eq!(bench.bare("./program").stdout, "answer 42\n", "{compiler}");
        }
    }
}

#[test]
fn what_a_file_or_directory_says_may_change_between_two_links() {
    if !has_tool("gcc") || !has_tool("clang") {
        return;
    }
    let bench = bench();
    let here = bench.dir().display().to_string();
    bench.write("c.cfg", "-O2\n");
    let line = format!("%CC --config ./c.cfg {LINK}");
    assert_eq!(same_linker(&bench, "clang", &line), "");
    bench.write("c.cfg", &format!("--ld-path={here}/bin/ld\n"));
    other_runs(&bench, "clang", &line);

    fs::create_dir(bench.path("later")).expect("a directory");
    for compiler in ["gcc", "clang"] {
        let line = format!("%CC -Blater {LINK}");
        assert_eq!(same_linker(&bench, compiler, &line), "");
        other_linker(&bench, "later/ld");
        other_runs(&bench, compiler, &line);
        fs::remove_file(bench.path("later/ld")).expect("a linker");
    }
}

fn is_by_mold(bench: &Bench) -> bool {
    bench.bare("readelf -p .comment program").stdout.contains("mold")
}

#[test]
fn mold_run_runs_mold_and_the_output_is_marked() {
    if !has_tool("gcc") || !has_tool("mold") {
        return;
    }
    let bench = bench();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| has_tool(compiler)) {
        same_linker(&bench, compiler, &format!("%CC {LINK}"));
        assert!(!is_by_mold(&bench));
        same_linker(&bench, compiler, &format!("mold -run %CC {LINK}"));
        assert!(is_by_mold(&bench), "{compiler}");
        same_linker(&bench, compiler, &format!("mold -run sh -c '%CC {LINK}'"));
        assert!(is_by_mold(&bench), "{compiler} in a shell");
        // With our linkers alone in front on PATH.
        let outcome = bench.ours_as_linkers(&format!("rm program; mold -run {compiler} {LINK}"));
        assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
        assert!(is_by_mold(&bench), "{compiler} with our linkers");
        assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{compiler}");
        let record = bench.spooled().into_iter().last().expect("a record");
        assert_eq!(record.linker.expect("a linker").path(), b"/usr/bin/mold");
    }
}

#[test]
fn nothing_that_records_the_line_names_us() {
    if !has_tool("gcc") || !has_tool("clang") {
        return;
    }
    let bench = bench();
    let ours = prefix().join("libexec").display().to_string();
    let sources = "main.c answer.c -o program";
    let names_us = |output: &str| output.contains(&ours) || output.contains("/proc/self/fd");
    for options in ["", "-Bbin", "--ld-path=/usr/bin/ld"] {
        for (line, shown) in [
            (format!("clang {options} -MJ db.json {sources}"), "cat db.json"),
            (
                format!("clang {options} -frecord-command-line {sources}"),
                "readelf -p .GCC.command.line program",
            ),
            (
                format!("clang {options} -g -grecord-command-line {sources}"),
                "readelf --debug-dump=info program",
            ),
            (
                format!("clang {options} -g -grecord-gcc-switches {sources}"),
                "readelf --debug-dump=info program",
            ),
            (format!("clang {options} -gen-cdb-fragment-path cdb {sources}"), "cat cdb/*"),
            (
                format!("gcc {options} -frecord-gcc-switches {sources}"),
                "readelf -p .GCC.command.line program",
            ),
        ] {
            if line.starts_with("gcc --ld-path") {
                continue;
            }
            let outcome = bench.ours(&format!("rm -rf program cdb; ogrt-cc {line}"));
            assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
            let output = bench.bare(shown).stdout;
            assert!(output.len() > 20 && !names_us(&output), "{line}: {output}");
            // The note is put in where it is not seen in the line.
            let marks = signatures_of(&bench.path("program")).len();
            assert!(marks == 1 || !options.is_empty(), "{line}");
        }
    }
}
