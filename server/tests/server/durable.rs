//! The queue: what is sent again is there once, a stop lets everything out, a full one keeps its
//! word.

use crate::daemon::{Daemon, wait_for};
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use serde_json::Value;
use std::{io::Write, os::unix::net::UnixStream, thread, time::Duration};

fn event(client: u32, number: u32) -> (String, bytes::Bytes) {
    let uuid = uuid::Uuid::from_u64_pair(u64::from(client), u64::from(number));
    let info = ProcessInfo {
        event_id: Some(uuid.as_bytes().to_vec().into()),
        job_id: Some(format!("job{}", number % 5).into()),
        pid: Some(number as i32),
        ..Default::default()
    };
    (uuid.to_string(), encode_frame(MessageType::ProcessInfo, &info))
}

#[test]
fn an_event_sent_again_is_queued_once() {
    let daemon = Daemon::start("");
    for _ in 0..2 {
        let mut stream = daemon.acknowledged();
        stream.send(&event(1, 1).1).unwrap();
        stream.wait_for(1).unwrap();
    }
    let daemon = daemon.crash_and_restart("");
    let mut stream = daemon.acknowledged();
    stream.send(&event(1, 1).1).unwrap();
    stream.send(&event(1, 2).1).unwrap();
    stream.wait_for(2).unwrap();
    let count = || daemon.lines().len();
    wait_for("the second event", || (count() >= 2).then_some(()));
    thread::sleep(Duration::from_millis(200));
    assert_eq!(count(), 2);
    assert_eq!(daemon.metric("ogrt_events_duplicate_total"), 1);
}

#[test]
fn a_stop_lets_everything_out_and_a_start_goes_on() {
    let mut daemon = Daemon::start("");
    for number in 0..500 {
        daemon.datagram(&event(1, number).1);
    }
    wait_for("all received", || (daemon.metric("ogrt_events_received_total") == 500).then_some(()));
    assert!(daemon.stop().success(), "{}", daemon.log());
    assert_eq!(daemon.lines().len(), 500);
    assert!(!daemon.unix.exists());
    let daemon = daemon.crash_and_restart("");
    daemon.datagram(&event(1, 500).1);
    wait_for("one more", || (daemon.lines().len() == 501).then_some(()));
}

#[test]
fn what_a_local_stream_could_send_is_written_however_the_server_stops() {
    for round in 0..5 {
        // One process that starts several times would have become other programs meanwhile.
        let mut daemon = Daemon::start("[follow]\nprocesses_max = 0\n");
        let send = |client: u32| {
            let mut stream = UnixStream::connect(&daemon.unix).unwrap();
            // What cannot be sent is known to the sender, and waits in its spool.
            thread::spawn(move || {
                (0..).take_while(|number| stream.write_all(&event(client, *number).1).is_ok()).count()
            })
        };
        let clients: Vec<_> = (0..4).map(send).collect();
        wait_for("some events", || (daemon.metric("ogrt_events_received_total") > 100).then_some(()));
        thread::sleep(Duration::from_millis(round * 7));
        assert!(daemon.stop().success(), "{}", daemon.log());
        let sent: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert_eq!(daemon.lines().len(), sent, "round {round}: {}", daemon.log());
    }
}

#[test]
fn a_full_queue_refuses_and_keeps_its_word() {
    // A directory in the place of the file lets the output fail until it is gone.
    let more = "[queue]\nbytes_max = \"64KiB\"\n";
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start_in(directory, more);
    std::fs::create_dir(daemon.path().join("jobs/blocked.json")).unwrap();
    let mut stream = daemon.acknowledged();
    let mut durable = 0;
    let refused = (0..200).find(|number| {
        stream.send(&noisy_event(*number, 4096)).is_err()
            || stream.wait_for(u64::from(*number) + 1).map(|d| durable = d).is_err()
    });
    assert!(refused.is_some_and(|number| number > 5), "refused: {refused:?}");
    assert!(daemon.metric("ogrt_events_refused_total") > 0);
    assert_eq!(daemon.get("/healthz").0, 503);
    // The other outputs have everything, and the builds can still be asked for.
    wait_for("the lines", || (daemon.lines().len() as u64 >= durable).then_some(()));
    std::fs::remove_dir(daemon.path().join("jobs/blocked.json")).unwrap();
    let processes = |job: Value| job["processes"].as_array().unwrap().len() as u64;
    wait_for("the jobs", || {
        daemon.job_file("blocked.json").map(processes).filter(|number| *number >= durable)
    });
    wait_for("room", || {
        let mut stream = daemon.acknowledged();
        stream.send(&noisy_event(1000, 4096)).ok()?;
        stream.wait_for(1).ok()
    });
    assert!(daemon.is_running());
}

#[test]
fn a_full_queue_may_drop_the_oldest_and_counts_them() {
    let more = "[queue]\nbytes_max = \"1MiB\"\nwhen_full = \"drop-oldest\"\n";
    let daemon = Daemon::start(more);
    // A directory in the place of the file: this output falls behind.
    std::fs::create_dir(daemon.path().join("jobs/blocked.json")).unwrap();
    let mut stream = daemon.acknowledged();
    for number in 0..200 {
        // Large ones, so that memory does not hold what the disk has dropped.
        stream.send(&noisy_event(number, 64 * 1024)).unwrap();
        stream.wait_for(u64::from(number) + 1).unwrap();
    }
    // The queue is small, so even an output that works may fall behind it; what it lost is counted.
    wait_for("the lines", || {
        let written = daemon.metric("ogrt_events_written_total{output=\"lines\"}");
        (written + daemon.metric("ogrt_batches_lost_total{output=\"lines\"}") == 200).then_some(())
    });
    std::fs::remove_dir(daemon.path().join("jobs/blocked.json")).unwrap();
    // The newest events are there, and what is not is counted: each was a batch of its own.
    let processes = wait_for("the newest event", || {
        let job = daemon.job_file("blocked.json")?;
        let processes = job["processes"].as_array()?.clone();
        (processes.last()?["event_id"] == uuid::Uuid::from_u64_pair(9, 199).to_string()).then_some(processes)
    });
    let lost = daemon.metric("ogrt_batches_lost_total{output=\"jobs\"}");
    assert!(lost > 50, "{lost}");
    // A delivery that was under way when its batches were dropped keeps them.
    assert!(processes.len() as u64 + lost >= 200 - 1, "{} and {lost}", processes.len());
    assert_eq!(daemon.metric("ogrt_events_refused_total"), 0);
}

/// An event of the job `blocked` that does not compress.
fn noisy_event(number: u32, bytes: u32) -> bytes::Bytes {
    let noise: Vec<u8> =
        (0..bytes / 4).flat_map(|i: u32| (i ^ number).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let info = ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(9, u64::from(number)).as_bytes().to_vec().into()),
        job_id: Some("blocked".into()),
        arguments: vec![noise.into()],
        ..Default::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}
