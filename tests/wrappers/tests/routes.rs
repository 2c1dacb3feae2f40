//! Every way in: our names, a prefixed command, masquerade, linkers alone in front, other people's
//! wrappers; and every way for us to step aside.

use ogrt_wrapper_tests::{Bench, Outcome, executable, has_tool, prefix, signatures_of};
use std::fs;
use std::os::unix::fs::symlink;

fn marks(bench: &Bench) -> usize {
    signatures_of(&bench.path("program")).len()
}

fn succeeds(outcome: Outcome) {
    assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{outcome:#?}");
}

/// A directory for PATH with symlinks to `ogrt-cc` under compilers' names.
fn masquerade(bench: &Bench, names: &[&str]) -> String {
    let dir = bench.path("../masquerade");
    fs::create_dir_all(&dir).expect("a directory");
    for name in names {
        symlink(prefix().join("bin/ogrt-cc"), dir.join(name)).expect("a link");
    }
    dir.to_string_lossy().into_owned()
}

fn path_with(dir: &str) -> String {
    format!("{dir}:{}", std::env::var("PATH").expect("a PATH"))
}

#[test]
fn masquerade_runs_the_next_tool_of_that_name() {
    let bench = Bench::new().with_program();
    let names = ["gcc", "cc", "clang"];
    let dir = masquerade(&bench, &names);
    for name in names.into_iter().filter(|name| has_tool(name)) {
        succeeds(bench.run(&format!("{name} main.c answer.c -o program"), &path_with(&dir)));
        assert_eq!(marks(&bench), 1, "{name}");
    }
}

#[test]
fn a_wrapper_script_behind_us_is_called_and_finds_the_compiler() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    let dir = masquerade(&bench, &["gcc"]);
    // EasyBuild's RPATH wrapper and ccache stand like this: further down on PATH, under the same
    // name.
    let seen = bench.path("seen");
    let text = format!("#!/bin/sh\n: > {}\nexec /usr/bin/gcc \"$@\"\n", seen.display());
    executable(&bench, "wrapper/gcc", &text);
    let path = path_with(&format!("{dir}:{}", bench.path("wrapper").display()));
    succeeds(bench.run("gcc main.c answer.c -o program", &path));
    assert_eq!(marks(&bench), 1);
    assert!(seen.exists());
}

#[test]
fn a_wrapper_script_that_calls_us_again_does_not_go_round_for_ever() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    let dir = masquerade(&bench, &["gcc"]);
    executable(&bench, "wrapper/gcc", "#!/bin/sh\nexec gcc \"$@\"\n");
    let path = path_with(&format!("{dir}:{}", bench.path("wrapper").display()));
    succeeds(bench.run("gcc main.c answer.c -o program", &path));
    assert_eq!(marks(&bench), 1);
}

#[test]
fn our_linkers_alone_in_front_on_path() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    succeeds(bench.ours_as_linkers("gcc main.c answer.c -o program"));
    assert_eq!(marks(&bench), 1);
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    succeeds(bench.bare("gcc -c start.c"));
    for linker in ["ld", "ld.gold", "ld.lld", "ld.mold"].into_iter().filter(|linker| has_tool(linker)) {
        succeeds(bench.ours_as_linkers(&format!("{linker} start.o -o program")));
        assert_eq!(marks(&bench), 1, "{linker}");
        let by_path = prefix().join("libexec/ogrt").join(linker);
        succeeds(bench.bare(&format!("{} start.o -o program", by_path.display())));
        assert_eq!(marks(&bench), 1, "{linker} by its path");
    }
}

#[test]
fn a_linker_given_by_its_path_is_still_led_to_us() {
    if !has_tool("clang") || !has_tool("ld.lld") {
        return;
    }
    let bench = Bench::new().with_program();
    for linker in ["ld.bfd", "ld.lld", "ld.gold"].into_iter().filter(|linker| has_tool(linker)) {
        bench.ours_succeeds(&format!("ogrt-cc clang --ld-path=/usr/bin/{linker} main.c answer.c -o program"));
        assert_eq!(marks(&bench), 1, "{linker}");
        let record = bench.spooled().into_iter().last().expect("a record");
        let path = record.linker.expect("a linker").path.unwrap_or_default();
        assert!(path.ends_with(linker.as_bytes()), "{linker}: {path:?}");
    }
}

#[test]
fn both_layers_make_one_note_and_one_record() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    let both = format!("{}:{}", prefix().join("libexec/ogrt").display(), prefix().join("bin").display());
    succeeds(bench.run("ogrt-cc gcc main.c answer.c -o program", &path_with(&both)));
    assert_eq!(marks(&bench), 1);
    assert_eq!(bench.spooled().len(), 1);
}

