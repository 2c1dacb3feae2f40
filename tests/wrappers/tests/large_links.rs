//! Large links: a companion makes the digests at low priority, the build waits for the linker
//! alone, and the record is as whole as that of a small link.

use ogrt_proto::BuildRecord;
use ogrt_wrap::deliver::connection::Server;
use ogrt_wrap::deliver::deliver_or_spool::flush;
use ogrt_wrapper_tests::{Bench, Manner, TestServer, has_tool, signatures_of};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PATIENT: Duration = Duration::from_secs(60);

fn bench() -> Bench {
    // More bytes than a link hashes itself.
    let bench = Bench::new().with_program();
    bench.write("data.s", ".section .rodata\n.globl filling\nfilling:\n.fill 3000000, 1, 7\n.section .note.GNU-stack,\"\",@progbits\n");
    bench.write(
        "more.s",
        ".section .data\n.globl more\nmore:\n.fill 20000000, 1, 5\n.section .note.GNU-stack,\"\",@progbits\n",
    );
    assert_eq!(bench.bare("gcc -c main.c answer.c data.s more.s").code, Some(0));
    bench
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `/proc/PID` of the companions that were started from this bench, by its spool in their
/// environment.
fn companions(bench: &Bench) -> Vec<PathBuf> {
    let spool = format!("OGRT_SPOOL_DIR={}", bench.spool().path().display());
    let processes = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    processes
        .filter(|process| {
            let read = |name: &str| fs::read(process.join(name)).unwrap_or_default();
            let ours = read("environ").split(|&byte| byte == 0).any(|variable| variable == spool.as_bytes());
            ours && read("cmdline").starts_with(b"ogrt-ld-companion")
        })
        .collect()
}

fn only_record(bench: &Bench) -> BuildRecord {
    let mut records = bench.spooled();
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn the_record_is_whole() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.ours_succeeds("ogrt-cc main.o answer.o data.o more.o -o program");
    let record = only_record(&bench);
    assert_eq!(record.signature(), signatures_of(&bench.path("program"))[0]);
    assert!(record.inputs.iter().all(|input| input.sha256().len() == 32), "{:#?}", record.inputs);
    assert!(!record.compilers.is_empty() && record.duration_ns() > 0);
    let sums = bench.bare("sha256sum main.o more.o program").stdout;
    let output = record.output.expect("an output");
    assert!(sums.contains(&hex(output.sha256())) && output.loaded.is_some() && output.build_id.is_some());
    for name in ["main.o", "more.o"] {
        let input = record.inputs.iter().find(|input| input.path() == name.as_bytes()).expect("the input");
        assert!(sums.contains(&hex(input.sha256())), "{name}");
    }
}

#[test]
fn many_inputs_too_also_from_a_response_file_that_is_gone() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let many: Vec<String> = (0..100).map(|index| format!("many{index}.o")).collect();
    for name in &many {
        bench.write(
            &name.replace(".o", ".s"),
            &format!(".section .note.GNU-stack,\"\",@progbits\n.globl {0}\n{0}:\n", name.replace(".o", "")),
        );
    }
    let prepared = bench.bare("for i in many*.s; do as $i -o ${i%.s}.o; done; rm data.o more.o");
    assert_eq!(prepared.code, Some(0), "{prepared:?}");
    bench.write("line", &many.join("\n"));
    bench.ours_succeeds("ogrt-cc main.o answer.o @line -o program && rm -f many*.o line");
    let record = only_record(&bench);
    for name in &many {
        let input = record.inputs.iter().find(|input| input.path() == name.as_bytes());
        assert_eq!(input.expect("the input").sha256().len(), 32, "{name}, removed after the link");
    }
}

#[test]
fn what_is_changed_or_removed_right_after_the_link_has_no_false_digest() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.ours_succeeds("ogrt-cc -g main.o answer.o data.o more.o -o program && echo >> program");
    let record = only_record(&bench);
    let sum = bench.bare("head -c -1 program | sha256sum").stdout;
    let digest = record.output.expect("an output").sha256().to_vec();
    assert!(digest.is_empty() || sum.starts_with(&hex(&digest)), "either none, or that of what was linked");
    bench.ours_succeeds("ogrt-cc main.o answer.o data.o more.o -o gone && rm gone");
    assert_eq!(bench.spooled().len(), 2, "it is registered all the same");
}

