//! The record of a link reaches the server, or waits in the spool, and the build never waits long.

use ogrt_proto::{BuildRecord, FileKind};
use ogrt_wrap::deliver::connection::Server;
use ogrt_wrap::deliver::{deliver_or_spool::flush, spool::SpoolDir};
use ogrt_wrapper_tests::{Bench, Manner, TestServer, has_tool, signatures_of};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const PATIENT: Duration = Duration::from_secs(10);

fn input<'a>(record: &'a BuildRecord, name: &str) -> &'a ogrt_proto::Input {
    let ends = |input: &&ogrt_proto::Input| input.path().ends_with(name.as_bytes());
    record.inputs.iter().find(ends).unwrap_or_else(|| panic!("no {name} in {:#?}", record.inputs))
}

fn tool_missing() -> bool {
    !has_tool("gcc")
}

#[test]
fn a_record_tells_the_whole_link() {
    if tool_missing() {
        return;
    }
    let server = TestServer::start(Manner::Answers);
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SERVER", server.address());
    bench.set("OGRT_META_NAME", "GROMACS").set("OGRT_META_VERSION", "2024.3");
    bench.set("OGRT_META_PACKAGER", "easybuild").set("OGRT_META_QUEUE", "night");
    bench.set("LOADEDMODULES", "gcc/12:openmpi/4.1");
    bench.write(".git/HEAD", "0123456789abcdef0123456789abcdef01234567\n");
    bench.ours_succeeds("ogrt-cc -g -O1 -c main.c answer.c && ar rcs libanswer.a answer.o");
    bench.ours_succeeds("ogrt-cc main.o -L. -lanswer -lm -o program");

    let records = server.records();
    assert_eq!(records.len(), 1);
    assert_eq!(bench.spooled().len(), 0);
    let record = &records[0];
    assert_eq!(record.signature(), signatures_of(&bench.path("program"))[0]);
    let metadata = record.metadata.as_ref().expect("metadata");
    assert_eq!((metadata.name(), metadata.version()), ("GROMACS", "2024.3"));
    assert_eq!(metadata.package_manager(), "easybuild");
    assert!(metadata.compiler().starts_with("gcc "), "{metadata:?}");
    assert_eq!((record.extra[0].key(), record.extra[0].value()), ("QUEUE", "night"));
    assert_eq!(record.loaded_modules, ["gcc/12", "openmpi/4.1"]);
    assert_eq!(record.source.as_ref().expect("a commit").git_commit().len(), 40);
    assert_eq!(record.working_directory(), bench.dir().as_os_str().as_encoded_bytes());
    assert_eq!(&record.driver_command[1..], ["main.o", "-L.", "-lanswer", "-lm", "-o", "program"]);
    assert!(record.linker_command.iter().any(|word| word.ends_with(b"crti.o")));
    let ours = |word: &bytes::Bytes| word.windows(12).any(|part| part == b"libexec/ogrt");
    assert!(!record.linker_command.iter().any(ours), "our own directory is not in the real linker's line");
    assert!(record.linker.as_ref().expect("a linker").version().contains("ld"), "{:?}", record.linker);
    assert!(!record.driver.as_ref().expect("a driver").version().is_empty());

    for (name, kind) in [
        ("main.o", FileKind::Object),
        ("libanswer.a", FileKind::Archive),
        ("crti.o", FileKind::Object),
        ("libc.so", FileKind::LinkerScript),
        ("libc.so.6", FileKind::SharedLibrary),
        ("libc_nonshared.a", FileKind::Archive),
        ("libm.so.6", FileKind::SharedLibrary),
    ] {
        let input = input(record, name);
        assert_eq!(input.kind(), kind, "{name}");
        assert_eq!(input.sha256().len(), 32, "{name}");
        assert!(input.size() > 0, "{name}");
    }
    assert!(input(record, "libc.so.6").build_id.is_some());
    let sum = bench.bare("sha256sum main.o program").stdout;
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let output = record.output.as_ref().expect("an output");
    assert!(sum.contains(&hex(input(record, "main.o").sha256())));
    assert!(sum.contains(&hex(output.sha256())));
    assert_eq!((output.machine(), output.path()), (std::env::consts::ARCH, &b"program"[..]));
    assert!(output.build_id.is_some());
    let dwarf = record.compilers.iter().find(|compiler| compiler.producer().contains("GNU C"));
    assert_eq!(dwarf.expect("DW_AT_producer").inputs(), 2, "main.o and libanswer.a: {:?}", record.compilers);
    assert!(record.duration_ns() > 0 && record.time_ns() > 0 && !record.hostname().is_empty());
}

