//! `json_tcp` against socat, which writes what it reads into a file.

use super::{Ending, certificate, id_text, send, services::has, starts};
use crate::daemon::{Daemon, wait_for};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// socat at this port, each connection's bytes appended to the file.
fn receiver(listen: &str, file: &Path) -> Ending {
    let socat = Command::new("socat")
        .args(["-u", listen, &format!("OPEN:{},creat,append", file.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Ending(socat)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Each line is a document; which events they tell of.
fn ids(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let id = |line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned()
    };
    text[..text.rfind('\n').map_or(0, |end| end + 1)].lines().map(id).collect()
}

#[test]
fn lines_arrive_though_the_receiver_goes_away_and_comes_back() {
    if !has("socat") {
        return;
    }
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = directory.path().join("lines");
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork");
    let daemon = Daemon::start(&format!(
        "[outputs.tcp]\ntype = \"json_tcp\"\naddress = \"127.0.0.1:{port}\"\nworkers = 1\nbatch_events = 100\n\
         linger = \"10ms\"\nbackoff_max = \"200ms\"\n"
    ));
    let first = receiver(&listen, &file);
    send(&daemon, starts(10, 0..1000));
    wait_for("the first lines", || (ids(&file).len() >= 300).then_some(()));
    drop(first);
    send(&daemon, starts(10, 1000..2000));
    wait_for("bad health", || (daemon.get("/healthz").0 == 503).then_some(()));
    let _second = receiver(&listen, &file);
    let expected: BTreeSet<String> = (0..2000).map(|number| id_text(10, number)).collect();
    wait_for("all lines", || (ids(&file) == expected).then_some(()));
    wait_for("good health", || (daemon.get("/healthz").0 == 200).then_some(()));
}

#[test]
fn lines_go_over_tls_to_whom_the_certificate_names() {
    if !has("socat") || !has("openssl") {
        return;
    }
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let file = directory.path().join("lines");
    let (certificate, key) = certificate(directory.path());
    let _receiver = receiver(
        &format!("OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={certificate},key={key}"),
        &file,
    );
    let daemon = Daemon::start(&format!(
        "[outputs.tcp]\ntype = \"json_tcp\"\naddress = \"localhost:{port}\"\ntls = true\nca_file = \"{certificate}\"\n\
         workers = 1\nbackoff_max = \"200ms\"\n[outputs.other]\ntype = \"json_tcp\"\naddress = \"127.0.0.1:{port}\"\ntls = true\n\
         ca_file = \"{certificate}\"\nbackoff_max = \"200ms\"\n"
    ));
    send(&daemon, starts(11, 0..500));
    let expected: BTreeSet<String> = (0..500).map(|number| id_text(11, number)).collect();
    wait_for("all lines", || (ids(&file) == expected).then_some(()));
    // The certificate is for localhost, not for an address.
    wait_for("the other's trouble", || {
        (daemon.get("/healthz").1["outputs"]["other"]["state"] == "failing").then_some(())
    });
    assert_eq!(daemon.metric("ogrt_events_written_total{output=\"other\"}"), 0);
}
