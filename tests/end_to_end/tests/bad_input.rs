//! Bad input: one clear line names the file, key or peer, the status is not 0, and the server goes
//! on.

use ogrt_end_to_end::{Stage, see, text};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Output,
    time::Duration,
};

const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The one line on standard error of a command that failed with `status`.
fn complaint(output: &Output, status: i32) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_eq!(text(&output.stdout), "");
    error.trim_end().to_owned()
}

#[test]
fn files_that_are_no_elf_or_cut_off_are_named() {
    let stage = Stage::new();
    let program = stage.link("whole");
    let bytes = fs::read(&program).unwrap();
    let cut = stage.folder().join("cut");
    let script = stage.folder().join("script");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    for command in ["show", "query"] {
        for (file, cause) in [(&cut, "damaged ELF file"), (&script, "not an ELF file")] {
            let line = complaint(&see(stage.site.ogrt(&[command]).arg(file)), 2);
            assert!(line.starts_with(&format!("ogrt: {}: {cause}", file.display())), "{line}");
        }
        let line = complaint(&see(&mut stage.site.ogrt(&[command, "/bin/true"])), 1);
        assert_eq!(line, "ogrt: /bin/true: no OGRT note");
    }
}

#[test]
fn an_unknown_signature_and_an_unknown_job_are_a_no() {
    let stage = Stage::new();
    let line = complaint(&see(&mut stage.site.ogrt(&["query", UNKNOWN])), 1);
    assert!(line.starts_with(&format!("ogrt: {UNKNOWN}: not registered at http://127.0.0.1:")), "{line}");
    let line = complaint(&see(&mut stage.site.ogrt(&["job", "no such/job?"])), 1);
    assert!(line.starts_with("ogrt: job no such/job?: nothing recorded at http://127.0.0.1:"), "{line}");
}

#[test]
fn garbage_on_every_port_leaves_the_server_as_it_was() {
    let mut stage = Stage::new();
    let program = stage.link("before");
    let (tcp, udp, unix, http) = {
        let server = stage.server.as_ref().unwrap();
        let unix = server.unix.trim_start_matches("unix:").to_owned();
        (server.tcp.clone(), server.udp.clone(), unix, server.http.trim_start_matches("http://").to_owned())
    };
    let mut noise: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\0\0\0\x0c\xff\xff\xff\xff".to_vec(),
        b"\0\0\0\x14\0\0\0\x04\xff\xff\xff\xff".to_vec(),
        b"\0\0\0\x0c\0\0\0\x10half".to_vec(),
        b"\0\0\0\x64\0\0\0\0\0\0\0\x14\0\0\0\x02\x0a\xff".to_vec(),
        vec![0; 70_000],
    ];
    noise.push((0..=255u8).cycle().take(10_000).collect());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in &noise {
        let _ = socket.send_to(&bytes[..bytes.len().min(60_000)], &udp);
        // The peer may hang up before all is written: that is an answer.
        let hear = |mut stream: Box<dyn ReadWrite>| {
            let _ = stream.write_all(bytes);
            let _ = stream.read(&mut [0; 1024]);
        };
        for address in [&tcp, &http] {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            hear(Box::new(stream));
        }
        let stream = UnixStream::connect(&unix).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        hear(Box::new(stream));
    }
    let server = stage.server.as_mut().unwrap();
    assert!(server.is_running(), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());

    // The server still answers, registers and joins.
    let known = see(stage.site.ogrt(&["query"]).arg(&program));
    assert_eq!(known.status.code(), Some(0), "{}", text(&known.stderr));
    let program = stage.link("after");
    stage.run_in_job("noise", &program);
    let job = stage.job("noise", |job| job["processes"][0]["binpath"].is_string());
    assert_eq!(job["processes"][0]["build"]["source"], "record", "{job}");
}

#[test]
fn a_malformed_signature_is_refused_by_name() {
    let stage = Stage::new();
    let address = stage.server.as_ref().unwrap().http.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /v1/builds/nonsense HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("nonsense"), "{answer}");
}

#[test]
fn a_configuration_with_an_unknown_key_names_the_key() {
    let stage = Stage::new();
    let config = stage.folder().join("wrong.conf");
    fs::write(&config, "listen = \"127.0.0.1:0\"\nlissten = \"127.0.0.1:0\"\n").unwrap();
    for arguments in [&["check-config"][..], &[]] {
        let line =
            complaint(&see(stage.command("ogrt-server").arg("--config").arg(&config).args(arguments)), 1);
        assert!(line.contains("lissten") && line.contains("wrong.conf"), "{line}");
    }
    let line = complaint(&see(stage.command("ogrt-server").args(["--config", "/nowhere/ogrt.conf"])), 1);
    assert!(line.contains("/nowhere/ogrt.conf"), "{line}");
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
