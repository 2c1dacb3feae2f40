//! Files: valid after every event, repaired after a crash, and nobody else's touched.

use crate::daemon::{Daemon, OGRT_0_5, wait_for};
use std::fs;

#[test]
fn a_job_file_is_valid_json_after_every_event() {
    let daemon = Daemon::start("");
    for count in 1..=40 {
        daemon.datagram(OGRT_0_5);
        // Reading it parses it, whenever that happens.
        wait_for("the event", || {
            daemon.job_file("TESTJOB.json").filter(|job| job["processes"].as_array().unwrap().len() == count)
        });
    }
}

#[test]
fn a_file_cut_off_by_a_crash_is_repaired() {
    let mut daemon = Daemon::start("");
    for _ in 0..3 {
        daemon.datagram(OGRT_0_5);
    }
    wait_for("three events", || (daemon.lines().len() == 3).then_some(()));
    daemon.stop();
    let (job, lines) = (daemon.path().join("jobs/TESTJOB.json"), daemon.path().join("lines/events.jsonl"));
    for path in [&job, &lines] {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() - 50]).unwrap();
    }
    let daemon = daemon.crash_and_restart("");
    daemon.datagram(OGRT_0_5);
    // Two that were whole, and the new one; before it is there, the file is as the crash left it.
    wait_for("the repair", || daemon.log().contains("was cut off by a crash").then_some(()));
    wait_for("a whole file", || (fs::read(&job).unwrap().ends_with(b"\n]}\n")).then_some(()));
    assert_eq!(daemon.job_file("TESTJOB.json").unwrap()["processes"].as_array().unwrap().len(), 3);
    wait_for("whole lines", || fs::read(&lines).unwrap().ends_with(b"]}\n").then_some(()));
    wait_for("three lines", || (daemon.lines().len() == 3).then_some(()));
}

#[test]
fn a_foreign_file_is_kept_aside() {
    let daemon = Daemon::start("");
    let path = daemon.path().join("jobs/TESTJOB.json");
    fs::write(&path, "somebody's notes").unwrap();
    daemon.datagram(OGRT_0_5);
    wait_for("the event", || {
        let text = fs::read_to_string(&path).ok()?;
        text.starts_with("{\"job_id\"").then_some(())
    });
    let aside = fs::read_dir(daemon.path().join("jobs")).unwrap().map(|file| file.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.extension().is_some_and(|e| e == "foreign")).collect();
    assert_eq!(fs::read_to_string(&aside[0]).unwrap(), "somebody's notes");
}
