//! `OGRT_SAVE_LINK`: what is kept of a link is enough to link again elsewhere, and to see what we
//! decided.

use ogrt_wrap::tool::driver_command::LINK_BY_DRIVER;
use ogrt_wrapper_tests::{Bench, executable, has_tool, prefix, signatures_of};
use std::fs;
use std::path::PathBuf;

fn saved(bench: &Bench) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(bench.path("../saved"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    dirs.sort();
    dirs
}

#[test]
fn a_link_is_replayed_from_its_copies() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SAVE_LINK", bench.path("../saved"));
    let prepared =
        bench.bare("gcc -c main.c answer.c && ar rcs 'lib it'\\''s.a' answer.o && echo \"main.o\" > line");
    assert_eq!(prepared.code, Some(0), "{prepared:?}");
    bench.ours_succeeds("ogrt-cc @line \"lib it's.a\" -Wl,--as-needed -lm -o program");
    let dirs = saved(&bench);
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    // Elsewhere, and without the files.
    let elsewhere = bench.path("../else where");
    fs::rename(&dirs[0], &elsewhere).expect("another place");
    bench.ours_succeeds("rm main.o answer.o *.a line");
    bench.write("replay.sh", "'../else where/replay' && '../else where/replayed'; echo $?\n");
    let plain = bench.bare("sh replay.sh");
    assert_eq!((plain.stdout.as_str(), plain.stderr.as_str()), ("answer 42\n3\n", ""));
    assert_eq!(signatures_of(&elsewhere.join("replayed")).len(), 0);
    let with_note = bench.bare("NOTE=1 sh replay.sh");
    assert_eq!(with_note.stdout, "answer 42\n3\n", "{with_note:?}");
    assert_eq!(signatures_of(&elsewhere.join("replayed")), signatures_of(&bench.path("program")));
    let read = |name: &str| fs::read_to_string(elsewhere.join(name)).expect(name);
    assert!(read("decisions").contains("ended: exit status: 0"), "{}", read("decisions"));
    assert!(read("environment").contains("OGRT_SPOOL_DIR="));
}

/// The driver runs a linker that we cannot replace, and its objects are temporary: they are gone
/// when the link is replayed.
#[test]
fn a_link_from_sources_by_a_driver_with_a_fixed_linker_is_replayed_as_well() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.write("fixed.specs", "*linker:\n/usr/bin/ld\n");
    fs::create_dir(bench.path("../temporary")).expect("a directory");
    bench.set("OGRT_SAVE_LINK", bench.path("../saved"));
    bench.set("TMPDIR", bench.path("../temporary"));
    bench.ours_succeeds("ogrt-cc gcc -specs=fixed.specs -DX -x c main.c answer.c -o program");
    assert_eq!(bench.bare("./program").stdout, "answer 42\n");
    let left: Vec<_> = fs::read_dir(bench.path("../temporary")).expect("a directory").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let dirs = saved(&bench);
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    bench.ours_succeeds("rm *.c");
    bench.write("replay.sh", &format!("{0}/replay && {0}/replayed; echo $?\n", dirs[0].display()));
    let replayed = bench.bare("NOTE=1 sh replay.sh");
    assert_eq!((replayed.stdout.as_str(), replayed.stderr.as_str()), ("answer 42\n3\n", ""));
    assert_eq!(signatures_of(&dirs[0].join("replayed")), signatures_of(&bench.path("program")));
    let decisions = fs::read_to_string(dirs[0].join("decisions")).expect("decisions");
    assert!(decisions.contains("ended: exit status: 0"), "{decisions}");
}

#[test]
fn a_link_that_is_not_marked_says_why() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SAVE_LINK", bench.path("../saved"));
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    for (line, why) in [
        ("$(dirname $(command -v ogrt-cc))/../libexec/ogrt/ld -r answer.o -o both.o", "a later link"),
        ("$(dirname $(command -v ogrt-cc))/../libexec/ogrt/ld -shared answer.o -o conftest", "a probe"),
        ("ogrt-cc main.o answer.o -Wl,--orphan-handling=warn -o program 2> /dev/null", "orphan"),
    ] {
        let _ = fs::remove_dir_all(bench.path("../saved"));
        bench.ours_succeeds(line);
        let decisions = fs::read_to_string(saved(&bench)[0].join("decisions")).expect("decisions");
        assert!(decisions.contains("not marked: ") && decisions.contains(why), "{line}: {decisions}");
    }
}

