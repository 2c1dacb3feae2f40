//! What the program prints when everything that it reads comes from somebody hostile.

mod program;

use program::{SIGNATURE, ogrt};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    thread,
};
use tempfile::TempDir;

struct Printed {
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Printed {
    let Output { stdout, stderr, .. } = command.output().unwrap();
    Printed { out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
}

/// An answer in which every text that a server may have from strangers is hostile, for all commands
/// that ask one.
fn hostile_answer() -> String {
    // As a server may send it: JSON need not escape DEL and what is above.
    let bad = "x\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}\\u001b[31m\\r\\nFORGED\u{e0041}";
    let build = format!(
        r#""signature":"{SIGNATURE}","source":"record","name":"{bad}","version":"{bad}","compiler":"{bad}",
        "metadata":{{"name":"{bad}","module":"{bad}"}},"hostname":"{bad}","username":"{bad}","uid":7,
        "toolchain":"{bad}","working_directory":"{bad}","driver_command":["{bad}"],"linker_command":["{bad}"],
        "driver":{{"path":"{bad}","version":"{bad}"}},"compilers":[{{"producer":"{bad}","inputs":1}}],
        "inputs":[{{"path":"{bad}","sha256":"{bad}","kind":"{bad}","signatures":["{bad}"]}}],
        "output":{{"path":"{bad}","kind":"{bad}","sha256":"{bad}","machine":"{bad}"}},"loaded_modules":["{bad}"],
        "extra":{{"{bad}":"{bad}"}},"git_commit":"{bad}","client":"{bad}","registered_by":"{bad}","via":"{bad}",
        "claimed_username":"{bad}","marked":false,"unmarked_reason":"{bad}""#
    );
    let count =
        r#""processes":1,"jobs":1,"users":1,"hosts":1,"loaded_later":0,"claimed":1,"first_ns":1,"last_ns":1"#;
    let named =
        format!(r#""user":"{bad}","job_id":"{bad}","hostname":"{bad}","cluster":"{bad}","path":"{bad}""#);
    let program = format!(
        r#"{{"binpath":"{bad}","users":["{bad}"],"build_id":"{bad}","processes":1,"jobs":1,"last_ns":1}}"#
    );
    format!(
        r#"{{{build},"of":"{bad}","job_id":"{bad}","time_ns":1,"count":1,"build":{{{build}}},"builds":[{{{build}}}],
        "direct":{{{count}}},"total":{{{count}}},"users":[{{{named},{count}}}],"hosts":[{{{named},{count}}}],
        "jobs":[{{{named},{count},"programs":[{program}]}}],"through":[{{{build},{count},"depth":1}}],
        "programs":[{program}],"launches":[],
        "processes":[{{"binpath":"{bad}","hostname":"{bad}","username":"{bad}","pid":1,"parent_pid":0,"time":1,
            "identity":"claimed","build":{{{build}}},"end":{{"ended_by":"{bad}"}}}}]}}"#
    )
    .replace("\n        ", "")
}

#[test]
fn no_command_lets_a_terminal_be_steered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let mut body = hostile_answer();
            let (status, kind) = match request.contains("problem") {
                true => ("500 Error", "application/problem+json"),
                false => ("200 OK", "application/json"),
            };
            if kind.contains("problem") {
                body = "{\"title\":\"a\u{9b}\",\"detail\":\"b\u{202e}\\u001b[31m\\nFORGED\"}".to_owned();
            }
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
        }
    });
    let dir = TempDir::new().unwrap();
    let hostile = "\u{1b}[31m\u{202e}\u{9b}\nFORGED";
    let file = dir.path().join(format!("file{hostile}"));
    fs::write(&file, "no ELF").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let option = format!("--{hostile}");
    let mut answers = 0;
    for arguments in [
        &["query", SIGNATURE][..],
        &["query", "--json", SIGNATURE],
        &["job", "1"],
        &["job", "1", "--json"],
        &["job", "1", "--table"],
        &["job", "1", "--tree"],
        &["job", "problem"],
        &["uses", SIGNATURE],
        &["uses", "--json", SIGNATURE],
        &["dependents", SIGNATURE],
        &["dependents", "--json", SIGNATURE],
        &["builds"],
        &["builds", "--json"],
        &["unregistered"],
        &["unregistered", "--json"],
        &["diff", SIGNATURE, SIGNATURE],
        &["diff", "--json", SIGNATURE, SIGNATURE],
        &["export", "--format", "slsa", SIGNATURE],
        &["export", "--format", "spdx", SIGNATURE],
        &["export", "--format", "cyclonedx", SIGNATURE],
        &["export", "--format", "omnibor", "--partial", SIGNATURE],
        &["show", &file],
        &["show", "--json", &file],
        &["verify", &file],
        &["query", &file],
        &["uses", &file],
        &["verify-attestation", "--key", &file, &file],
        &["register", "--prefix", &file, "--dry-run"],
        &["flush"],
        &[hostile],
        &["show", &option],
        &["run", &file],
    ] {
        let mut command = ogrt(arguments);
        command.env("OGRT_HTTP", &address).env("OGRT_SPOOL_DIR", dir.path().join(hostile));
        command.env("OGRT_SERVER", format!("no{hostile}:1"));
        let outcome = run(&mut command);
        for said in [&outcome.out, &outcome.err] {
            let steers = |c: char| c != '\n' && c != '\t' && ogrt_proto::printable::is_unprintable(c);
            assert!(!said.chars().any(steers), "{arguments:?}: {said:?}");
            // JSON has its strings in one line, and usage repeats the user's own words.
            assert!(
                !said.lines().any(|line| line.starts_with("FORGED"))
                    || arguments.contains(&option.as_str())
                    || arguments.contains(&hostile),
                "{arguments:?}: {said}"
            );
        }
        answers += usize::from(outcome.out.contains("FORGED"));
    }
    assert!(answers >= 14, "{answers}: the answers hold what was sent");
}
