//! Who may register builds, and what is said in private.

use crate::daemon::{Acknowledged, Daemon, OGRT_0_5, build, build_frame, wait_for};
use ogrt_proto::{Hello, MessageType, encode_frame};
use prost::Message;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::Arc,
};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, pki_types::ServerName,
};

/// Runs `ogrt-server token` with these arguments; what it prints.
pub fn token(data: &Path, arguments: &[&str]) -> String {
    let mut server = Command::new(env!("CARGO_BIN_EXE_ogrt-server"));
    let output = server.arg("--data-dir").arg(data).arg("token").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn hello(token: &str) -> Hello {
    Hello { token: Some(token.to_owned()), ..Hello::default() }
}

/// Sends a build over a stream that opens with this Hello: was it acknowledged?
fn registers(daemon: &Daemon, hello: &Hello, signature: u8) -> bool {
    let mut stream = Acknowledged::greet(TcpStream::connect(&daemon.tcp).unwrap(), hello).unwrap();
    stream.send(&build_frame(signature, "software")).is_ok() && stream.wait_for(1).is_ok()
}

#[test]
fn who_sends_a_large_body_is_told_why_it_is_refused() {
    let daemon = Daemon::start("[access]\nregister = \"token\"\n");
    let body = vec![b'x'; 8 << 20];
    for _ in 0..10 {
        // Nobody reads it: a token is missing.
        assert_eq!(daemon.http("POST", "/v1/builds", &body).0, 401);
    }
    // Nor one that is larger than any may be.
    let too_large = vec![b'x'; 40 << 20];
    let answer = daemon.http_with("POST", "/v1/builds", "authorization: Bearer no\r\n", &too_large);
    assert_eq!(answer.0, 401);
}

#[test]
fn without_a_token_nobody_registers_builds_and_everybody_sends_events() {
    let daemon = Daemon::start("[access]\nregister = \"token\"\n");
    let data = daemon.path().join("data");
    let good = token(&data, &["add", "easybuild"]);
    let removed = token(&data, &["add", "old"]);
    let reader = token(&data, &["add", "reader", "--scope", "read,administer"]);
    assert_eq!(token(&data, &["list"]), "easybuild register\nold register\nreader read,administer");
    token(&data, &["remove", "old"]);
    assert!(!fs::read_to_string(data.join("tokens")).unwrap().contains(&good));

    // The server looks at the file once a second.
    wait_for("the token to be known", || registers(&daemon, &hello(&good), 1).then_some(()));
    let long = "x".repeat(5000);
    for bad in ["", "ogrt_guess", &removed, &long, &reader].map(hello).into_iter().chain([Hello::default()]) {
        assert!(!registers(&daemon, &bad, 2));
    }
    // The client is told why.
    let mut stream = TcpStream::connect(&daemon.tcp).unwrap();
    stream.write_all(&encode_frame(MessageType::Hello, &Hello::default())).unwrap();
    // More than the server takes before it refuses: the answer is not lost by that.
    for _ in 0..2000 {
        stream.write_all(&build_frame(2, &"software ".repeat(100))).unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("OGRT_TOKEN_FILE"));
    // Ways that have no Hello.
    daemon.short_tcp(&build_frame(2, "software"));
    daemon.datagram(&build_frame(2, "software"));
    let mut unix = std::os::unix::net::UnixStream::connect(&daemon.unix).unwrap();
    unix.write_all(&build_frame(2, "software")).unwrap();
    drop(unix);
    wait_for("all to be refused", || (daemon.metric("ogrt_builds_unauthorized_total") >= 9).then_some(()));

    let record = build(3, "software").encode_to_vec();
    assert_eq!(daemon.http("POST", "/v1/builds", &record).0, 401);
    for (bearer, status) in
        [("Bearer ogrt_guess", 401), (good.as_str(), 401), (&format!("Bearer {good}"), 201)]
    {
        let header = format!("authorization: {bearer}\r\n");
        assert_eq!(daemon.http_with("POST", "/v1/builds", &header, &record).0, status, "{bearer}");
    }
    let known = |byte: u8| daemon.get(&format!("/v1/builds/{}", uuid::Uuid::from_bytes([byte; 16]))).0;
    assert_eq!((known(1), known(2), known(3)), (200, 404, 200));

    daemon.datagram(OGRT_0_5);
    wait_for("an event", || (daemon.lines().len() == 1).then_some(()));
    assert!(!daemon.log().contains(&good));
}

/// A certificate for localhost that signs itself, and its key.
fn certificate(directory: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

fn encrypted(address: &str, trusted: &str) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
    stream.flush()?;
    Ok(stream)
}

#[test]
fn streams_and_http_speak_tls_and_the_certificate_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let first = certificate(directory.path());
    let at = directory.path().display();
    let tls = format!(
        "[tls]\ncertificate_file = \"{at}/cert.pem\"\nkey_file = \"{at}/key.pem\"\nlisten = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n"
    );
    let daemon = Daemon::start(&tls);
    let mut stream = Acknowledged::new(encrypted(&daemon.tls, &first).unwrap());
    stream.send(OGRT_0_5).unwrap();
    stream.wait_for(1).unwrap();
    wait_for("an event", || (daemon.lines().len() == 1).then_some(()));
    let health = |trusted: &str| -> std::io::Result<String> {
        let mut stream = encrypted(&daemon.https, trusted)?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        // The end of a connection without TLS's own goodbye is an error, and of no interest here.
        let _ = stream.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    assert!(health(&first).unwrap().starts_with("HTTP/1.1 200"));

    // Who speaks no TLS is turned away, in the log with its address, and nobody else notices.
    let mut plain = TcpStream::connect(&daemon.tls).unwrap();
    let peer = plain.local_addr().unwrap().to_string();
    plain.write_all(OGRT_0_5).unwrap();
    let _ = plain.read(&mut [0; 64]);
    wait_for("a line in the log", || daemon.log().contains(&peer).then_some(()));

    let second = certificate(directory.path());
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    wait_for("the new certificate", || {
        health(&second).ok().filter(|answer| answer.contains("200")).map(drop)
    });
    assert!(!health(&first).is_ok_and(|answer| answer.contains("200")));
    // The connection from before goes on.
    stream.send(OGRT_0_5).unwrap();
    stream.wait_for(2).unwrap();
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start_with_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("ogrt.conf");
    let at = directory.path().display();
    fs::write(
        &config,
        format!(
            "listen = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nunix = \"\"\nlog_level = \"error\"\ndata_dir = \"{at}/data\"\n[tls]\nkey_file = \"{at}/none.pem\"\nlisten = \"127.0.0.1:0\"\n"
        ),
    )
    .unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_ogrt-server")).arg("--config").arg(&config).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("none.pem") && said.lines().count() == 1, "{said}");
}
