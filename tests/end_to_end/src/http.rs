//! Requests to the server's HTTP API that no command of `ogrt` makes.

use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The answer to GET as JSON; `address` is `http://127.0.0.1:port`.
pub fn get(address: &str, path: &str) -> Value {
    let body = get_text(address, path);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// The same as text.
pub fn get_text(address: &str, path: &str) -> String {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    body.to_owned()
}
