//! A link in hostile surroundings is what it would have been without us: no room, no home, no
//! descriptors, signals ignored by the caller.

use ogrt_wrapper_tests::{Bench, Outcome, executable, has_tool, prefix, signatures_of};

fn marks(bench: &Bench) -> usize {
    signatures_of(&bench.path("program")).len()
}

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    bench
}

/// Runs the line in a mount namespace of its own, after `mounts`. `None` where that is not allowed.
fn in_namespace(bench: &Bench, mounts: &str, line: &str) -> Option<Outcome> {
    let allowed = bench.bare("unshare -rm sh -c 'mount -t tmpfs -o size=4k none /mnt'").code == Some(0);
    if !allowed {
        println!("skipped: needs unshare -rm");
        return None;
    }
    bench.write("inside.sh", &format!("{mounts}\n{line}\n"));
    Some(bench.ours("unshare -rm sh inside.sh"))
}

#[test]
fn no_place_of_ours_is_needed() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = bench();
    bench.write("file", "");
    let nowhere = bench.path("file/below-a-file");
    bench.set("OGRT_SPOOL_DIR", &nowhere).set("XDG_CACHE_HOME", &nowhere).set("HOME", &nowhere);
    bench.ours_succeeds("TMPDIR=/no/such/directory ogrt-cc main.o answer.o -o program");
    assert_eq!(marks(&bench), 1);
    assert_eq!(bench.bare("./program").code, Some(3));
    let strict = bench.ours("OGRT_STRICT=1 ogrt-cc main.o answer.o -o program");
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.stderr.contains("below-a-file"), "the error names the place: {}", strict.stderr);
}

#[test]
fn without_home_or_any_variable() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let line = format!(
        "env -i PATH=\"$PATH\" OGRT_SERVER=127.0.0.1:1 OGRT_SPOOL_DIR={} ogrt-cc main.o answer.o -o program",
        bench.spool().path().display()
    );
    bench.ours_succeeds(&line);
    assert_eq!((marks(&bench), bench.spooled().len()), (1, 1));
}

#[test]
fn a_full_temporary_directory_matters_as_much_as_without_us() {
    if !has_tool("gcc") {
        return;
    }
    // gcc itself needs room there; given that, a linker that is a script needs a file of ours
    // beside it.
    let bench = bench();
    let full = "mkdir -p full; mount -t tmpfs -o size=4k none full; head -c 4096 /dev/zero > full/file";
    let bare = "TMPDIR=$PWD/full gcc main.o answer.o -o program; echo $?";
    let ours = "TMPDIR=$PWD/full ogrt-cc gcc main.o answer.o -o program; echo $?";
    let (Some(bare), Some(ours)) = (in_namespace(&bench, full, bare), in_namespace(&bench, full, ours))
    else {
        return;
    };
    assert_eq!(plain(&ours), plain(&bare));
    let linker =
        format!("TMPDIR=$PWD/full {}/libexec/ogrt/ld -shared answer.o -o library", prefix().display());
    let ours = in_namespace(&bench, full, &linker).expect("allowed before");
    assert!(ours.code == Some(0) && ours.stderr.is_empty(), "{ours:?}");
    assert_eq!(signatures_of(&bench.path("library")).len(), 1);
}

/// Names of temporary files differ from run to run.
fn plain(outcome: &Outcome) -> (Option<i32>, String, String) {
    let words = outcome.stderr.split_whitespace().filter(|word| !word.contains("/full/"));
    (outcome.code, outcome.stdout.clone(), words.collect::<Vec<_>>().join(" "))
}

#[test]
fn a_read_only_source_tree_and_a_read_only_home() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let mounts = "mkdir -p out ro; mount --bind . ro; mount -o remount,bind,ro ro";
    let line = "cd ro && HOME=$PWD XDG_CACHE_HOME=$PWD OGRT_SPOOL_DIR=$PWD/spool \
                ogrt-cc main.o answer.o -o /proc/$$/cwd/../out/program";
    // The working directory is read-only; the output goes beside it.
    let line = line.replace("/proc/$$/cwd/../out/program", &format!("{}/out/program", bench.dir().display()));
    let Some(outcome) = in_namespace(&bench, mounts, &line) else { return };
    assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{outcome:?}");
    assert_eq!(signatures_of(&bench.path("out/program")).len(), 1);
}