#[test]
fn compilers_are_named_once_each_and_lto_objects_are_known() {
    if tool_missing() || !has_tool("clang") {
        return;
    }
    let bench = Bench::new().with_program();
    bench
        .write("third.c", "int third(void) { return 3; }\n")
        .write("fourth.c", "int fourth(void) { return 4; }\n");
    bench.ours_succeeds(
        "ogrt-cc gcc -g -O2 -flto -c main.c && ogrt-cc gcc -g -O1 -c answer.c third.c && \
         ogrt-cc clang -g -O1 -c fourth.c",
    );
    bench.ours_succeeds("ogrt-cc gcc -O2 -flto main.o answer.o third.o fourth.o -o program");
    // The second time the digests come from the cache, which does not hold kinds.
    bench.ours_succeeds("ogrt-cc gcc -O2 -flto main.o answer.o third.o fourth.o -o program2");
    for record in bench.spooled() {
        assert_eq!(input(&record, "main.o").kind(), FileKind::LtoObject);
        assert_eq!(input(&record, "third.o").kind(), FileKind::Object);
        let counted = |words: &[&str]| -> Vec<u32> {
            let named = |compiler: &&ogrt_proto::Compiler| {
                words.iter().all(|word| compiler.producer().contains(word))
            };
            record.compilers.iter().filter(named).map(|compiler| compiler.inputs()).collect()
        };
        assert_eq!(counted(&["GNU C", "-flto"]), [1], "{:?}", record.compilers);
        assert_eq!(counted(&["GNU C", "-O1"]), [2], "{:?}", record.compilers);
        assert_eq!(counted(&["clang version"]), [1], "{:?}", record.compilers);
    }
}

#[test]
fn a_program_is_recorded_as_a_program_by_every_linker() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    let mut expected = Vec::new();
    for linker in ["bfd", "gold", "lld", "mold"] {
        for (option, kind) in [
            ("-no-pie", FileKind::Executable),
            ("-pie", FileKind::Executable),
            ("-static-pie", FileKind::Executable),
            ("-shared", FileKind::SharedLibrary),
        ] {
            // gcc asks gold for it with an option that gold does not know.
            if (linker, option) == ("gold", "-static-pie") {
                continue;
            }
            let output = format!("{linker}{option}");
            bench.ours_succeeds(&format!(
                "ogrt-cc -fPIC -fuse-ld={linker} {option} main.c answer.c -o {output}"
            ));
            expected.push((output, kind));
        }
    }
    let records = bench.spooled();
    for (output, kind) in expected {
        let of_it = records.iter().filter_map(|record| record.output.as_ref());
        let found = of_it.filter(|found| found.path() == output.as_bytes()).map(ogrt_proto::Output::kind);
        assert_eq!(found.collect::<Vec<_>>(), [kind], "{output}");
    }
}

#[test]
fn a_digest_from_the_cache_is_the_same_digest() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc main.c answer.c -o one");
    bench.ours_succeeds("ogrt-cc main.c answer.c -o two");
    let records = bench.spooled();
    for name in ["libc.so.6", "libgcc.a"] {
        assert_eq!(input(&records[0], name).sha256(), input(&records[1], name).sha256(), "{name}");
    }
    assert_eq!(records[0].compilers, records[1].compilers);
    assert_ne!(records[0].signature(), records[1].signature());
}

#[test]
fn an_absent_server_is_no_reason_to_fail_and_a_flush_brings_the_record_later() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    assert_eq!(bench.spooled().len(), 1);

    let server = TestServer::start(Manner::Answers);
    let report = flush(&bench.spool(), &Server::parse(server.address()), None, PATIENT);
    assert_eq!((report.sent, report.left, report.error.is_none()), (1, 0, true), "{report:?}");
    assert_eq!(server.records()[0].signature(), signatures_of(&bench.path("program"))[0]);
    let again = flush(&bench.spool(), &Server::parse(server.address()), None, PATIENT);
    assert_eq!((again.sent, again.left), (0, 0));
    assert_eq!(server.records().len(), 1);
}

