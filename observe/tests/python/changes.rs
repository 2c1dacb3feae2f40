//! Processes that change while they are read.

use crate::interpreter::Interpreter;
use ogrt_observe::python::{READINGS_MAX, pythons, pythons_within};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Threads that import and delete modules, and make texts of the same length that are no modules,
/// from the memory that the names had.
const CHURN: &str = r#"
import sys, threading, types, colorsys
t = threading.Thread(target=int)
t.start()
t.join()
modules = sys.modules
def churn(thread):
    n = 0
    while True:
        n += 1
        name = "churn_%d_%06d" % (thread, n)
        modules[name] = types.ModuleType(name)
        if n % 7 == 0:
            modules.pop("colorsys", None)
            try:
                import colorsys
            except (ImportError, KeyError):
                pass
        del modules[name]
        name = None
        wrong = ["wrong_%d_%06d" % (thread, n + i) for i in range(20)]
        for i in range(n % 50):
            modules["churn_%d_%06d" % (thread, i)] = sys
        for i in range(n % 50):
            del modules["churn_%d_%06d" % (thread, i)]
        wrong = ["wrong_%d_%06d" % (thread, n + i) for i in range(20)]
for thread in range(3):
    t = threading.Thread(target=churn, args=(thread,))
    t.daemon = True
    t.start()
"#;

#[test]
fn names_are_never_wrong_while_threads_import_and_delete() {
    for interpreter in Interpreter::all() {
        // What is there before the threads begin is said by a process without them.
        let (before, _) = CHURN.split_once("def churn").unwrap();
        let fixed = interpreter.run(&[], before).modules.clone();
        let process = interpreter.run(&[], CHURN);
        let (mut complete, mut found, mut churned) = (0, 0, 0);
        for _ in 0..1000 {
            let python = process.read();
            complete += usize::from(python.is_complete);
            for name in &python.modules {
                let is_churn = name.starts_with("churn_");
                assert!(is_churn || fixed.contains(name), "{interpreter}: {name:?} was never a module");
                churned += usize::from(is_churn);
                found += usize::from(!is_churn);
            }
        }
        let share = found * 100 / (fixed.len() * 1000);
        println!(
            "{interpreter}: {complete} of 1000 readings complete, {share} % of what stays, {churned} that come and go"
        );
        assert!(share >= 90, "{interpreter}: {share} %");
    }
}

