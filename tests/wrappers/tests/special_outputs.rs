//! Outputs that are not regular files: a device stays the device that it was, and nobody waits for
//! a pipe.
//!
//! Configure scripts link to /dev/null, and where they run as root whoever removes an output, or
//! renames another file over it, takes /dev/null away from the whole machine. So a device of our
//! own, which swallows as much, stands in its place here. Each line runs without us and with us;
//! afterwards the device must be what it was, or in the state in which the tools alone leave it.

use ogrt_wrapper_tests::{Bench, Outcome, has_tool, linkers};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::thread;

/// CC is the compiler with one of the linkers.
const LINES: &[&str] = &[
    "CC main.o answer.o -o null",
    "CC main.c answer.c -o null",
    "CC -s main.o answer.o -o null",
    "CC -static main.o answer.o -o null",
    "CC -shared answer.o -o null",
    "CC -r answer.o -nostdlib -o null",
    "CC main.o answer.o -Wl,-Map=null -o program",
    "CC main.o answer.o -Wl,--dependency-file=null -o program",
    // Calls of configure and make.
    "CC conftest.c -o null",
    "CC -c main.c -o null",
    "CC -S main.c -o null",
    "CC -c main.c -MD -MF null -o main.o",
    // Failing links: a tool deletes the output that it has begun.
    "CC main.o -o null",
    "CC broken.c -o null",
    "CC main.o missing.o -o null",
    "CC main.o answer.o -lmissing -o null",
    // Tools that change a program afterwards.
    "CC main.o answer.o -o program && strip program -o null",
    "CC main.o answer.o -o program && objcopy program null",
    "CC main.o answer.o -o null && strip null",
    // A symbolic link, such as /dev/stdout.
    "ln -s null link && CC main.o answer.o -o link",
];

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    bench.write("conftest.c", "int main(void) { return 0; }\n");
    bench.write("broken.c", "int main(void) { return }\n");
    bench.write("fixed.specs", "*linker:\n/usr/bin/ld\n");
    assert_eq!(bench.bare("gcc -fPIC -c main.c answer.c").code, Some(0));
    bench
}

/// The null device under another name; not every user or file system may have it.
fn make_device(path: &Path) -> bool {
    let mode = Mode::from_raw_mode(0o666);
    let made = mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(1, 3)).is_ok()
        && fs::File::options().write(true).open(path).is_ok();
    if !made {
        assert!(std::env::var_os("CI").is_none(), "needs a device file, and in CI that is a failure");
        println!("skipped: needs the right to make a device file");
    }
    made
}

/// The file at the path: kind, device, inode, mode, owner.
fn state(path: &Path) -> Option<(bool, u64, u64, u32, u32)> {
    let file = fs::symlink_metadata(path).ok()?;
    Some((file.file_type().is_char_device(), file.rdev(), file.ino(), file.mode(), file.uid()))
}

#[test]
fn a_device_stays_what_it_was() {
    let compilers = ["gcc", "clang"].into_iter().filter(|tool| has_tool(tool));
    // The links of each compiler have a directory and a device of their own.
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = compilers.map(|compiler| scope.spawn(move || wrong_lines(compiler))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the links of a compiler")).collect()
    });
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
}

/// The lines that end otherwise with us, or after which the device is not what it was.
fn wrong_lines(compiler: &str) -> Vec<String> {
    let bench = bench();
    let device = bench.path("null");
    if !make_device(&device) {
        return Vec::new();
    }
    let mut calls: Vec<String> = linkers().map(|linker| format!("{compiler} -fuse-ld={linker}")).collect();
    if compiler == "gcc" {
        // A driver that cannot be led to us.
        calls.push("gcc -specs=fixed.specs".to_owned());
    }
    let mut wrong = Vec::new();
    for call in calls {
        for line in LINES {
            let run = |command: &str, how: fn(&Bench, &str) -> Outcome| {
                let _ = fs::remove_file(&device);
                assert!(make_device(&device));
                let before = state(&device);
                let outcome = how(&bench, &line.replace("CC", command));
                let kept = state(&device) == before;
                bench.bare("rm -f link program");
                (outcome.code, outcome.signal, outcome.stderr.lines().count(), kept)
            };
            let bare = run(&call, Bench::bare);
            let ours = run(&format!("ogrt-cc {call}"), Bench::ours);
            if ours != bare || !ours.3 {
                wrong.push(format!("{}\n  ours: {ours:?}\n  bare: {bare:?}", line.replace("CC", &call)));
            }
        }
    }
    wrong
}

#[test]
fn nobody_waits_at_a_pipe_that_the_linker_wrote_to() {
    let bench = bench();
    for linker in linkers() {
        for option in ["-Wl,--dependency-file=pipe -o program", "-Wl,-Map=pipe -o program", "-o pipe"] {
            let line = |compiler: &str| {
                format!(
                    "rm -f pipe; mkfifo pipe; timeout 60 cat pipe > read & \
                     timeout 60 {compiler} -fuse-ld={linker} main.o answer.o {option}; \
                     ended=$?; : <> pipe; wait; echo $ended"
                )
            };
            let (bare, ours) = (bench.bare(&line("gcc")), bench.ours(&line("ogrt-cc gcc")));
            assert_eq!((ours.stdout, ours.stderr), (bare.stdout, bare.stderr), "{linker}, {option}");
        }
    }
}
