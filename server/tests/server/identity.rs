//! Who an event is about, and who sent it: proofs, claims, and relays.

use crate::{
    daemon::{Daemon, SERVER, needs, wait_for},
    senders::{UserProcess, Way, open_to_all},
};
use bytes::Bytes;
use ogrt_proto::{JobSummary, MessageType, ProcessEnd, ProcessInfo, Provenance, encode_frame};
use serde_json::{Value, json};
use std::{fs, process::Command};

/// A user who is not root, and another one.
pub const USER: u32 = 1;
pub const OTHER: u32 = 65_534;

pub fn id(number: u64) -> Bytes {
    uuid::Uuid::from_u64_pair(0x22, number).as_bytes().to_vec().into()
}

/// The start of a process that says it has this pid, with more fields.
pub fn start(number: u64, job: &str, pid: u32, more: ProcessInfo) -> Bytes {
    let info = ProcessInfo {
        event_id: Some(id(number)),
        job_id: Some(job.to_owned().into()),
        binpath: Some("/sw/app".into()),
        pid: Some(pid as i32),
        parent_pid: Some(77),
        ..more
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

pub fn end(number: u64, job: &str, pid: u32, duration_ns: u64) -> Bytes {
    let end = ProcessEnd {
        event_id: Some(id(number)),
        job_id: Some(job.to_owned().into()),
        pid: Some(pid as i32),
        duration_ns: Some(duration_ns),
        ..ProcessEnd::default()
    };
    encode_frame(MessageType::ProcessEnd, &end)
}

/// A server of which nobody is followed: here one process tells of many.
pub fn unfollowing(more: &str) -> Daemon {
    let daemon = Daemon::start(&format!("[follow]\nprocesses_max = 0\n{more}"));
    open_to_all(daemon.path(), &daemon.unix);
    daemon
}

/// A relay to `server`, with a token of scope `relay` there or without.
pub fn relay_to(server: &Daemon, token: Option<&str>, more: &str) -> Daemon {
    unfollowing(&format!("{more}{}", output_to(server, token)))
}

/// The configuration of an output to `server`, with a token of scope `relay` there or without.
pub fn output_to(server: &Daemon, token: Option<&str>) -> String {
    let mut up = format!(
        "[join]\nwait = \"0s\"\n[outputs.up]\ntype = \"ogrt\"\naddress = \"{}\"\nlinger = \"5ms\"\n",
        server.tcp
    );
    if let Some(name) = token {
        let config = server.path().join("ogrt.conf");
        let made = Command::new(SERVER)
            .arg("--config")
            .arg(config)
            .args(["token", "add", name, "--scope", "relay"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = server.path().join(format!("token-{name}"));
        fs::write(&file, made.stdout).unwrap();
        up.push_str(&format!("token_file = \"{}\"\n", file.display()));
    }
    up
}

/// Both users, where we may be them.
pub fn users() -> Option<[UserProcess; 2]> {
    if !nix::unistd::geteuid().is_root() {
        needs("right to be other users");
        return None;
    }
    let [Some(user), Some(other)] = [USER, OTHER].map(UserProcess::start) else {
        needs("python3");
        return None;
    };
    Some([user, other])
}

/// The processes of a job, once there are so many.
fn processes(daemon: &Daemon, job: &str, count: usize) -> Vec<Value> {
    wait_for("the processes", || {
        let (_, answer) = daemon.get(&format!("/v1/jobs/{job}"));
        answer["processes"].as_array().filter(|all| all.len() >= count).cloned()
    })
}

/// These keys of a document.
fn keys(document: &Value, keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| document[*key].clone()).collect()
}

const WHO: [&str; 6] = ["identity", "uid", "pid", "parent_pid", "delivered_by", "via"];

#[test]
fn a_process_that_tells_of_itself_is_proved_and_every_other_is_a_claim() {
    let Some([mut user, _]) = users() else { return };
    let daemon = unfollowing("");
    let pid = user.pid;
    let own = ProcessInfo { uid: Some(OTHER), username: Some("somebody".into()), ..ProcessInfo::default() };
    let stale = ProcessInfo { start_time_ns: Some(1_700_000_000_000_000_000), ..own.clone() };
    let mut jobs = Vec::new();
    for (number, (way, pid, info)) in [
        (Way::Datagram, pid, &own),
        (Way::Stream, pid, &own),
        (Way::Greeted, pid, &own),
        // Somebody else's, or what may be from a spool.
        (Way::Datagram, 4711, &own),
        (Way::Stream, 4711, &own),
        (Way::Greeted, 4711, &own),
        (Way::Greeted, pid, &stale),
        (Way::PassedOn, pid, &own),
    ]
    .into_iter()
    .enumerate()
    {
        let job = format!("own{number}");
        user.send(&daemon.unix, way, &[start(number as u64, &job, pid, info.clone())]);
        jobs.push(processes(&daemon, &job, 1).remove(0));
    }
    for process in &jobs[..3] {
        assert_eq!(
            keys(process, &WHO),
            [json!("kernel"), json!(USER), json!(pid), json!(77), Value::Null, Value::Null]
        );
        assert_ne!(process["username"], "somebody");
    }
    for process in &jobs[3..7] {
        let pid = process["pid"].clone();
        assert!(pid == 4711 || pid == user.pid, "{process}");
        assert_eq!(
            keys(process, &WHO),
            [json!("claimed"), json!(USER), pid, json!(77), json!(USER), Value::Null]
        );
        assert_ne!(process["username"], "somebody");
    }
    let passed_on = [json!("claimed"), json!(OTHER), json!(pid), json!(77), json!(USER), Value::Null];
    assert_eq!(keys(&jobs[7], &WHO), passed_on);
}

#[test]
fn a_relay_with_a_token_passes_proofs_on_and_one_without_only_claims() {
    let Some([mut user, _]) = users() else { return };
    let server = unfollowing("");
    for token in [Some("rack7"), None] {
        let relay = relay_to(&server, token, "");
        let job = |name: &str| format!("{name}-{}", token.is_some());
        let named =
            ProcessInfo { username: Some("somebody".into()), uid: Some(OTHER), ..ProcessInfo::default() };
        let numbers = u64::from(token.is_some()) * 10;
        let proved = [
            start(numbers + 1, &job("proved"), user.pid, named.clone()),
            end(numbers + 1, &job("proved"), user.pid, 9),
        ];
        user.send(&relay.unix, Way::Stream, &proved);
        user.send(&relay.unix, Way::PassedOn, &[start(numbers + 2, &job("spooled"), 4711, named.clone())]);
        // What a sender writes where only relays may.
        let forged = Provenance { pid: Some(1), uid: Some(0), gid: Some(0), ..Provenance::default() };
        let forged = ProcessInfo { provenance: Some(forged), ..named };
        relay.datagram(&start(numbers + 3, &job("forged"), 4711, forged.clone()));
        server.datagram(&start(numbers + 4, &job("forged-there"), 4711, forged));

        let of = |name: &str| processes(&server, &job(name), 1).remove(0);
        let proved = wait_for("the end", || Some(of("proved")).filter(|process| !process["end"].is_null()));
        let (identity, via) = match token {
            Some(name) => ("kernel", json!(name)),
            None => ("claimed", Value::Null),
        };
        assert_eq!(
            keys(&proved, &["identity", "uid", "pid", "via"]),
            [json!(identity), json!(USER), json!(user.pid), via.clone()]
        );
        assert_ne!(proved["username"], "somebody");
        assert_eq!(proved["end"]["duration_ns"], 9);
        let delivered_by = if token.is_some() { json!(USER) } else { Value::Null };
        assert_eq!(
            keys(&of("spooled"), &["identity", "uid", "pid", "delivered_by", "via"]),
            [json!("claimed"), json!(OTHER), json!(4711), delivered_by, via.clone()]
        );
        assert_eq!(keys(&of("forged"), &["identity", "via"]), [json!("claimed"), via]);
        assert_eq!(keys(&of("forged-there"), &["identity", "via"]), [json!("claimed"), Value::Null]);
    }
}

#[test]
fn summaries_are_taken_from_relays_with_a_token_alone() {
    let server = unfollowing("");
    let summary = |number: u64| {
        let summary = JobSummary {
            event_id: Some(id(number)),
            job_id: Some("sums".into()),
            starts: Some(1_000_000),
            ..JobSummary::default()
        };
        encode_frame(MessageType::JobSummary, &summary)
    };
    server.datagram(&start(1, "sums", 1, ProcessInfo::default()));
    server.datagram(&summary(2));
    server.short_tcp(&summary(3));
    let mut stream = server.acknowledged();
    stream.send(&summary(4)).unwrap();
    // It is acknowledged, so that who sends it does not send it for ever.
    stream.wait_for(1).unwrap();
    wait_for("three refusals", || (server.metric("ogrt_summaries_refused_total") == 3).then_some(()));
    assert!(server.log().contains("a job summary"), "{}", server.log());
    let (_, answer) = server.get("/v1/jobs/sums");
    assert_eq!((answer["processes"].as_array().unwrap().len(), &answer["summaries"]), (1, &Value::Null));

    // A job above the limit of a relay.
    let limit = "[limit]\nevents_per_second = 1\nburst_events = 1\nsummary_every = \"100ms\"\n";
    for token in [None, Some("rack8")] {
        let relay = relay_to(&server, token, limit);
        for number in 0..9 {
            let number = number + 100 * u64::from(token.is_some());
            relay.datagram(&start(number, "limited", 1, ProcessInfo::default()));
        }
        wait_for("the summary", || {
            let (_, answer) = server.get("/v1/jobs/limited");
            let is_there = answer["summaries"][0]["via"] == "rack8";
            let is_refused = server.metric("ogrt_summaries_refused_total") > 3;
            (if token.is_some() { is_there } else { is_refused }).then_some(())
        });
    }
}

#[test]
fn two_relays_in_a_row_pass_on_the_name_of_the_proved_user_and_no_other() {
    let Some([mut user, _]) = users() else { return };
    // A user whom no machine knows.
    let Some(mut nameless) = UserProcess::start(54_321) else { return needs("python3") };
    let server = unfollowing("");
    let inner = relay_to(&server, Some("inner"), "");
    let outer = relay_to(&inner, Some("outer"), "");
    let named = ProcessInfo { username: Some("bob".into()), uid: Some(OTHER), ..ProcessInfo::default() };
    for (number, sender) in [(1, &mut user), (2, &mut nameless)] {
        let job = format!("chain{number}");
        let frames = [start(number, &job, sender.pid, named.clone()), end(number, &job, sender.pid, 9)];
        sender.send(&outer.unix, Way::Stream, &frames);
    }
    let of = |number: u64| {
        let job = format!("chain{number}");
        wait_for("the end", || {
            Some(processes(&server, &job, 1).remove(0)).filter(|process| !process["end"].is_null())
        })
    };
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(USER)).unwrap().unwrap().name;
    let (known, unknown) = (of(1), of(2));
    assert_eq!(
        keys(&known, &["identity", "uid", "username", "claimed_username"]),
        [json!("kernel"), json!(USER), json!(name), Value::Null]
    );
    assert_eq!(
        keys(&unknown, &["identity", "uid", "username", "claimed_username"]),
        [json!("kernel"), json!(54_321), Value::Null, json!("bob")]
    );
    for process in [&known, &unknown] {
        let via = process["via"].as_str().unwrap();
        assert!(via.contains("inner") && via.contains("outer"), "{process}");
        assert_eq!(process["end"]["duration_ns"], 9);
    }
    // Who ran it is counted under the proved user.
    let users = wait_for("the counts", || {
        let programs = server.get("/v1/unregistered").1["programs"].clone();
        (programs[0]["processes"] == 2).then(|| programs[0]["users"].clone())
    });
    assert!(!users.as_array().unwrap().contains(&json!("bob")), "{users}");
}
