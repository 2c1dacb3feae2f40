//! Builds and events come together, in whichever order they come.

use crate::daemon::{Daemon, build, build_frame, wait_for};
use ogrt_proto::{BuildMetadata, MessageType, Note, ProcessEnd, ProcessInfo, SharedObject, encode_frame};
use prost::Message;
use std::time::{Duration, Instant};

/// An event of a program with this signature, and a library with the next.
pub fn event(job: &str, signature: u8) -> bytes::Bytes {
    let note = |signature: u8| {
        let metadata = BuildMetadata { name: Some("from the note".into()), ..Default::default() };
        Note {
            signature: Some(vec![signature; 16].into()),
            metadata: Some(metadata.encode_to_vec().into()),
            version: Some(2),
        }
    };
    let object = SharedObject {
        path: Some("/lib/libx.so".into()),
        notes: vec![note(signature + 1)],
        ..Default::default()
    };
    let info = ProcessInfo {
        job_id: Some(job.to_owned().into()),
        notes: vec![note(signature)],
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
    for (count, kind) in [(1, "registered"), (1, "known"), (1, "conflicting")] {
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
    wait_for("the event to wait", || (daemon.metric("ogrt_events_held") == 1).then_some(()));
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
    assert_eq!(daemon.metric("ogrt_join_timeouts_total"), 0);
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
    assert_eq!(daemon.metric("ogrt_join_waits_total"), 1);
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
    wait_for("the event to wait", || (daemon.metric("ogrt_events_held") == 1).then_some(()));
    let daemon = daemon.crash_and_restart(wait);
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(1, "program")).unwrap();
    stream.send(&build_frame(2, "library")).unwrap();
    let job = wait_for("the event", || daemon.job_file("patient.json"));
    assert_eq!(job["processes"][0]["build"]["name"], "program");
    assert_eq!(daemon.lines().len(), 1);
}

pub fn process(job: &str, number: u64, path: &str, host: &str) -> bytes::Bytes {
    let info = ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(7, number).as_bytes().to_vec().into()),
        job_id: Some(job.to_owned().into()),
        binpath: Some(path.to_owned().into()),
        hostname: Some(host.to_owned().into()),
        username: Some("somebody".into()),
        ..Default::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

fn ends(number: u64) -> bytes::Bytes {
    let id = uuid::Uuid::from_u64_pair(7, number).as_bytes().to_vec();
    encode_frame(MessageType::ProcessEnd, &ProcessEnd { event_id: Some(id.into()), ..Default::default() })
}

#[test]
fn the_filter_drops_what_its_first_matching_rule_says_and_follows_a_reload() {
    let rules = "[[filter]]\naction = \"keep\"\nhost = \"^login\"\n[[filter]]\npath = \"^/usr/bin/\"\nuser = \"body$\"\n";
    let daemon = Daemon::start(rules);
    let mut stream = daemon.acknowledged();
    for (number, path, host) in [
        (0, "/usr/bin/true", "node1"),
        (1, "/usr/bin/true", "login1"),
        (2, "/opt/bin/true", "node1"),
        (3, "/usr/bin/false", "node1"),
    ] {
        stream.send(&process("filtered", number, path, host)).unwrap();
        stream.send(&ends(number)).unwrap();
    }
    stream.wait_for(8).unwrap();
    // Both ends of what was dropped are dropped, too.
    wait_for("two processes and their ends", || (daemon.lines().len() == 4).then_some(()));
    assert_eq!(daemon.metric("ogrt_events_filtered_total"), 4);
    let paths: Vec<_> = daemon.lines().iter().filter_map(|line| line.get("binpath").cloned()).collect();
    assert_eq!(paths, ["/usr/bin/true", "/opt/bin/true"]);

    let config = daemon.path().join("ogrt.conf");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("^/usr/bin/", "^/opt/")).unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("the new rules", || daemon.log().contains("`filter` has changed").then_some(()));
    stream.send(&process("filtered", 4, "/opt/bin/true", "node1")).unwrap();
    stream.send(&process("filtered", 5, "/usr/bin/true", "node1")).unwrap();
    stream.wait_for(10).unwrap();
    wait_for("one more", || (daemon.lines().len() == 5).then_some(()));
    assert_eq!(daemon.metric("ogrt_events_filtered_total"), 5);
}

#[test]
fn a_job_over_its_limit_is_counted_exactly_across_crashes_and_delays_no_other() {
    const EVENTS: u64 = 3000;
    let more = "[limit]\nevents_per_second = 50\nburst_events = 200\nsummary_every = \"1500ms\"\n";
    let mut daemon = Daemon::start(more);
    for round in 0..3 {
        let mut stream = daemon.acknowledged();
        for number in round * EVENTS / 3..(round + 1) * EVENTS / 3 {
            let path = format!("/bin/program{}", number % 40);
            stream.send(&process("flood", number, &path, "node")).unwrap();
        }
        stream.send(&process("modest", 10_000 + round, "/bin/modest", "node")).unwrap();
        stream.wait_for(EVENTS / 3 + 1).unwrap();
        // At different moments: before a summary is written, and while it gathers.
        std::thread::sleep(std::time::Duration::from_millis(100 + 200 * round));
        daemon = daemon.crash_and_restart(more);
    }
    let count = |daemon: &Daemon| {
        let (mut singly, mut counted) = (0, 0);
        for line in daemon.lines().iter().filter(|line| line["job_id"] == "flood") {
            if line["type"] == "summary" {
                counted += line["summary"]["starts"].as_u64().unwrap();
                let programs = line["summary"]["programs"].as_array().unwrap();
                assert!(programs.len() <= 33, "{line}");
                let sum: u64 = programs.iter().map(|program| program["starts"].as_u64().unwrap()).sum();
                assert_eq!(sum, line["summary"]["starts"].as_u64().unwrap());
            } else {
                singly += 1;
            }
        }
        (singly, counted)
    };
    wait_for("the summaries", || {
        let (singly, counted) = count(&daemon);
        (singly + counted >= EVENTS).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (singly, counted) = count(&daemon);
    assert_eq!(singly + counted, EVENTS, "{singly} singly");
    assert!((200..EVENTS / 2).contains(&singly), "{singly} singly");
    let modest = daemon.lines().iter().filter(|line| line["job_id"] == "modest").count();
    assert_eq!(modest, 3);
    // The job's answer and its file have the summaries as well.
    let (_, answer) = daemon.get("/v1/jobs/flood");
    let sum = |all: &serde_json::Value| -> u64 {
        all.as_array().unwrap().iter().filter_map(|one| one["summary"]["starts"].as_u64()).sum()
    };
    assert_eq!(sum(&answer["summaries"]), counted);
    // Reports say how many are in no line.
    let (_, report) = daemon.get("/v1/report?by=");
    let told = [&report["total"]["processes"], &report["limited"]].map(|number| number.as_u64().unwrap());
    assert_eq!(told, [singly + 3, counted], "{report}");
    wait_for("the job's file", || {
        daemon.job_file("flood.json").filter(|job| sum(&job["processes"]) == counted).map(drop)
    });
}
