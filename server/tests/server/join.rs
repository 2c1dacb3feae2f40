//! Builds and events come together, in whichever order they come.

use crate::daemon::{Daemon, build, build_frame, wait_for};
use ogrt_proto::{BuildMetadata, MessageType, ProcessInfo, SharedObject, Watermark, encode_frame};
use prost::Message;
use std::time::{Duration, Instant};

/// An event of a program with this signature, and a library with the next.
fn event(job: &str, signature: u8) -> bytes::Bytes {
    let watermark = |signature: u8| {
        let metadata = BuildMetadata { name: Some("from the note".into()), ..Default::default() };
        Watermark {
            signature: Some(vec![signature; 16].into()),
            metadata: Some(metadata.encode_to_vec().into()),
            version: Some(2),
        }
    };
    let object = SharedObject {
        path: Some("/lib/libx.so".into()),
        watermarks: vec![watermark(signature + 1)],
        ..Default::default()
    };
    let info = ProcessInfo {
        job_id: Some(job.to_owned().into()),
        watermarks: vec![watermark(signature)],
        shared_objects: vec![object],
        ..Default::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

#[test]
fn a_build_is_known_as_soon_as_it_is_acknowledged() {
    let daemon = Daemon::start("");
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(1, "zlib")).unwrap();
    assert_eq!(stream.wait_for(1).unwrap(), 1);
    let (status, json) = daemon.get("/v1/builds/01010101-0101-0101-0101-010101010101");
    assert_eq!(
        (status, &json["metadata"]["name"], &json["hostname"]),
        (200, &"zlib".into(), &"builder".into())
    );
    assert_eq!(daemon.get("/v1/builds/01010101010101010101010101010101").0, 200);
    assert_eq!(daemon.get("/v1/builds/02020202-0202-0202-0202-020202020202").0, 404);
    let (status, problem) = daemon.get("/v1/builds/nonsense");
    assert_eq!((status, &problem["status"], &problem["title"]), (400, &400.into(), &"Bad Request".into()));
}

#[test]
fn the_first_registration_stands() {
    let daemon = Daemon::start("");
    let mut stream = daemon.acknowledged();
    for name in ["first", "first", "second"] {
        stream.send(&build_frame(1, name)).unwrap();
    }
    stream.wait_for(3).unwrap();
    let (_, json) = daemon.get("/v1/builds/01010101-0101-0101-0101-010101010101");
    assert_eq!(json["metadata"]["name"], "first");
    for (count, kind) in [(1, "registered"), (1, "repeated"), (1, "conflicting")] {
        assert_eq!(daemon.metric(&format!("ogrt_builds_{kind}_total")), count, "{kind}");
    }
    assert!(daemon.log().contains("refused: the first stands"), "{}", daemon.log());
    let post = |name: &str| daemon.http("POST", "/v1/builds", &build(1, name).encode_to_vec()).0;
    assert_eq!((post("first"), post("third")), (200, 409));
    assert_eq!(daemon.http("POST", "/v1/builds", &build(9, "new").encode_to_vec()).0, 201);
    assert_eq!(daemon.http("POST", "/v1/builds", b"garbage").0, 400);
}

#[test]
fn builds_are_listed_by_name_user_and_time() {
    let daemon = Daemon::start("");
    let mut stream = daemon.acknowledged();
    for (signature, name) in [(1, "zlib"), (2, "hdf5"), (3, "zlib")] {
        stream.send(&build_frame(signature, name)).unwrap();
    }
    stream.wait_for(3).unwrap();
    let signatures = |question: &str| -> Vec<String> {
        let (status, json) = daemon.get(&format!("/v1/builds{question}"));
        assert_eq!(status, 200, "{json}");
        json["builds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["signature"].as_str().unwrap()[..2].to_owned())
            .collect()
    };
    assert_eq!(signatures(""), ["03", "02", "01"]);
    assert_eq!(signatures("?name=zlib"), ["03", "01"]);
    assert_eq!(signatures("?user=easybuild&limit=1"), ["03"]);
    assert_eq!(signatures("?user=nobody"), [""; 0]);
    assert_eq!(signatures("?since=1700000001"), [""; 0]);
    assert_eq!(daemon.get("/v1/builds?nome=zlib").0, 400);
}

#[test]
fn an_event_waits_for_its_record() {
    let daemon = Daemon::start("[join]\nwait = \"30s\"\n");
    daemon.datagram(&event("early", 1));
    wait_for("the event to wait", || (daemon.metric("ogrt_waiting") == 1).then_some(()));
    // It delays nobody.
    daemon.datagram(crate::daemon::OGRT_0_5);
    wait_for("another event", || daemon.job_file("TESTJOB.json"));
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(1, "program")).unwrap();
    stream.send(&build_frame(2, "library")).unwrap();
    let job = wait_for("the event", || daemon.job_file("early.json"));
    let process = &job["processes"][0];
    assert_eq!(
        (&process["build"]["name"], &process["build"]["source"]),
        (&"program".into(), &"record".into())
    );
    assert_eq!(process["shared_objects"][0]["build"]["name"], "library");
    assert_eq!(daemon.metric("ogrt_events_unjoined_total"), 0);
}

#[test]
fn an_event_whose_record_never_comes_goes_out_with_what_its_note_says() {
    let daemon = Daemon::start("[join]\nwait = \"500ms\"\n");
    let since = Instant::now();
    daemon.datagram(&event("never", 1));
    let job = wait_for("the event", || daemon.job_file("never.json"));
    assert!(since.elapsed() >= Duration::from_millis(500));
    let build = &job["processes"][0]["build"];
    assert_eq!((&build["name"], &build["source"]), (&"from the note".into(), &"note".into()));
    // Nobody waits a second time for what did not come the first.
    daemon.datagram(&event("again", 1));
    wait_for("the second event", || daemon.job_file("again.json"));
    assert_eq!(daemon.metric("ogrt_events_waited_total"), 1);
    // An answer about a job knows records that came after the event.
    daemon.acknowledged().send(&build_frame(1, "late")).unwrap();
    wait_for("the late record", || {
        (daemon.get("/v1/jobs/never").1["processes"][0]["build"]["name"] == "late").then_some(())
    });
}

#[test]
fn an_event_that_waits_survives_a_crash() {
    let wait = "[join]\nwait = \"20s\"\n";
    let daemon = Daemon::start(wait);
    daemon.datagram(&event("patient", 1));
    wait_for("the event to wait", || (daemon.metric("ogrt_waiting") == 1).then_some(()));
    let daemon = daemon.crash_and_restart(wait);
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(1, "program")).unwrap();
    stream.send(&build_frame(2, "library")).unwrap();
    let job = wait_for("the event", || daemon.job_file("patient.json"));
    assert_eq!(job["processes"][0]["build"]["name"], "program");
    assert_eq!(daemon.lines().len(), 1);
}
