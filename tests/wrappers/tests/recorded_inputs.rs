//! The record says what the linker took: libraries where it found them, what scripts and thin
//! archives name, no library that it dropped, and the compilers with their flags.

use ogrt_proto::{BuildRecord, Input};
use ogrt_wrapper_tests::{Bench, has_tool, prefix};
use std::fs;

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    bench.write("foo.c", "int foo(void) { return 1; }\n");
    bench.write("uses_foo.c", "int foo(void); int main(void) { return foo() - 1; }\n");
    bench
}

/// Links by the line, and gives the record.
fn record_of(bench: &Bench, line: &str) -> BuildRecord {
    let before = bench.spooled().len();
    let outcome = bench.ours(line);
    assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
    let records = bench.spooled();
    assert_eq!(records.len(), before + 1, "{line}");
    records.into_iter().next_back().expect("a record")
}

/// The inputs whose paths end like this.
fn named<'a>(record: &'a BuildRecord, end: &str) -> Vec<&'a Input> {
    record.inputs.iter().filter(|input| input.path().ends_with(end.as_bytes())).collect()
}

fn ld() -> String {
    prefix().join("libexec/ogrt/ld").display().to_string()
}

#[test]
fn a_library_that_was_dropped_is_marked_as_such() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let built = "ogrt-cc gcc -shared -fPIC foo.c -Wl,-soname,libfoo.so.1 -o libfoo.so";
    assert_eq!(bench.ours(built).code, Some(0));
    for (options, source, is_needed) in [
        ("-Wl,--as-needed", "main.o answer.o", false),
        ("-Wl,--no-as-needed", "main.o answer.o", true),
        ("-Wl,--as-needed", "uses_foo.c", true),
        ("-static-libgcc -Wl,--push-state,--as-needed", "main.o answer.o", false),
    ] {
        let line = format!("ogrt-cc gcc {source} {options} -L. -lfoo -o program");
        let record = record_of(&bench, &line);
        let dynamic = bench.bare("readelf -d program").stdout;
        assert_eq!(dynamic.contains("[libfoo.so.1]"), is_needed, "{line}");
        let input = named(&record, "libfoo.so")[0];
        assert_eq!((input.signatures.len(), input.dropped()), (1, !is_needed), "{line}");
        // libc is needed in each.
        assert!(!named(&record, "libc.so.6")[0].dropped(), "{line}");
    }
    // In a link that leaves the digests to its companion, too.
    for part in 0..80 {
        bench.write(&format!("part{part}.c"), &format!("int part{part};\n"));
    }
    assert_eq!(bench.bare("gcc -c part*.c").code, Some(0));
    let line = "ogrt-cc gcc main.o answer.o part*.o -Wl,--as-needed -L. -lfoo -o program";
    let record = record_of(&bench, line);
    assert!(named(&record, "libfoo.so")[0].dropped());
    assert!(!named(&record, "libc.so.6")[0].dropped());
}

#[test]
fn a_library_of_another_machine_is_passed_over() {
    if !has_tool("aarch64-linux-gnu-gcc") || !has_tool("gcc") {
        return;
    }
    let bench = bench();
    fs::create_dir(bench.path("here")).expect("a directory");
    fs::create_dir(bench.path("there")).expect("a directory");
    for (compiler, dir) in [("gcc", "here"), ("aarch64-linux-gnu-gcc", "there")] {
        for line in [
            format!("{compiler} -shared -fPIC foo.c -o {dir}/libfoo.so"),
            format!("{compiler} -c foo.c -o {dir}/foo.o && ar rc {dir}/libbar.a {dir}/foo.o"),
        ] {
            assert_eq!(bench.bare(&line).code, Some(0), "{line}");
        }
        let format = if dir == "here" { "elf64-x86-64" } else { "elf64-littleaarch64" };
        bench.write(
            &format!("{dir}/libscript.so"),
            &format!("OUTPUT_FORMAT({format})\nINPUT({dir}/libfoo.so)\n"),
        );
    }
    for (library, file) in
        [("foo", "libfoo.so"), ("bar", "libbar.a"), ("script", "libscript.so"), (":libfoo.so", "libfoo.so")]
    {
        for (compiler, right) in [("gcc", "here"), ("aarch64-linux-gnu-gcc", "there")] {
            let wrong = if right == "here" { "there" } else { "here" };
            if library == "script" && compiler == "gcc" && cfg!(not(target_arch = "x86_64")) {
                continue;
            }
            let line = format!(
                "ogrt-cc {compiler} uses_foo.c -Wl,--no-as-needed -L{wrong} -L{right} -l{library} -o program"
            );
            let record = record_of(&bench, &line);
            let inputs = named(&record, file);
            assert_eq!(inputs.len(), 1, "{line}: {inputs:?}");
            assert_eq!(inputs[0].path(), format!("{right}/{file}").as_bytes(), "{line}");
        }
    }
}

#[test]
fn what_ld_finds_in_its_own_directories() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write("start.c", "extern void exit(int); void _start(void) { exit(3); }\n");
    assert_eq!(bench.bare("gcc -c start.c").code, Some(0));
    for library in ["c", "m", "pthread"] {
        let line = format!("{} start.o -l{library} -lc -o program", ld());
        let record = record_of(&bench, &line);
        let traced = bench.bare(&format!("ld -t start.o -l{library} -lc -o /dev/null")).stdout;
        let real = |path: &[u8]| {
            let path = std::str::from_utf8(path).expect("a path").to_owned();
            fs::canonicalize(bench.path(&path)).expect("a file")
        };
        let inputs: Vec<_> = record.inputs.iter().map(|input| real(input.path())).collect();
        for path in traced.lines() {
            assert!(inputs.contains(&real(path.as_bytes())), "{line}: {path} of {inputs:?}");
        }
        assert!(!named(&record, "libc.so.6").is_empty(), "{line}");
    }
}

