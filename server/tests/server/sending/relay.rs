//! `ogrt`: a relay in one network namespace, its server in another, and the wire between them cut.
//!
//! The interface goes down without a word to either side, as when a switch fails: connections hang
//! rather than break. Everything that the relay has acknowledged is in the server's output
//! afterwards, once, and a process's start is before its end. It would fail if the relay moved its
//! offset on before the other side's acknowledgement, or if a connection that is dead held it for
//! ever.

use super::{end, id_text, services::has, start};
use crate::{
    daemon::{Acknowledged, Daemon, SERVER, wait_for},
    registry::{linked, register, signature_text, stack},
};
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use std::{
    collections::BTreeMap,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Two namespaces and the wire between them; gone with this.
struct Namespaces {
    relay: String,
    server: String,
}

impl Namespaces {
    /// `None`, visibly, where the machine does not let us.
    fn new() -> Option<Namespaces> {
        if !has("ip") {
            return None;
        }
        let pid = std::process::id();
        let these = Namespaces { relay: format!("ogrt-r{pid}"), server: format!("ogrt-s{pid}") };
        let made = Command::new("ip").args(["netns", "add", &these.relay]).output().unwrap();
        if !made.status.success() {
            assert!(std::env::var_os("CI").is_none(), "{}", String::from_utf8_lossy(&made.stderr));
            println!("skipped: needs the right to make network namespaces");
            return None;
        }
        ip(&["netns", "add", &these.server]);
        let Namespaces { relay, server } = &these;
        // The wire is made inside, so that the machine's own namespace never sees it.
        ip(&["-n", relay, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", server]);
        for (namespace, address) in [(relay, "10.77.0.1/24"), (server, "10.77.0.2/24")] {
            ip(&["-n", namespace, "address", "add", address, "dev", "wire"]);
            ip(&["-n", namespace, "link", "set", "wire", "up"]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        Some(these)
    }

    fn start(&self, namespace: &str, more: &str) -> Daemon {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, SERVER]);
        Daemon::start_by(command, tempfile::tempdir().unwrap(), more)
    }

    fn cut(&self, is_cut: bool) {
        ip(&["-n", &self.server, "link", "set", "wire", if is_cut { "down" } else { "up" }]);
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for namespace in [&self.relay, &self.server] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().unwrap();
    assert!(done.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_relay_that_is_cut_off_loses_nothing_and_keeps_the_order_of_each_process() {
    let Some(namespaces) = Namespaces::new() else { return };
    let server = namespaces.start(&namespaces.server, "listen = \"10.77.0.2:7971\"\n");
    let relay = namespaces.start(
        &namespaces.relay,
        "[join]\nwait = \"0s\"\n[outputs.up]\ntype = \"ogrt\"\naddress = \"10.77.0.2:7971\"\nbatch_events = 50\n\
         linger = \"10ms\"\ntimeout = \"2s\"\nbackoff_max = \"500ms\"\n",
    );
    let is_full = std::env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let cut = Duration::from_secs(if is_full { 60 } else { 6 });
    // A Unix socket is reached from any namespace.
    let mut client = Acknowledged::unix(&relay.unix);
    let mut sent = 0;
    let mut send_for = |time: Duration| {
        let since = Instant::now();
        while since.elapsed() < time {
            let own = ProcessInfo { pid: Some(std::process::id() as i32), ..start(15, sent) };
            client.send(&encode_frame(MessageType::ProcessInfo, &own)).unwrap();
            client.send(&encode_frame(MessageType::ProcessEnd, &end(15, sent))).unwrap();
            sent += 1;
            client.wait_for(2 * sent).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        sent
    };
    send_for(Duration::from_secs(2));
    wait_for("the first documents", || (!server.lines().is_empty()).then_some(()));
    namespaces.cut(true);
    let before = server.lines().len();
    send_for(cut);
    let arrived = server.lines().len() - before;
    namespaces.cut(false);
    let sent = send_for(Duration::from_secs(2));
    assert!(arrived < sent as usize, "the wire was not cut");
    wait_for("all documents at the server", || (server.lines().len() as u64 >= 2 * sent).then_some(()));
    thread::sleep(Duration::from_secs(1));
    let lines = server.lines();
    assert_eq!(lines.len() as u64, 2 * sent, "some came twice");
    let mut places: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for (place, line) in lines.iter().enumerate() {
        places.insert((line["event_id"].as_str().unwrap().to_owned(), line["type"] == "end"), place);
    }
    for number in 0..sent {
        let id = id_text(15, number);
        assert!(places[&(id.clone(), false)] < places[&(id.clone(), true)], "{id} ended before it began");
    }
    // What the relay's kernel proved goes on as what the relay says.
    assert_eq!(lines[0]["uid"], nix::unistd::geteuid().as_raw());
    assert_eq!(lines[0]["identity"], "claimed");
    println!("{sent} processes, cut off for {cut:?}, {arrived} documents in flight when it was");
}

#[test]
fn builds_that_are_registered_with_a_relay_reach_the_server_behind_it() {
    let mut server = Daemon::start("");
    let listen = format!("listen = \"{}\"\n", server.tcp);
    let up = format!(
        "[join]\nwait = \"0s\"\n[outputs.up]\ntype = \"ogrt\"\naddress = \"{}\"\ntimeout = \"2s\"\n\
         backoff_max = \"200ms\"\n",
        server.tcp
    );
    let relay = Daemon::start(&up);
    register(&relay, &stack());
    let arrives = |server: &Daemon, build: u8| {
        wait_for("the build at the server", || {
            (server.get(&format!("/v1/builds/{}", signature_text(build))).0 == 200).then_some(())
        });
    };
    [1, 2, 3].iter().for_each(|build| arrives(&server, *build));

    // What is registered while the server is away is relayed when it is back, also by the relay's
    // successor.
    server.stop();
    register(&relay, &[linked(0x77, "late", vec![])]);
    let relay = relay.crash_and_restart(&up);
    register(&relay, &[linked(0x78, "later", vec![])]);
    let server = server.crash_and_restart(&listen);
    [0x77, 0x78].iter().for_each(|build| arrives(&server, *build));
    let counts = ["registered", "conflicting", "malformed"]
        .map(|what| server.metric(&format!("ogrt_builds_{what}_total")));
    assert_eq!(counts, [2, 0, 0]);
    // Those that went before were not sent again.
    wait_for("the relay's count", || (relay.metric("ogrt_builds_relayed_total") == 2).then_some(()));

    // The server refuses a signature that it knows with another record. What follows arrives all
    // the same.
    register(&server, &[linked(0x79, "mine", vec![])]);
    register(&relay, &[linked(0x79, "theirs", vec![]), linked(0x7A, "last", vec![])]);
    arrives(&server, 0x7A);
    assert_eq!(server.metric("ogrt_builds_conflicting_total"), 1);
}
