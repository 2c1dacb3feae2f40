//! Users with very many processes: what is followed, and what is looked at, is shared among users.

use crate::{
    daemon::{needs, wait_for},
    follow::{Stage, how, number, speaker},
    identity::{OTHER, USER},
    senders::open_to_all,
};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Child,
    time::Duration,
};

/// A stage that all users may enter; `None` where we may not be them.
fn stage(more: &str) -> Option<Stage> {
    let stage = Stage::open("stream", more)?;
    if !nix::unistd::geteuid().is_root() {
        needs("right to be other users");
        return None;
    }
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(stage.daemon.path(), &stage.daemon.unix);
    open(speaker().parent().unwrap());
    open(stage.path());
    open(&stage.path().join("start"));
    stage.write_start(None);
    Some(stage)
}

/// Children that are ended with this.
struct Crowd(Vec<Child>);

impl Crowd {
    fn join(&mut self, stage: &Stage, uid: u32, words: &str) {
        self.0.push(stage.speaker(words).uid(uid).gid(uid).spawn().unwrap());
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn starts(stage: &Stage) -> usize {
    stage.daemon.lines().iter().filter(|line| line["type"].is_null()).count()
}

fn end_of(stage: &Stage, of: u32) -> Value {
    wait_for("the end", || {
        stage.daemon.lines().into_iter().find(|line| line["type"] == "end" && number(line) == of)
    })
}

#[test]
fn a_user_with_very_many_processes_leaves_places_for_others() {
    let Some(stage) = stage("[follow]\nprocesses_max = 10\n") else { return };
    let mut crowd = Crowd(Vec::new());
    let mut first = stage.speaker("number 1 send start sleep 3000 exec number 2 send start exit 5");
    crowd.0.push(first.uid(USER).gid(USER).spawn().unwrap());
    wait_for("the first", || (starts(&stage) == 1).then_some(()));
    for at in 3..=22 {
        crowd.join(&stage, USER, &format!("number {at} send start sleep 60000"));
    }
    wait_for("the crowd", || (starts(&stage) == 21).then_some(()));
    let line =
        format!("ogrt_sender_over_share_total{{bound=\"follow.processes_max\",sender=\"uid {USER}\"}}");
    assert_eq!(stage.daemon.metric("ogrt_processes_followed"), 6, "half, and the one that makes it more");
    assert_eq!(
        (stage.daemon.metric(&line), stage.daemon.metric("ogrt_processes_unfollowed_total")),
        (15, 15)
    );
    let log = stage.daemon.log();
    assert!(log.contains(&format!("uid {USER} has more than its share of follow.processes_max")), "{log}");
    // Another user's is followed.
    crowd.join(&stage, OTHER, "number 100 send start exit 3");
    assert_eq!(crowd.0.last_mut().unwrap().wait().unwrap().code(), Some(3));
    assert_eq!(how(&end_of(&stage, 100)), json!(["exit", 3, null, null]));
    crowd.0[0].wait().unwrap();
    // A program that takes the place of the one before it needs no further place.
    assert_eq!(how(&end_of(&stage, 1)), json!(["exec", null, null, null]));
    assert_eq!(how(&end_of(&stage, 2)), json!(["exit", 5, null, null]));
}

#[test]
fn a_program_without_a_place_ends_the_one_that_it_has_replaced() {
    let Some(stage) = stage("[follow]\nprocesses_max = 1\n") else { return };
    let mut crowd = Crowd(Vec::new());
    crowd.join(&stage, USER, "number 1 send start sleep 200 exec number 2 send start sleep 300 exit 5");
    assert_eq!(how(&end_of(&stage, 1)), json!(["exec", null, null, null]));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!((starts(&stage), stage.daemon.metric("ogrt_processes_followed")), (2, 0));
    let ends = stage.daemon.lines().into_iter().filter(|line| line["type"] == "end").count();
    assert_eq!(ends, 1, "nobody knows of the second");
}

#[test]
fn looks_at_a_crowd_leave_looks_for_the_processes_of_others() {
    // Far fewer looks than the crowd would have.
    let Some(stage) = stage("[follow]\nsamples_per_second = 20\nsample_from = \"200ms\"\n") else { return };
    let mut crowd = Crowd(Vec::new());
    for at in 1000..1300 {
        crowd.join(&stage, USER, &format!("number {at} send start sleep 60000"));
    }
    wait_for("the crowd", || (starts(&stage) == 300).then_some(()));
    crowd.join(&stage, OTHER, "number 1 send start burn 500 sleep 2500 exit 0");
    let other = crowd.0.last_mut().unwrap().wait().unwrap();
    assert!(other.success());
    // It was looked at up to the last twentieth of its life.
    let end = end_of(&stage, 1)["end"].clone();
    let cpu_ms =
        (end["user_time_us"].as_u64().unwrap_or(0) + end["system_time_us"].as_u64().unwrap_or(0)) / 1000;
    assert!((440..=620).contains(&cpu_ms), "{end}");
    // Of the crowd, hardly any was.
    let pid = crowd.0[299].id();
    kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    crowd.0[299].wait().unwrap();
    assert_eq!(end_of(&stage, 1299)["end"]["signal"], 9);
}
