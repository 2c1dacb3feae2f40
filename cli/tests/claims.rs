//! What nobody proved is said to be claimed in every answer for people, and what is proved is not.

mod program;

use program::{SIGNATURE, ogrt};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

/// An answer for every command, of one process and one build by ann, whose identity is this.
fn answer(identity: &str) -> String {
    let claimed = usize::from(identity == "claimed");
    let who = format!(r#""username":"ann","uid":7,"identity":"{identity}""#);
    let build = format!(
        r#""signature":"{SIGNATURE}","source":"record","name":"zlib","metadata":{{"name":"zlib"}},
        "hostname":"builder","time_ns":1,{who}"#
    );
    let count = format!(
        r#""processes":1,"jobs":1,"users":1,"hosts":1,"loaded_later":0,"claimed":{claimed},"first_ns":1,"last_ns":1"#
    );
    let program = format!(
        r#"{{"binpath":"/sw/app","users":["ann"],"processes":1,"jobs":1,"claimed":{claimed},"last_ns":1}}"#
    );
    format!(
        r#"{{{build},"of":"x","job_id":"1","count":1,"build":{{{build}}},"builds":[{{{build}}}],
        "direct":{{{count}}},"total":{{{count}}},"users":[{{"user":"ann",{count}}}],
        "hosts":[{{"hostname":"node1",{count}}}],"through":[],"counted_by":["signature"],
        "jobs":[{{"job_id":"1","user":"ann",{count},"programs":[{{"binpath":"/sw/app","processes":1}}]}}],"programs":[{program}],
        "processes":[{{"binpath":"/sw/app","hostname":"node1","pid":9,"parent_pid":1,"time":1,{who}}}]}}"#
    )
}

#[test]
fn each_answer_for_people_tells_a_claim_from_a_proof() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            // The first word of the path says how the user is known.
            let is_claimed = String::from_utf8_lossy(&request[..length]).starts_with("GET /claimed/");
            let body = answer(if is_claimed { "claimed" } else { "kernel" });
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    for arguments in [
        &["job", "1", "--table"][..],
        &["job", "1", "--tree"],
        &["uses", SIGNATURE],
        &["unregistered"],
        &["unregistered", "--by-job"],
        &["query", SIGNATURE],
        &["builds"],
        &["dependents", SIGNATURE],
    ] {
        let says_claimed = |identity: &str| {
            let output = ogrt(arguments).env("OGRT_HTTP", format!("http://{address}/{identity}")).output();
            let output = output.unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("ann") || text.contains("app"), "{arguments:?}: {output:?}");
            text.contains("claimed")
        };
        assert_eq!((says_claimed("claimed"), says_claimed("kernel")), (true, false), "{arguments:?}");
    }
}
