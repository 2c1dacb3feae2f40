//! Processes end in random ways, with threads that open libraries, fork, walk the list of objects
//! and hold locks, and on stacks of other kinds: with us each ends as it does without.
//!
//! A seed fixes what each process does, not the order of its threads. `OGRT_EXITS_SEED=n` starts
//! with that one, OGRT_TEST_FULL=1 starts 200,000 processes a mode in the place of 1,500, and
//! `OGRT_EXITS_COUNT=n` as many as it says.

use ogrt_preload_tests::*;
use std::{
    env,
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

const SOURCE: &str = include_str!("data/random_exits.c");

/// A library for the threads that open and close one, with thread-local storage of its own.
const OPENED: &str = "static __thread int room[16];\nint *touch(void) { return room; }\n";

#[test]
fn every_process_ends_as_its_seed_says() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "random_exits", SOURCE, &["-lpthread", "-ldl"]);
    let opened = folder.compile(Compiler::Gcc, "libopened.so", OPENED, &["-shared", "-fPIC"]);
    let is_full = env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let number =
        |name: &str, usual: u64| env::var(name).map_or(usual, |number| number.parse().expect("a number"));
    let count = number("OGRT_EXITS_COUNT", if is_full { 200_000 } else { 1_500 });
    let seed = number("OGRT_EXITS_SEED", 20_261_128);
    for (round, mode) in ["LD_PRELOAD", "LD_AUDIT"].into_iter().enumerate() {
        let socket = folder.join(&format!("{mode}.sock"));
        let (output, events) = while_listening(&socket, || {
            Command::new(&program)
                .args(["run", &(seed + round as u64).to_string(), &count.to_string()])
                .arg(&opened)
                .env("EXITS_LOADED_BY", mode)
                .env("EXITS_LOADS", library())
                .env("OGRT_ACTIVE", "1")
                .env("OGRT_SERVER", format!("unix:{}", socket.display()))
                .output()
                .unwrap()
        });
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{mode}, seed {seed}: {} {events} events", said.trim_end());
        assert!(output.status.success(), "{mode}, seed {seed}:\n{said}");
        assert!(output.stderr.is_empty(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(events >= count / 2, "{mode}: {events} events");
    }
}

/// The result of `action`, and the number of datagrams that came to `socket` meanwhile.
fn while_listening<T>(socket: &Path, action: impl FnOnce() -> T) -> (T, u64) {
    let listener = UnixDatagram::bind(format!("{}.dgram", socket.display())).unwrap();
    listener.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let (stop, events) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            let mut room = vec![0; 256 * 1024];
            while !stop.load(Ordering::Relaxed) {
                events.fetch_add(u64::from(listener.recv(&mut room).is_ok()), Ordering::Relaxed);
            }
        });
        let result = action();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, events.into_inner())
}