#[test]
fn a_linker_that_is_a_script_gets_a_note_it_can_open() {
    if !has_tool("gcc") || !has_tool("python3") {
        return;
    }
    // Python closes descriptors before it runs a program.
    let bench = Bench::new().with_program();
    executable(
        &bench,
        "wrapper/ld",
        "#!/usr/bin/env python3\nimport subprocess, sys\n\
         sys.exit(subprocess.run(['/usr/bin/ld'] + sys.argv[1:]).returncode)\n",
    );
    let mut bench = bench;
    bench.set("OGRT_REAL_LD", bench.path("wrapper/ld"));
    bench.set("TMPDIR", bench.path("../tmp"));
    fs::create_dir(bench.path("../tmp")).expect("a directory");
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    assert_eq!(marks(&bench), 1);
    let left = fs::read_dir(bench.path("../tmp")).expect("the directory").count();
    assert_eq!(left, 0, "nothing is left in the temporary directory");
}

#[test]
fn disabled_means_absent() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    succeeds(bench.ours("OGRT_DISABLE=1 ogrt-cc main.c answer.c -o program"));
    assert_eq!((marks(&bench), bench.spooled().len()), (0, 0));
    succeeds(bench.ours_as_linkers("OGRT_DISABLE=1 gcc main.c answer.c -o program"));
    assert_eq!((marks(&bench), bench.spooled().len()), (0, 0));
}

#[test]
fn a_linker_killed_by_a_signal_ends_us_by_the_same() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    executable(&bench, "dies", "#!/bin/sh\nkill -$SIGNAL_TO_DIE_BY $$\nsleep 10\n");
    bench.set("OGRT_REAL_LD", bench.path("dies"));
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    let linker = prefix().join("libexec/ogrt/ld");
    for signal in [9, 15, 11, 2, 6] {
        bench.set("SIGNAL_TO_DIE_BY", signal.to_string());
        let outcome = bench.ours(&format!("exec {} main.o answer.o -o program", linker.display()));
        assert_eq!(outcome.signal, Some(signal), "{outcome:?}");
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn a_signal_to_us_reaches_the_linker() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    executable(
        &bench,
        "slow",
        "#!/bin/sh\ntrap 'echo told > told; exit 4' TERM\necho > started\nwhile :; do sleep 0.05; done\n",
    );
    bench.set("OGRT_REAL_LD", bench.path("slow"));
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    let linker = prefix().join("libexec/ogrt/ld");
    let outcome = bench.ours(&format!(
        "{} main.o answer.o -o program & while ! test -e started; do sleep 0.05; done; kill -TERM $!; wait $!",
        linker.display()
    ));
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert!(bench.path("told").exists());
}

#[test]
fn a_dependency_file_does_not_name_our_object() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    for linker in ["bfd", "lld"].into_iter().filter(|linker| has_tool(&format!("ld.{linker}"))) {
        let line = format!("gcc -fuse-ld={linker} main.o answer.o -Wl,--dependency-file=deps -o program");
        succeeds(bench.bare(&line));
        let bare = fs::read(bench.path("deps")).expect("a dependency file");
        bench.ours_succeeds(&format!("ogrt-cc {line}"));
        assert_eq!(marks(&bench), 1, "{linker}");
        assert!(fs::read(bench.path("deps")).expect("a dependency file") == bare, "{linker}");
    }
}

#[test]
fn linker_scripts_that_discard_or_place_notes() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    let default = bench.bare("ld --verbose").stdout;
    let script =
        default.split("==================================================").nth(1).expect("a script");
    bench.write("discard.ld", &script.replace("/DISCARD/ : {", "/DISCARD/ : { *(.note.ogrt)"));
    bench.write("same.ld", script);
    bench.ours_succeeds("ogrt-cc -no-pie main.o answer.o -Wl,-T,discard.ld -o program");
    assert_eq!((marks(&bench), bench.spooled().len()), (0, 1), "a record without a note");
    let reason = bench.spooled()[0].unmarked_reason().to_owned();
    assert_eq!(reason, "a linker script discards the note");
    assert_eq!(bench.bare("./program").code, Some(3));
    bench.ours_succeeds("ogrt-cc -no-pie main.o answer.o -Wl,-T,same.ld -o program");
    assert_eq!((marks(&bench), bench.spooled().len()), (1, 2));
}