#[test]
fn without_descriptors_the_link_is_what_it_was() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = bench();
    // A compiler without descriptors leaves its temporary files, with us and without.
    bench.set("TMPDIR", bench.path("../tmp"));
    std::fs::create_dir(bench.path("../tmp")).expect("a directory");
    for linker in
        ["bfd", "gold", "lld", "mold"].into_iter().filter(|linker| has_tool(&format!("ld.{linker}")))
    {
        for limit in [256, 64, 40, 32, 24, 16, 12, 9, 6] {
            let line = format!(
                "rm -f program; ulimit -n {limit}; CC -fuse-ld={linker} main.o answer.o -o program; echo $?"
            );
            let bare = bench.bare(&line.replace("CC", "gcc"));
            let ours = bench.ours(&line.replace("CC", "ogrt-cc gcc"));
            assert_eq!(ours, bare, "{linker}, {limit} descriptors");
            if limit >= 32 {
                assert_eq!((ours.stdout.trim(), marks(&bench)), ("0", 1), "{linker}, {limit} descriptors");
            }
        }
    }
}

#[test]
fn signals_that_the_caller_ignores_stay_ignored() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = bench();
    // A compiler and a linker that print which signals they ignore.
    let says = "#!/bin/sh\ngrep SigIgn /proc/self/status >> seen\n";
    executable(&bench, "cc/gcc", &format!("{says}exec /usr/bin/gcc \"$@\"\n"));
    executable(&bench, "cc/ld", &format!("{says}exec /usr/bin/ld \"$@\"\n"));
    let (compiler, linker) = (bench.path("cc/gcc"), bench.path("cc/ld"));
    bench.set("OGRT_REAL_CC", compiler).set("OGRT_REAL_LD", linker);
    let linker = prefix().join("libexec/ogrt/ld");
    for (trap, ignored) in [
        ("", vec![]),
        ("trap '' PIPE;", vec![13]),
        ("trap '' HUP INT QUIT PIPE TERM;", vec![1, 2, 3, 13, 15]),
    ] {
        for line in [
            "ogrt-cc -c main.c".to_owned(),
            "ogrt-cc main.o answer.o -o program".to_owned(),
            format!("{} -shared answer.o -o program", linker.display()),
            format!("{} -r answer.o -o program", linker.display()),
        ] {
            bench.ours_succeeds("rm -f seen");
            bench.ours_succeeds(&format!("{trap} {line}"));
            let seen = std::fs::read_to_string(bench.path("seen")).expect("what the tools saw");
            for mask in seen.lines() {
                let mask =
                    u64::from_str_radix(mask.trim_start_matches("SigIgn:").trim(), 16).expect("a mask");
                let wanted: u64 = ignored.iter().map(|signal| 1 << (signal - 1)).sum();
                assert_eq!(mask & wanted, wanted, "{trap} {line}: {seen}");
                assert_eq!(mask & 1 << 12, wanted & 1 << 12, "SIGPIPE: {trap} {line}: {seen}");
            }
        }
    }
}

#[test]
fn standard_input_working_directory_and_umask_are_the_callers() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.ours_succeeds("echo 'int main(void) { return 7; }' | ogrt-cc -x c - -o program");
    assert_eq!((bench.bare("./program").code, marks(&bench)), (Some(7), 1));
    bench.ours_succeeds("umask 077; ogrt-cc main.o answer.o -o program");
    assert_eq!(bench.bare("stat -c %a program").stdout, "700\n");
    bench.ours_succeeds("mkdir sub && cd sub && ogrt-cc ../main.o ../answer.o -o ../program");
    assert_eq!(bench.bare("./program").code, Some(3));
}
