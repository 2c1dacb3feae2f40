//! The spool under a crowd: hundreds of links at once, flushes that race, processes that are
//! killed, and no end of records. Nothing is lost that was put in, nothing is registered twice, and
//! there is a bound.

use ogrt_proto::{BuildRecord, MessageType, encode_frame};
use ogrt_wrap::deliver::connection::Server;
use ogrt_wrap::deliver::deliver_or_spool::flush;
use ogrt_wrap::deliver::spool::{FILES_MAX, SpoolDir, SpoolError};
use ogrt_wrapper_tests::{Bench, Manner, TestServer, has_tool};
use std::collections::HashSet;
use std::fs;
use std::time::Duration;

const PATIENT: Duration = Duration::from_secs(60);

/// The number of links at once: hundreds in the full size, fewer by default.
fn crowd() -> usize {
    if std::env::var_os("OGRT_TEST_FULL").is_some_and(|value| value == "1") { 600 } else { 120 }
}

fn signatures(records: &[BuildRecord]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.signature().to_vec()).collect()
}

#[test]
fn links_and_flushes_at_once_register_each_link_once() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    let links = crowd();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    // No server is there: all records are spooled.
    bench.ours_succeeds(&format!("seq {links} | xargs -P 32 -I N ogrt-cc main.o answer.o -o programN"));
    let spooled = signatures(&bench.spooled());
    assert_eq!(spooled.iter().collect::<HashSet<_>>().len(), links);
    // A server is there: flushes and further links empty the spool against each other.
    let server = TestServer::start(Manner::Answers);
    bench.set("OGRT_SERVER", server.address());
    let (spool, address) = (bench.spool(), Server::parse(server.address()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| flush(&spool, &address, None, PATIENT));
        }
        bench.ours_succeeds(
            "rm -rf $OGRT_SPOOL_DIR/resting; seq 20 | xargs -P 8 -I N ogrt-cc main.o answer.o -o moreN",
        );
    });
    let report = flush(&spool, &address, None, PATIENT);
    assert_eq!(report.left, 0, "{report:?}");
    let registered = signatures(&server.records());
    assert_eq!(registered.iter().collect::<HashSet<_>>().len(), links + 20, "all are registered");
    assert!(spooled.iter().all(|signature| registered.contains(signature)));
    // A link whose server answers too late cannot know that it has the record, and keeps it. The
    // server recognises it by the signature.
    let twice = registered.len() - (links + 20);
    assert!(twice <= 20, "{twice} of 20 links, none of {links} from the spool");
    let from_spool = registered.iter().filter(|signature| spooled.contains(signature)).count();
    assert_eq!(from_spool, links, "none from the spool twice");
}

#[test]
fn links_that_are_killed_leave_only_whole_records() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    // At any moment: in the middle of a link, of a record, of a rename.
    let outcome = bench.ours(
        "for i in $(seq 60); do setsid timeout -s KILL 0.0$((i % 10))$((i % 7)) \
         ogrt-cc main.o answer.o -o program$i; done; ogrt-cc main.o answer.o -o last",
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let server = TestServer::start(Manner::Answers);
    let report = flush(&bench.spool(), &Server::parse(server.address()), None, PATIENT);
    assert_eq!((report.damaged, report.left), (0, 0), "{report:?}");
    assert!(!server.records().is_empty());
    let registered = signatures(&server.records());
    assert_eq!(registered.iter().collect::<HashSet<_>>().len(), registered.len());
}

#[test]
fn a_full_spool_refuses_what_is_new_and_a_link_goes_on() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    let spool = bench.spool();
    fs::create_dir_all(spool.path()).expect("a spool");
    for index in 0..FILES_MAX {
        fs::write(spool.path().join(format!("{index}.frames")), "").expect("a file");
    }
    let frame = encode_frame(MessageType::BuildRecord, &BuildRecord::default());
    assert!(matches!(spool.put(&frame), Err(SpoolError::Full { .. })));
    bench.ours_succeeds("ogrt-cc main.o answer.o -o program");
    assert_eq!(bench.bare("./program").code, Some(3));
    assert_eq!(spool.waiting().len(), FILES_MAX, "what waits is kept");
    let strict = bench.ours("OGRT_STRICT=1 ogrt-cc main.o answer.o -o program");
    assert!(strict.code == Some(1) && strict.stderr.contains("is full"), "{strict:?}");
}

#[test]
fn bytes_are_bounded_too() {
    let root = tempfile::tempdir().expect("a directory");
    let spool = SpoolDir::at(root.path());
    // A sparse file: as large as the bound, but without blocks on the disk.
    let large = fs::File::create(root.path().join("1.frames")).expect("a file");
    large.set_len(ogrt_wrap::deliver::spool::BYTES_MAX).expect("a size");
    let frame = encode_frame(MessageType::BuildRecord, &BuildRecord::default());
    assert!(matches!(spool.put(&frame), Err(SpoolError::Full { .. })));
}
