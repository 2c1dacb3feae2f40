//! `ogrt` asks a server over TLS: it believes the certificate that it is told to trust, and no
//! other.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::fs;

#[test]
fn questions_go_over_tls_to_the_server_whose_certificate_is_trusted() {
    let folder = xtask::cleanup::Scratch::new().unwrap();
    let certificate = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = folder.path().join(name);
        fs::write(&file, made.cert.pem()).unwrap();
        fs::write(folder.path().join(format!("{name}-key")), made.signing_key.serialize_pem()).unwrap();
        file
    };
    let (trusted, other) = (certificate("server.pem"), certificate("other.pem"));
    let tables = format!(
        "[tls]\ncertificate_file = \"{0}/server.pem\"\nkey_file = \"{0}/server.pem-key\"\nhttp = \"127.0.0.1:0\"\n",
        folder.path().display()
    );
    let stage = Stage::with_tables(tables.leak());
    let program = stage.link("program");
    let ready = fs::read(stage.folder().join("server/ready.json")).unwrap();
    let ready: Value = serde_json::from_slice(&ready).unwrap();
    let port = ready["https"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let address = format!("https://localhost:{port}");
    let ask = |file: &str| {
        let mut command = stage.site.ogrt(&["query"]);
        see(command.arg(&program).env("OGRT_HTTP", &address).env("SSL_CERT_FILE", file))
    };
    let answer = ask(&trusted.display().to_string());
    assert_eq!(answer.status.code(), Some(0), "{}", text(&answer.stderr));
    assert!(text(&answer.stdout).contains("program"), "{}", text(&answer.stdout));
    // Another certificate, or none at all: one line that says so.
    for (file, cause) in [
        (other.display().to_string(), format!("ogrt: {address}: no server there (invalid peer certificate")),
        (
            "/nonexistent".to_owned(),
            format!("ogrt: OGRT_HTTP: {address}: SSL_CERT_FILE: /nonexistent: No such file"),
        ),
    ] {
        let answer = ask(&file);
        let error = text(&answer.stderr);
        assert_eq!((answer.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.starts_with(&cause), "{error}");
    }
    // Without TLS nobody's certificate matters.
    let mut plain = stage.site.ogrt(&["query"]);
    assert_eq!(see(plain.arg(&program).env("SSL_CERT_FILE", "/nonexistent")).status.code(), Some(0));
}
