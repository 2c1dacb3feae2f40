//! What a page in a browser can make it send to us.

use crate::daemon::{Daemon, build};
use prost::Message;

#[test]
fn a_page_of_another_site_neither_asks_nor_changes_anything() {
    let daemon = Daemon::start("http_hosts = [\"ogrt.site.example\"]\n");
    let record = build(1, "software").encode_to_vec();
    let post = |headers: &str| daemon.http_with("POST", "/v1/builds", headers, &record).0;
    for refused in [
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "content-type: text/plain\r\norigin: http://evil.example\r\n",
    ] {
        assert_eq!(post(refused), 403, "{refused}");
    }
    for (method, path) in [
        ("POST", "/v1/import"),
        ("POST", "/v1/installations"),
        ("DELETE", "/v1/builds/01010101-0101-0101-0101-010101010101"),
        ("GET", "/v1/unregistered"),
        ("GET", "/v1/jobs/1"),
    ] {
        let status = daemon.http_with(method, path, "origin: http://evil.example\r\n", &record).0;
        assert_eq!(status, 403, "{method} {path}");
    }
    assert_eq!(post("content-type: text/plain\r\n"), 415);
    assert_eq!(post("content-type: multipart/form-data; boundary=x\r\n"), 415);
    assert_eq!(daemon.get("/v1/builds").1["builds"].as_array().unwrap().len(), 0);
    assert_eq!(post("content-type: application/x-www-form-urlencoded\r\n"), 201, "what curl sends");
    assert_eq!(post("content-type: application/octet-stream\r\norigin: http://localhost\r\n"), 200);
    let by_name = |host: &str, path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        daemon.raw_http(head.as_bytes())
    };
    let (status, body) = by_name("evil.example", "/v1/builds");
    assert_eq!(status, 421);
    assert!(String::from_utf8(body).unwrap().contains("http_hosts"));
    for (host, path) in [("ogrt.site.example:7972", "/v1/builds"), ("evil.example", "/healthz")] {
        assert_eq!(by_name(host, path).0, 200, "{host}{path}");
    }
}