#[test]
fn a_later_link_takes_along_what_waits() {
    if tool_missing() {
        return;
    }
    let server = TestServer::start(Manner::Answers);
    let mut bench = Bench::new().with_program();
    bench.ours_succeeds("for i in 1 2 3; do ogrt-cc main.c answer.c -o program$i; done");
    assert_eq!(bench.spooled().len(), 3);
    bench.set("OGRT_SERVER", server.address());
    // A link waits 50 ms at most. On a busy machine that may not be enough for all.
    let links = (4..14).find(|link| {
        bench.ours_succeeds(&format!("ogrt-cc main.c answer.c -o program{link}"));
        bench.spooled().is_empty()
    });
    let links = links.expect("ten links took along what waited");
    let mut signatures: Vec<_> = server.records().iter().map(|r| r.signature().to_vec()).collect();
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), links);
}

/// A bare link takes some 30 ms here; with a server that hangs it may take 50 more, once. The bound
/// is wide, because the machine may be busy; without the rule, the link would take the server's 20
/// seconds.
#[test]
fn a_bad_server_costs_a_moment_once_and_then_nothing() {
    if tool_missing() {
        return;
    }
    for manner in [Manner::Hangs, Manner::Closes, Manner::Babbles] {
        let server = TestServer::start(manner);
        let mut bench = Bench::new().with_program();
        bench.set("OGRT_SERVER", server.address());
        bench.ours_succeeds("ogrt-cc -c main.c answer.c");
        let start = Instant::now();
        bench.ours_succeeds("ogrt-cc main.o answer.o -o program");
        assert!(start.elapsed() < Duration::from_secs(5), "{manner:?}: {:?}", start.elapsed());
        assert_eq!(server.connections(), 1, "{manner:?}");
        bench.ours_succeeds("ogrt-cc main.o answer.o -o program2");
        assert_eq!(server.connections(), 1, "{manner:?}: it is left alone for a while");
        assert_eq!(bench.spooled().len(), 2, "{manner:?}");
    }
}

