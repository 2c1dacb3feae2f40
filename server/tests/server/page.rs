//! The page for people: what comes out of the record or out of an address is text in it, whatever
//! it holds, and a browser is told to run nothing else.

use crate::daemon::{Daemon, wait_for};
use ogrt_proto::{
    BuildMetadata, BuildRecord, EndedBy, MessageType, Module, Note, ProcessEnd, ProcessInfo, SharedObject,
    encode_frame,
};
use prost::Message;

/// What a scanner tries, and what breaks a layout.
const HOSTILE: [&str; 14] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title><svg/onload=alert(1)>",
    "]]><a href=//evil.example>x</a>",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "../../../../etc/passwd",
    "%00%0d%0aSet-Cookie: a=b",
    "1' OR '1'='1",
    "; cat /etc/passwd #",
    "\u{202e}gpj.exe\u{2066}",
    "&lt;b&gt;&amp;",
    "a\u{0}b\nc\td\u{7f}",
];

/// The pages, and every parameter that some page reads.
const PAGES: [&str; 12] = [
    "/",
    "/search",
    "/software",
    "/jobs",
    "/job",
    "/job/processes",
    "/builds",
    "/build",
    "/compare",
    "/unregistered",
    "/affected",
    "/report",
];
const FILES: [&str; 5] = ["/report.csv", "/jobs.csv", "/affected.csv", "/builds.csv", "/unregistered.csv"];
const PARAMETERS: [&str; 27] = [
    "q",
    "name",
    "id",
    "cluster",
    "cursor",
    "first",
    "all",
    "signature",
    "a",
    "b",
    "user",
    "account",
    "state",
    "software",
    "version",
    "soname",
    "path",
    "build_id",
    "package",
    "packager",
    "what",
    "by",
    "where",
    "is",
    "since",
    "order",
    "file",
];

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn page(daemon: &Daemon, address: &str) -> (u16, String) {
    let (status, body) = daemon.http("GET", address, &[]);
    (status, String::from_utf8(body).unwrap_or_else(|_| panic!("{address} is not UTF-8")))
}

/// Looks for anything in a page that is not ours: an element or attribute that the server never
/// writes, or a character that turns the direction of a text. The value of a field is as it was
/// typed: a browser shows it in the field alone.
fn assert_is_text(address: &str, html: &str) {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{0}' | '\u{7f}');
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("{address}: an element without an end"));
        let element = &rest[at + 1..at + end];
        let name = element.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        assert!(ELEMENTS.contains(&name), "{address}: <{element}>");
        // Between quotes stands text; what is left are names of attributes.
        let outside: String = element.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        for attribute in outside.split_whitespace().skip(1) {
            let attribute = attribute.trim_end_matches('=').trim_end_matches('/');
            assert!(!attribute.starts_with("on") && attribute != "style", "{address}: <{element}>");
        }
        assert!(
            !element.contains("href=\"javascript") && !element.contains("href=\"//"),
            "{address}: {element}"
        );
        let is_field = ["input", "option"].contains(&name);
        assert!(!rest[..at].contains(turns), "{address}: {}", &rest[..at]);
        assert!(is_field || !element.contains(turns), "{address}: <{element}>");
        rest = &rest[at + end + 1..];
    }
}

const ELEMENTS: [&str; 57] = [
    "!DOCTYPE", "html", "head", "meta", "title", "link", "script", "body", "a", "header", "form", "label",
    "input", "button", "nav", "main", "h1", "h2", "p", "span", "footer", "section", "div", "table", "thead",
    "tbody", "tfoot", "tr", "th", "td", "code", "ul", "li", "dl", "dt", "dd", "svg", "rect", "line", "text",
    "path", "g", "details", "summary", "select", "option", "strong", "time", "bdi", "circle", "em", "small",
    "br", "hr", "ol", "caption", "b",
];

/// Sends a process of which everything that somebody may choose is this text.
fn send(daemon: &Daemon, text: &str, number: u8) {
    let bytes = || Some(bytes::Bytes::copy_from_slice(text.as_bytes()));
    let path = || Some(format!("/home/{text}").into());
    let info = ProcessInfo {
        event_id: Some(vec![number; 16].into()),
        job_id: bytes(),
        cluster: bytes(),
        account: bytes(),
        partition: bytes(),
        binpath: path(),
        username: bytes(),
        hostname: bytes(),
        arguments: vec![text.as_bytes().to_vec().into(); 3],
        notes: vec![Note { signature: Some(vec![number; 16].into()), ..Note::default() }],
        shared_objects: vec![SharedObject { path: path(), ..SharedObject::default() }],
        loaded_modules: vec![Module { name: bytes(), ..Module::default() }],
        ..ProcessInfo::default()
    };
    let end = ProcessEnd {
        event_id: info.event_id.clone(),
        job_id: bytes(),
        ended_by: Some(EndedBy::Exit as i32),
        exit_status: Some(3),
        user_time_us: Some(5_000_000),
        system_time_us: Some(0),
        ..ProcessEnd::default()
    };
    let text = || Some(text.to_owned());
    let record = BuildRecord {
        signature: Some(vec![number; 16].into()),
        metadata: Some(BuildMetadata {
            name: text(),
            version: text(),
            toolchain: text(),
            compiler: text(),
            ..BuildMetadata::default()
        }),
        hostname: text(),
        username: text(),
        working_directory: text().map(Into::into),
        driver_command: vec![text().unwrap_or_default().into(); 4],
        ..BuildRecord::default()
    };
    assert_eq!(daemon.http("POST", "/v1/builds", &record.encode_to_vec()).0, 201);
    let mut stream = daemon.acknowledged();
    stream.send(&encode_frame(MessageType::ProcessInfo, &info)).unwrap();
    stream.send(&encode_frame(MessageType::ProcessEnd, &end)).unwrap();
    stream.wait_for(2).unwrap();
}

