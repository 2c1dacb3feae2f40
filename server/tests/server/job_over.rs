//! Jobs that are over, as a scheduler's epilog says: what they have left without an end.

use super::{
    daemon::{Acknowledged, needs, wait_for},
    follow::{Stage, how, number},
};
use ogrt_proto::{JobOver, MessageType, encode_frame};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    thread::sleep,
    time::Duration,
};

/// Somebody who is neither root nor the server's user.
const NOBODY: u32 = 65534;

fn over(job_id: &str, cluster: Option<&str>) -> bytes::Bytes {
    let cluster = cluster.map(|name| name.to_owned().into());
    encode_frame(MessageType::JobOver, &JobOver { job_id: Some(job_id.to_owned().into()), cluster })
}

impl Stage {
    fn say_over(&self, frame: &[u8]) {
        let mut stream = Acknowledged::unix(&self.daemon.unix);
        stream.send(frame).unwrap();
        stream.wait_for(1).unwrap();
    }

    fn told(&self) -> Vec<Value> {
        self.daemon.lines().into_iter().filter(|line| line["type"] == "end").collect()
    }

    fn starts(&self, count: usize) {
        wait_for("the starts", || {
            let starts = self.daemon.lines().into_iter().filter(|line| line["type"].is_null()).count();
            (starts == count).then_some(())
        });
    }
}

#[test]
fn what_nobody_follows_and_is_gone_has_an_end_when_its_job_is_over() {
    let Some(stage) =
        Stage::open("stream", "[follow]\nprocesses_max = 1\n[join]\nwait = \"1s\"\nparts_wait = \"1s\"\n")
    else {
        return;
    };
    let mut followed = stage.speak("send start sleep 60000");
    wait_for("it to be followed", || (stage.daemon.metric("ogrt_processes_followed") == 1).then_some(()));
    for number in 1..4 {
        stage.speak(&format!("number {number} send start exit 3")).wait().unwrap();
    }
    let mut unfollowed = stage.speak("number 4 send start sleep 60000");
    stage.starts(5);
    assert_eq!(stage.daemon.metric("ogrt_processes_unfollowed_total"), 4);

    // Another job, and a job of that name in another cluster.
    stage.say_over(&over("g", None));
    stage.say_over(&over("f", Some("alpha")));
    assert_eq!(stage.told().len(), 0);

    stage.say_over(&over("f", None));
    let ends = wait_for("the ends", || Some(stage.told()).filter(|ends| ends.len() == 3));
    for end in &ends {
        assert!((1..4).contains(&number(end)), "{end}");
        assert_eq!(how(end), json!(["unknown", null, null, null]));
        let end = &end["end"];
        let [alive, gone] = ["alive_until_ns", "gone_by_ns"].map(|key| end[key].as_i64().unwrap());
        assert!(alive < gone, "{end}");
        assert_eq!((&end["end_time_ns"], &end["duration_ns"]), (&Value::Null, &Value::Null));
    }
    let metric = |name: &str| stage.daemon.metric(name);
    assert_eq!((metric("ogrt_ends_by_job_total"), metric("ogrt_processes_after_job_total")), (3, 2));
    let [first, second] = [followed.id(), unfollowed.id()];
    let log = stage.daemon.log();
    let line = log.lines().find(|line| line.contains("still run here")).expect("a line in the log");
    assert!(line.contains(&first.to_string()) && line.contains(&second.to_string()), "{line}");

    // Said twice, nothing has two ends. What is followed ends as ever.
    stage.say_over(&over("f", None));
    followed.kill().unwrap();
    followed.wait().unwrap();
    unfollowed.kill().unwrap();
    unfollowed.wait().unwrap();
    wait_for("its end", || (stage.told().len() == 4).then_some(()));
    // The job is looked at once more, when events no longer wait: the other one is gone as well.
    let ends = wait_for("the last end", || Some(stage.told()).filter(|ends| ends.len() == 5));
    let of = |wanted: u32| how(ends.iter().find(|end| number(end) == wanted).unwrap());
    assert_eq!((of(0), of(4)), (json!(["signal", null, 9, null]), json!(["unknown", null, null, null])));
    sleep(Duration::from_secs(1));
    assert_eq!(stage.told().len(), 5);
}

#[test]
fn what_ended_while_no_server_was_there_has_one_end_though_its_job_is_over_as_well() {
    let Some(mut stage) = Stage::open("stream", "") else { return };
    let mut gone = stage.speak("number 1 send start sleep 60000");
    let mut alive = stage.speak("number 2 send start sleep 60000");
    stage.starts(2);
    stage.daemon = stage.daemon.crash_after("", || {
        gone.kill().unwrap();
        gone.wait().unwrap();
    });
    stage.say_over(&over("f", None));
    wait_for("the end", || (stage.told().len() == 1).then_some(()));
    assert_eq!(stage.daemon.metric("ogrt_processes_after_job_total"), 1);
    alive.kill().unwrap();
    alive.wait().unwrap();
    let ends = wait_for("both ends", || Some(stage.told()).filter(|ends| ends.len() == 2));
    assert_eq!(how(&ends[0]), json!(["unknown", null, null, null]));
    assert_eq!((number(&ends[1]), how(&ends[1])), (2, json!(["signal", null, 9, null])));
}

#[test]
fn only_root_and_the_servers_user_may_say_that_a_job_is_over() {
    let Some(stage) = Stage::open("stream", "[follow]\nprocesses_max = 1\n") else { return };
    let mut followed = stage.speak("send start sleep 60000");
    wait_for("it to be followed", || (stage.daemon.metric("ogrt_processes_followed") == 1).then_some(()));
    stage.speak("number 1 send start exit 3").wait().unwrap();
    stage.starts(2);

    // Over the network, with a token or without, nobody may.
    let mut stream = TcpStream::connect(&stage.daemon.tcp).unwrap();
    stream.write_all(&over("f", None)).unwrap();
    assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "it is closed");
    let refused = |stage: &Stage| stage.daemon.log().matches("only root and the server's own user").count();
    wait_for("the refusal", || (refused(&stage) == 1).then_some(()));
    if nix::unistd::geteuid().is_root() {
        fs::write(stage.path().join("over"), over("f", None)).unwrap();
        for directory in [stage.path(), stage.daemon.path()] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut speaker = stage.speaker("send over exit 0");
        assert!(speaker.uid(NOBODY).gid(NOBODY).status().unwrap().success());
        wait_for("the second refusal", || (refused(&stage) == 2).then_some(()));
    } else {
        needs("root, for a process of another user");
    }
    assert_eq!((stage.told().len(), stage.daemon.metric("ogrt_ends_by_job_total")), (0, 0));
    // The same words, from who may say them.
    stage.say_over(&over("f", None));
    wait_for("the end", || (stage.told().len() == 1).then_some(()));
    followed.kill().unwrap();
    followed.wait().unwrap();
}
