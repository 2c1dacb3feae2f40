//! What is said beside an answer of no, and where is asked.

use ogrt_proto::{BuildRecord, MessageType, ProcessInfo, encode_frame};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};
use tempfile::TempDir;

const SIGNATURE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A server that knows nothing: its address without a protocol, and the paths that it is asked for.
fn ignorant_server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, paths) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, kind, body) = match path.split('?').next().unwrap_or_default() {
                "/v1/builds" => ("200 OK", "application/json", "{\"builds\":[]}"),
                "/v1/unregistered" => ("200 OK", "application/json", "{\"programs\":[]}"),
                _ => ("404 Not Found", "application/problem+json", "{\"title\":\"Not Found\"}"),
            };
            let length = body.len();
            let _ = asked.send(path);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    (address, paths)
}

fn ogrt(arguments: &[&str], server: &str, spool: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ogrt"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OGRT_") || name == "LD_PRELOAD" {
            command.env_remove(name);
        }
    }
    let output = command.env("OGRT_HTTP", server).env("OGRT_SPOOL_DIR", spool).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_no_says_what_waits_in_the_spool() {
    let (server, _paths) = ignorant_server();
    let spool = TempDir::new().unwrap();
    let (record, start) = (BuildRecord::default(), ProcessInfo::default());
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let questions = [
        &["query", SIGNATURE][..],
        &["job", "4711"],
        &["uses", SIGNATURE],
        &["dependents", SIGNATURE],
        &["builds"],
        &["unregistered"],
        &["verify", program],
        &["diff", SIGNATURE, SIGNATURE],
    ];
    let says = |words: &str| {
        for question in questions {
            let (status, said) = ogrt(question, &server, spool.path());
            assert!(status == Some(1) && said.contains(words), "{question:?}: {said}");
        }
    };
    says("`ogrt flush`");
    fs::write(spool.path().join("1.frames"), encode_frame(MessageType::BuildRecord, &record)).unwrap();
    says("1 build record waits in ");
    for name in ["2.frames", "3.frames"] {
        fs::write(spool.path().join(name), encode_frame(MessageType::ProcessInfo, &start)).unwrap();
    }
    says("1 build record and 2 events wait in ");
}

#[test]
fn a_job_is_asked_for_by_the_name_that_every_id_has() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (server, paths) = ignorant_server();
    for (typed, path) in [
        (&b"4711"[..], "/v1/jobs/4711"),
        (b"\xFF\xFE", "/v1/jobs/%25FF%25FE"),
        (b"%FF%FE", "/v1/jobs/%25FF%25FE"),
        (b"a\nb", "/v1/jobs/a%250Ab"),
        (b"..", "/v1/jobs/%252E."),
        (b"a%2Fb", "/v1/jobs/a%252Fb"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ogrt"));
        command.args(["job", "--json"]).arg(OsStr::from_bytes(typed)).env("OGRT_HTTP", &server);
        assert_eq!(command.output().unwrap().status.code(), Some(1));
        assert_eq!(paths.recv().unwrap(), path, "{typed:?}");
    }
}