#[test]
fn whatever_is_recorded_is_text() {
    let daemon = Daemon::start("");
    let long = format!("/{}", "very-long/".repeat(400));
    for (number, text) in HOSTILE.iter().copied().chain([&long[..]]).enumerate() {
        send(&daemon, text, number as u8 + 1);
    }
    wait_for("the jobs to be counted", || {
        let jobs = daemon.get("/v1/jobs").1["jobs"].as_array().map_or(0, Vec::len);
        (jobs > HOSTILE.len()).then_some(())
    });
    let mut addresses: Vec<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    for job in daemon.get("/v1/jobs").1["jobs"].as_array().unwrap() {
        let of = |key: &str| escaped(job[key].as_str().unwrap_or_default());
        addresses.push(format!("/job?id={}&cluster={}", of("job_id"), of("cluster")));
    }
    for text in HOSTILE.iter().copied().chain([&long[..]]) {
        let text = escaped(text);
        for question in [
            format!("/software?name={text}"),
            format!("/search?q={text}"),
            format!("/affected?software={text}"),
            format!("/affected?path=%2Fhome%2F{text}"),
            format!("/jobs?user={text}"),
            format!("/builds?name={text}"),
        ] {
            addresses.push(question);
        }
    }
    addresses.extend((1..=HOSTILE.len() + 1).map(|n| {
        let signature = uuid::Uuid::from_bytes([n as u8; 16]);
        format!("/build?signature={signature}")
    }));
    addresses.push("/report?by=user&by=software&by=account&since=@0".to_owned());
    addresses.push("/report?by=library&by=module&since=@0".to_owned());
    let mut shown = 0;
    for address in addresses {
        let (status, html) = page(&daemon, &address);
        assert!(matches!(status, 200 | 400 | 404), "{address}: {status}");
        assert_is_text(&address, &html);
        shown += usize::from(html.contains("&lt;script&gt;alert(1)"));
    }
    assert!(shown > 10, "the hostile text is on the pages: {shown}");
}

#[test]
fn whatever_is_in_an_address_is_text() {
    let daemon = Daemon::start("");
    let all_texts = escaped(&HOSTILE.join(" "));
    for address in PAGES.into_iter().chain(FILES) {
        let each = PARAMETERS.iter().map(|parameter| format!("{address}?{parameter}={all_texts}"));
        let all = HOSTILE.iter().map(|text| {
            let text = escaped(text);
            let question = PARAMETERS.map(|parameter| format!("{parameter}={text}")).join("&");
            format!("{address}?{question}")
        });
        for address in each.chain(all) {
            let (status, html) = page(&daemon, &address);
            let begin: String = html.chars().take(300).collect();
            assert!(matches!(status, 200 | 400 | 404), "{address}: {status} {begin}");
            if html.starts_with("<!DOCTYPE") {
                assert_is_text(&address, &html);
            }
        }
        let (status, _) = page(&daemon, &format!("{address}?%FF%FE=%FF&&&=&q"));
        assert!(matches!(status, 200 | 400 | 404), "{address}: {status}");
    }
}

#[test]
fn a_browser_runs_and_loads_nothing_else() {
    let daemon = Daemon::start("");
    let mut bytes = 0;
    for address in PAGES.into_iter().chain(FILES).chain(["/page.css", "/page.js", "/page.svg"]) {
        let head = format!("GET {address} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = String::from_utf8(daemon.raw_answer(head.as_bytes())).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(header), "{address}: {header} in {head}");
        }
        assert!(
            !head.contains("unsafe") && !body.contains("<style") && !body.contains(" style="),
            "{address}"
        );
        let is_of_page = ["/", "/page.css", "/page.js", "/page.svg"].contains(&address);
        bytes += if is_of_page { body.len() } else { 0 };
    }
    assert!(bytes < 300_000, "the page and its files have {bytes} bytes");
    let foreign = b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let (status, body) = daemon.raw_http(foreign);
    assert_eq!(status, 421);
    assert!(String::from_utf8(body).unwrap().contains("http_hosts"));
    assert_eq!(daemon.http("POST", "/jobs", b"x").0, 405);
}