#[test]
fn inputs_that_stand_in_scripts() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    fs::create_dir(bench.path("lib")).expect("a directory");
    assert_eq!(bench.bare("gcc -shared -fPIC foo.c -o lib/libfoo.so").code, Some(0));
    let default = bench.bare("ld --verbose").stdout;
    let default = default.split("==================================================").nth(1);
    let default = default.expect("the default script");
    bench.write("input.ld", &format!("INPUT(answer.o)\n{default}"));
    bench.write("included.ld", "INPUT(answer.o)\n");
    bench.write("include.ld", &format!("INCLUDE included.ld\n{default}"));
    bench.write("plain.ld", "SEARCH_DIR(lib)\nINPUT(-lfoo)\n");
    bench.write("group.ld", "GROUP(answer.o AS_NEEDED(lib/libfoo.so))\n");
    for script in ["input.ld", "include.ld"] {
        let record = record_of(&bench, &format!("ogrt-cc gcc -no-pie -T {script} main.o -o program"));
        assert!(named(&record, "answer.o")[0].sha256.is_some(), "{script}");
    }
    let record = record_of(&bench, "ogrt-cc gcc -Wl,--no-as-needed uses_foo.c plain.ld -o program");
    assert!(!named(&record, "lib/libfoo.so")[0].dropped());
    let record = record_of(&bench, "ogrt-cc gcc main.o group.ld -o program");
    assert!(named(&record, "answer.o")[0].sha256.is_some());
    assert!(named(&record, "lib/libfoo.so")[0].dropped());
    // All inputs stand in the script, as Free Pascal has it.
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    assert_eq!(bench.bare("gcc -c start.c").code, Some(0));
    bench.write("all.ld", &format!("INPUT(start.o)\n{default}"));
    let record = record_of(&bench, &format!("{} -T all.ld -o program", ld()));
    assert!(named(&record, "start.o")[0].sha256.is_some());
}

#[test]
fn members_of_thin_archives() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let long = "a_name_of_more_than_sixteen_letters";
    bench.write("sub/foo.c", "int foo(void) { return 1; }\n");
    fs::copy(bench.path("answer.c"), bench.path(&format!("sub/{long}.c"))).expect("a copy");
    for line in [
        format!("gcc -g -O2 -funroll-loops -c sub/{long}.c -o sub/{long}.o && gcc -c sub/foo.c -o sub/foo.o"),
        format!("ar rcT sub/libanswer.a sub/{long}.o sub/foo.o"),
        "ar rcT liball.a sub/libanswer.a".to_owned(),
    ] {
        assert_eq!(bench.bare(&line).code, Some(0), "{line}");
    }
    for line in [
        "ogrt-cc gcc main.o sub/libanswer.a -o program",
        "ogrt-cc gcc main.o -Lsub -lanswer -o program",
        "ogrt-cc gcc main.o liball.a -o program",
    ] {
        let record = record_of(&bench, line);
        let members = named(&record, &format!("sub/{long}.o"));
        assert_eq!(members.len(), 1, "{line}");
        assert!(members[0].sha256.is_some(), "{line}");
        assert_eq!(named(&record, "sub/foo.o").len(), 1, "{line}");
        let compilers: Vec<_> = record.compilers.iter().map(|compiler| compiler.producer()).collect();
        assert!(compilers.iter().any(|producer| producer.contains("-funroll-loops")), "{compilers:?}");
    }
}

#[test]
fn compilers_and_flags_wherever_they_are_recorded() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let producers = |compile: &str, link: &str| {
        assert_eq!(bench.bare(compile).code, Some(0), "{compile}");
        let record = record_of(&bench, link);
        record.compilers.iter().map(|compiler| compiler.producer().to_owned()).collect::<Vec<_>>()
    };
    let gcc_link = "ogrt-cc gcc main.o answer.o -o program";
    for options in [
        "-g",
        "-g -gz",
        "-g -gz=zlib-gnu",
        "-g -gsplit-dwarf",
        "-g -gsplit-dwarf -gdwarf-4",
        "-g -gsplit-dwarf -gz",
        "-gdwarf-4 -gz",
        "-frecord-gcc-switches",
        "-g -flto",
    ] {
        let found = producers(&format!("gcc {options} -O2 -funroll-loops -c main.c answer.c"), gcc_link);
        assert!(found.iter().any(|text| text.contains("-funroll-loops")), "{options}: {found:?}");
    }
    if has_tool("clang") {
        let found = producers(
            "clang -frecord-command-line -O2 -fno-math-errno -c main.c answer.c",
            "ogrt-cc clang main.o answer.o -o program",
        );
        assert!(found.iter().any(|text| text.contains("-fno-math-errno")), "{found:?}");
        if has_tool("ld.lld") {
            for compile in ["clang -O2 -flto -c main.c answer.c", "clang -O2 -flto=thin -c main.c answer.c"] {
                let found = producers(compile, "ogrt-cc clang -fuse-ld=lld -flto main.o answer.o -o program");
                assert!(found.iter().any(|text| text.contains("clang")), "{compile}: {found:?}");
            }
        }
    }
}