/// A program that pretends to be an interpreter and changes its memory and its mappings all the
/// time, with pointers to everywhere.
const HOSTILE: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
uint64_t _PyRuntime[1 << 12] __attribute__((aligned(4096)));
unsigned long Py_Version = 0x030B02F0;
void PyInterpreterState_Head(void) {}
static volatile uint64_t seed = 88172645463325252ull;
static uint64_t next(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static void *change(void *arg) {
    static uint64_t heap[1 << 16];
    static const uint64_t sizes[] = {0, 1, 8, 24, 255, 256, 65536, ~0ull, 1ull << 63};
    for (;;) {
        uint64_t *word = next() & 1 ? _PyRuntime + next() % (1 << 12) : heap + next() % (1 << 16);
        switch (next() % 8) {
        case 0: *word = sizes[next() % 9]; break;
        case 1: *word = next(); break;
        case 2: memcpy(word, "dict", 5); break;
        case 3: memcpy(word, "str", 4); break;
        case 4: *word = (uint64_t)_PyRuntime + next() % 64 * 8; break;
        default: *word = (uint64_t)(heap + next() % (1 << 16)); break;
        }
        if (next() % 64 == 0) memcpy(_PyRuntime, next() & 1 ? "xdebugpy" : "no cooky", 8);
        if (next() % 64 == 0) _PyRuntime[1] = 0x030d00f0 + (next() & 1) * 0x10000;
        if (next() % 64 == 0) Py_Version = 0x03060000 + (next() % 9) * 0x10000;
        for (int i = 2; i < 13; i++) if (next() % 16 == 0) _PyRuntime[i] = next() % 512 * 8;
        if (next() % 4096 == 0) {
            void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            heap[next() % (1 << 16)] = (uint64_t)page;
            if (next() & 1) munmap(page, 4096);
        }
    }
    return arg;
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, change, 0);
    write(1, ".\n", 2);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
"#;

#[test]
fn a_hostile_program_costs_no_more_than_the_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), HOSTILE) else { return };
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It has begun to change when it says something.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let (mut longest, mut found) = (Duration::ZERO, 0);
    let mut versions = BTreeSet::new();
    for _ in 0..5_000 {
        let start = Instant::now();
        for python in pythons(child.id()).unwrap() {
            found += 1;
            versions.insert((python.version.major, python.version.minor));
            assert!(python.modules.len() <= 64 * 16_384);
        }
        longest = longest.max(start.elapsed());
    }
    println!("taken for a Python {found} times of 5000, as {versions:?}; the longest reading: {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The program that a process becomes is another one: what was read of the first is not its.
#[test]
fn a_program_that_becomes_another_is_told_apart() {
    for interpreter in Interpreter::all() {
        let script = "import os, sys, colorsys\n\
                      if len(sys.argv) < 300: os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], sys.argv[1]] + ['x'] * (len(sys.argv) + 10))";
        let mut child = Command::new(&interpreter.program)
            .args(["-c", script, script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (mut readings, mut changed) = (0, 0);
        while child.try_wait().unwrap().is_none() {
            match pythons(child.id()) {
                Ok(found) => assert!(found.len() <= 1, "{interpreter}"),
                Err(_) => changed += 1,
            }
            readings += 1;
        }
        println!("{interpreter}: {changed} of {readings} readings met an exec");
        assert!(readings > 0);
    }
}

/// A program whose memory waits for a handler of page faults that never answers.
const SILENT: &str = r#"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
unsigned long _PyRuntime[512] __attribute__((aligned(4096)));
int main(void) {
    int handler = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register pages = {
        .range = {(unsigned long)_PyRuntime, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (handler < 0 || ioctl(handler, UFFDIO_API, &api) || ioctl(handler, UFFDIO_REGISTER, &pages))
        write(1, "-", 1);
    else
        write(1, "+", 1);
    char byte;
    return read(0, &byte, 1) != 0;
}
"#;

#[test]
fn a_process_that_never_answers_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compile(folder.path(), SILENT) else { return };
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answer = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    let limit = Duration::from_millis(100);
    if answer == *b"+" {
        for _ in 0..READINGS_MAX {
            let start = Instant::now();
            assert_eq!(pythons_within(child.id(), limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() < Duration::from_secs(5));
        }
        assert_eq!(pythons_within(child.id(), limit).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    } else {
        println!("skipped: needs userfaultfd for memory that the kernel reads");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // With the process the readings end, and others are read again.
    let Some(interpreter) = Interpreter::all().into_iter().next() else { return };
    let process = interpreter.run(&[], "");
    let end = Instant::now() + Duration::from_secs(10);
    let read = loop {
        match pythons_within(process.pid(), Duration::from_secs(5)) {
            Err(busy) if busy.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {}
            read => break read.unwrap(),
        }
    };
    assert_eq!(read[0].modules, process.modules);
}

/// The program of a source in C. None without a compiler is a visible skip, and a failure in CI.
fn compile(folder: &Path, source: &str) -> Option<PathBuf> {
    let (file, program) = (folder.join("source.c"), folder.join("program"));
    fs::write(&file, source).unwrap();
    let mut gcc = Command::new("gcc");
    let linked = gcc.args(["-O1", "-w", "-rdynamic", "-pthread", "-o"]).arg(&program).arg(&file).status();
    if linked.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    assert!(env::var_os("CI").is_none(), "needs gcc");
    println!("skipped: needs gcc");
    None
}