#[test]
fn a_server_that_refuses_fails_strict_links_alone() {
    if tool_missing() {
        return;
    }
    let server = TestServer::start(Manner::Refuses);
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SERVER", server.address());
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    for _ in 0..2 {
        let strict = bench.ours("OGRT_STRICT=1 ogrt-cc main.c answer.c -o strict");
        assert_ne!(strict.code, Some(0));
        let said = &strict.stderr;
        assert!(said.contains("OGRT_TOKEN_FILE") && said.contains("refused"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    assert_eq!(bench.spooled().len(), 3, "the records wait for a token");
}

#[test]
fn a_server_whose_backlog_is_full_costs_no_more() {
    if tool_missing() {
        return;
    }
    // It listens and never accepts: connecting succeeds by the backlog, and no answer comes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_SERVER", listener.local_addr().expect("an address").to_string());
    let start = Instant::now();
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(bench.spooled().len(), 1);
}

#[test]
fn questions_of_configure_scripts_are_not_registered() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    bench.write("conftest.c", "int main(void) { return 0; }\n");
    bench.write("CMakeFiles/CMakeScratch/TryCompile-a/t.c", "int main(void) { return 0; }\n");
    bench.write("meson-private/tmpabc/t.c", "int main(void) { return 0; }\n");
    bench.ours_succeeds("ogrt-cc conftest.c -o conftest && ogrt-cc conftest.c");
    bench.ours_succeeds("cd CMakeFiles/CMakeScratch/TryCompile-a && ogrt-cc t.c -o cmTC_1234");
    bench.ours_succeeds("ogrt-cc meson-private/tmpabc/t.c -o meson-private/tmpabc/output.exe");
    bench.ours_succeeds("ogrt-cc meson-private/tmpabc/t.c -o meson-private/sanitycheckc.exe");
    for output in ["objs/autotest", "config-temp/qemu-conf.exe", "ffconf.Ab1/test", ".sconf_temp/conf_0"] {
        bench.ours_succeeds(&format!("mkdir -p $(dirname {output}) && ogrt-cc main.c answer.c -o {output}"));
    }
    assert_eq!(bench.spooled().len(), 0);
    bench.ours_succeeds("ogrt-cc main.c answer.c -o program");
    assert_eq!(bench.spooled().len(), 1);
}

#[test]
fn programs_that_are_gone_at_once_are_not_registered_and_those_that_moved_are() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    bench.write("q.c", "int main(void) { return 0; }\n");
    let path = |record: &BuildRecord| record.output.as_ref().expect("an output").path().to_vec();
    let waiting = || {
        let names = std::fs::read_dir(bench.spool().path()).into_iter().flatten().flatten();
        names.filter(|file| file.path().extension().is_some_and(|end| end == "unfinished")).count()
    };
    let settled = || {
        for _ in 0..600 {
            if waiting() == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(waiting(), 0, "records on probation");
        let mut outputs: Vec<String> =
            bench.spooled().iter().map(|r| String::from_utf8(path(r)).expect("a name")).collect();
        outputs.sort();
        outputs
    };
    // What configure scripts of their own kind do: each with another name, or all with one.
    bench.ours_succeeds("for i in 1 2 3 4 5; do ogrt-cc q.c -o q$i && ./q$i && rm q$i; done");
    bench.ours_succeeds("for i in 1 2 3 4; do ogrt-cc -DN=$i q.c -o q; done; rm q");
    assert_eq!(settled(), ["q1", "q2"], "the first ones might be somebody's programs");
    // A program that is moved, or stays, is one, whatever came before it.
    bench.ours_succeeds("mkdir bin; ogrt-cc q.c -o q && mv q bin/q; ogrt-cc q.c -o stays");
    assert_eq!(settled(), ["q", "q1", "q2", "stays"]);
    // Programs of other directories say nothing about one in this.
    bench.ours_succeeds("mkdir other; for i in 1 2 3; do ogrt-cc q.c -o other/r; done; ogrt-cc q.c -o next");
    assert!(bench.spooled().iter().any(|record| path(record) == b"next"));
    // Objects that were compiled before are of a build, and nobody asks whether it is gone.
    bench.ours_succeeds("ogrt-cc -c main.c answer.c && ogrt-cc main.o answer.o -o p && rm p");
    assert_eq!(waiting(), 0);
    assert_eq!(
        settled(),
        ["next", "other/r", "other/r", "other/r", "p", "q", "q1", "q2", "stays"],
        "two of `r` were registered at once, and the third stays"
    );
}

#[test]
fn a_failed_link_is_not_registered() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    assert_eq!(bench.ours("ogrt-cc main.c -o program").code, Some(1));
    assert_eq!(bench.spooled().len(), 0);
}

#[test]
fn a_hundred_links_at_once_spool_a_hundred_records() {
    if tool_missing() {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    bench.ours_succeeds("seq 100 | xargs -P 16 -I N ogrt-cc main.o answer.o -o programN");
    let mut signatures: Vec<_> = bench.spooled().iter().map(|r| r.signature().to_vec()).collect();
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), 100);
}

#[test]
fn two_flushes_at_once_send_each_record_once() {
    let server = TestServer::start(Manner::Answers);
    let root = tempfile::tempdir().expect("a directory");
    let spool = SpoolDir::at(root.path().join("spool"));
    for id in 0..200u8 {
        let record = BuildRecord { signature: Some(vec![id; 16].into()), ..BuildRecord::default() };
        let frame = ogrt_proto::encode_frame(ogrt_proto::MessageType::BuildRecord, &record);
        spool.put(&frame).expect("a spool");
    }
    let address = Server::parse(server.address());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| flush(&spool, &address, None, PATIENT));
        }
    });
    assert_eq!(spool.waiting().len(), 0);
    assert_eq!(server.records().len(), 200);
}

#[test]
fn what_is_damaged_in_the_spool_stops_nothing() {
    let server = TestServer::start(Manner::Answers);
    let root = tempfile::tempdir().expect("a directory");
    let spool = SpoolDir::at(root.path());
    std::fs::write(root.path().join("1-1-half.frames"), b"\0\0\0\x14\0\0\xff\xffhalf").expect("a file");
    let record = BuildRecord { signature: Some(vec![7; 16].into()), ..BuildRecord::default() };
    spool.put(&ogrt_proto::encode_frame(ogrt_proto::MessageType::BuildRecord, &record)).expect("a spool");
    let report = flush(&spool, &Server::parse(server.address()), None, PATIENT);
    assert_eq!((report.sent, report.damaged, report.left), (1, 1, 0), "{report:?}");
}