/// The lines that tell how the only saved link ended. The directory is deleted.
fn outcome_of(bench: &Bench) -> Vec<String> {
    let dirs = saved(bench);
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    let decisions = fs::read_to_string(dirs[0].join("decisions")).expect("decisions");
    fs::remove_dir_all(bench.path("../saved")).expect("a directory that can be removed");
    let tells = |line: &&str| line.starts_with("not marked: ") || line.starts_with("ended: ");
    decisions.lines().filter(tells).map(str::to_owned).collect()
}

#[test]
fn both_ways_of_a_link_write_the_same_decisions() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SAVE_LINK", bench.path("../saved"));
    bench.write("fixed.specs", "*linker:\n/usr/bin/ld\n").write("line", "");
    // Programs whose interpreter is missing: they can be found, and do not start.
    executable(&bench, "linker", "#!/no/such/interpreter\n");
    executable(&bench, "nvcc", "#!/no/such/interpreter\n");
    assert_eq!(bench.bare("gcc -c main.c answer.c && cp main.o conftest.o").code, Some(0));
    // `ogrt-cc` does not run us where OGRT_DISABLE is set, so it is left out there.
    let linkers = prefix().join("libexec/ogrt");
    let by_linker = format!("gcc -B{} main.o answer.o -o program", linkers.display());
    std::os::unix::fs::symlink(linkers.join("ld"), bench.path(LINK_BY_DRIVER)).expect("a link");
    let by_driver =
        format!("PATH=.:$PATH {LINK_BY_DRIVER} gcc -specs=fixed.specs main.o answer.o -o program");

    for (what, [linker, driver], code, decision) in [
        (
            "a link that succeeds",
            [
                "ogrt-cc main.o answer.o -o program",
                "ogrt-cc gcc -specs=fixed.specs main.o answer.o -o program",
            ],
            0,
            ["ended: exit status: 0"; 2],
        ),
        (
            "a link that fails",
            ["ogrt-cc main.o -o program", "ogrt-cc gcc -specs=fixed.specs main.o -o program"],
            1,
            ["ended: exit status: 1"; 2],
        ),
        (
            "a strict link that is not registered",
            [
                "OGRT_STRICT=1 OGRT_SPOOL_DIR=$PWD/line/spool ogrt-cc main.o answer.o -o program",
                "OGRT_STRICT=1 OGRT_SPOOL_DIR=$PWD/line/spool \
                 ogrt-cc gcc -specs=fixed.specs main.o answer.o -o program",
            ],
            1,
            ["ended: exit status: 0, not registered: "; 2],
        ),
        (
            "a strict link that is not marked: the tool may open few files",
            [
                "ulimit -n 24; OGRT_STRICT=1 ogrt-cc main.o answer.o -o program",
                "ulimit -n 24; OGRT_STRICT=1 ogrt-cc gcc -specs=fixed.specs main.o answer.o -o program",
            ],
            1,
            ["not marked: "; 2],
        ),
        (
            "a tool that does not start",
            [
                "OGRT_REAL_LD=./linker ogrt-cc main.o answer.o -o program",
                "ogrt-cc ./nvcc main.o answer.o -o program",
            ],
            1,
            ["not marked: the tool did not start with the note: ", "not marked: ./nvcc neither runs "],
        ),
        (
            "a probe",
            [
                "ogrt-cc -Wl,conftest.o answer.o -o program",
                "ogrt-cc gcc -specs=fixed.specs -Wl,conftest.o answer.o -o program",
            ],
            0,
            ["not marked: a probe of a configure script"; 2],
        ),
        (
            "OGRT_DISABLE",
            [&format!("OGRT_DISABLE=1 {by_linker}"), &format!("OGRT_DISABLE=1 {by_driver}")],
            0,
            ["not marked: OGRT_DISABLE is set"; 2],
        ),
    ] {
        let decided = [linker, driver].map(|line| {
            let outcome = bench.ours(line);
            assert_eq!(outcome.code, Some(code), "{what}: {outcome:?}");
            outcome_of(&bench)
        });
        // A driver that cannot be run was found out in its trial.
        assert!(decided[0] == decided[1] || decision[0] != decision[1], "{what}: {decided:?}");
        for (lines, decision) in decided.iter().zip(decision) {
            assert!(matches!(&lines[..], [line] if line.starts_with(decision)), "{what}: {decided:?}");
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_is_no_reason_to_fail() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.write("file", "");
    bench.set("OGRT_SAVE_LINK", bench.path("file/below"));
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    assert_eq!(signatures_of(&bench.path("program")).len(), 1);
}