#[test]
fn the_companion_holds_nothing_of_the_build() {
    if !has_tool("gcc") {
        return;
    }
    // This server takes the record and never acknowledges it, so the companion waits, and can be
    // looked at.
    let server = TestServer::start(Manner::Hangs);
    let mut bench = bench();
    bench.set("OGRT_SERVER", server.address());
    let started = Instant::now();
    bench.ours_succeeds("exec 7> jobserver; ogrt-cc main.o answer.o data.o more.o -o program");
    println!("the link took {:?}", started.elapsed());
    eventually("a companion", || !companions(&bench).is_empty());
    let process = companions(&bench).remove(0);
    eventually("it waits for the server", || !server.records().is_empty() || !process.exists());
    let links: Vec<String> = fs::read_dir(process.join("fd"))
        .expect("its descriptors")
        .flatten()
        .filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let root = bench.dir().parent().expect("a parent").to_string_lossy().into_owned();
    for link in &links {
        let is_an_input =
            [".o", ".a", ".so", ".so.6", ".so.1", ".so.2"].iter().any(|end| link.ends_with(end));
        let is_of_the_build = link.starts_with(&root) && !link.contains("/cache/") && !is_an_input;
        assert!(!is_of_the_build && !link.contains("jobserver"), "{link} in {links:?}");
    }
    assert_eq!(fs::read_link(process.join("cwd")).expect("a directory"), PathBuf::from("/"));
    let stat = fs::read_to_string(process.join("stat")).expect("its state");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    assert_eq!(fields[16], "19", "its nice value");
    assert_eq!(fields[38], "5", "SCHED_IDLE");
    let pid = process.file_name().expect("a pid").to_string_lossy().into_owned();
    assert_eq!(fields[2], pid, "a process group of its own");
    // In the end it gives up, and the record waits.
    eventually("it ends", || companions(&bench).is_empty());
    assert_eq!(bench.spooled().len(), 1);
}

#[test]
fn a_companion_that_is_killed_leaves_a_record_that_is_sent_later() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.ours_succeeds(
        "ogrt-cc main.o answer.o data.o more.o -o program; \
         for p in /proc/[0-9]*; do grep -qs ogrt-ld-[c]ompanion $p/cmdline && \
         grep -qs \"OGRT_SPOOL_DIR=$OGRT_SPOOL_DIR\" $p/environ && kill -9 ${p#/proc/}; done; true",
    );
    eventually("no companion", || companions(&bench).is_empty());
    let unfinished = || -> Vec<PathBuf> {
        let files = fs::read_dir(bench.spool().path()).expect("a spool").flatten().map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|suffix| suffix == "unfinished")).collect()
    };
    if unfinished().is_empty() {
        // If it was faster than the signal, the record is whole.
        assert_eq!(bench.spooled().len(), 1);
        return;
    }
    let server = TestServer::start(Manner::Answers);
    let address = Server::parse(server.address());
    assert_eq!(flush(&bench.spool(), &address, None, PATIENT).sent, 0, "its maker may still be at work");
    for path in unfinished() {
        assert!(bench.bare(&format!("touch -d '1 hour ago' {}", path.display())).code == Some(0));
    }
    assert_eq!(flush(&bench.spool(), &address, None, PATIENT).sent, 1);
    assert_eq!(server.records()[0].signature(), signatures_of(&bench.path("program"))[0]);
}

#[test]
fn a_link_that_fails_leaves_no_companion_and_no_record() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    assert_eq!(bench.ours("ogrt-cc main.o data.o more.o -o program").code, Some(1));
    eventually("no companion", || companions(&bench).is_empty());
    assert_eq!(bench.spooled().len(), 0);
}

#[test]
fn a_strict_build_leaves_nothing_for_later() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = bench();
    bench.set("OGRT_STRICT", "1");
    let outcome = bench.ours("ogrt-cc main.o answer.o data.o more.o -o program && ls $OGRT_SPOOL_DIR");
    assert!(outcome.code == Some(0) && outcome.stdout.contains(".frames"), "{outcome:?}");
}
