//! Learned files: what nobody registered has a name, for the past as well, and each answer says how
//! far it is known.

use crate::{
    backend::on_every_backend,
    daemon::{Daemon, build_frame, wait_for},
    process_events::{event, second, send},
    security::token,
};
use ogrt_proto::{MessageType, ProcessInfo, SharedObject, encode_frame};
use serde_json::{Value, json};
use std::fs;

/// A token that permits to learn.
pub fn operator(daemon: &Daemon) -> String {
    let token = token(&daemon.path().join("data"), &["add", "operator", "--scope", "administer"]);
    permits(daemon, &token);
    token
}

/// Waits until the server knows the token.
fn permits(daemon: &Daemon, token: &str) {
    let nothing = json!({ "packages": [] });
    wait_for("the token", || (learn(daemon, token, &nothing).0 == 200).then_some(()));
}

pub fn learn(daemon: &Daemon, token: &str, body: &Value) -> (u16, Value) {
    let header = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = daemon.http_with("POST", "/v1/learned", &header, body.to_string().as_bytes());
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

/// A package of dpkg with these files, by their paths and build-ids.
pub fn package(software: &str, version: &str, files: &[(&str, &str)]) -> Value {
    let file = |(path, build_id): &(&str, &str)| json!({ "path": path, "build_id": build_id });
    json!({ "packager": "dpkg", "software": software, "version": version, "package": format!("{software}-bin"),
        "files": files.iter().map(file).collect::<Vec<_>>() })
}

/// The start of a process, with a library, by their paths and build-ids.
fn start(number: u32, program: (&str, &[u8]), library: (&str, &[u8])) -> bytes::Bytes {
    let object = SharedObject {
        path: Some(library.0.to_owned().into()),
        build_id: Some(library.1.to_vec().into()),
        ..SharedObject::default()
    };
    let info = ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(9, u64::from(number)).as_bytes().to_vec().into()),
        binpath: Some(program.0.to_owned().into()),
        build_id: Some(program.1.to_vec().into()),
        job_id: Some("80".into()),
        username: Some("ann".into()),
        start_time_ns: Some(second(number) * 1_000_000_000),
        shared_objects: vec![object],
        ..ProcessInfo::default()
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

pub fn answer(daemon: &Daemon, path: &str) -> Value {
    let (status, answer) = daemon.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// The values of these keys in each element of a list, sorted.
pub fn values(answer: &Value, list: &str, keys: &[&str]) -> Vec<String> {
    let shown =
        |one: &Value| keys.iter().map(|key| one[*key].as_str().unwrap_or("-")).collect::<Vec<_>>().join(" ");
    let mut shown: Vec<String> = answer[list].as_array().into_iter().flatten().map(shown).collect();
    shown.sort();
    shown
}

on_every_backend! {
fn what_nobody_registered_is_named_and_how_far_that_is_known(backend) {
    let daemon = backend.start("");
    let token = operator(&daemon);
    send(&daemon, &[
        // Registered: whatever is learned of its path, the registry knows better.
        build_frame(1, "gromacs"),
        event(1, "80", "ann", 1, &[]),
        start(2, ("/usr/bin/ls", &[0xA1]), ("/usr/lib/libc.so.6", &[0xC1])),
        // The same build under another path.
        start(3, ("/home/ann/ls", &[0xA1]), ("/usr/lib/libc.so.6", &[0xC1])),
        // Another build at the package's path, and one that has no build-id.
        start(4, ("/usr/bin/ls", &[0xA2]), ("/usr/lib/libz.so.1", &[0x21])),
        start(5, ("/usr/bin/ls", &[]), ("/usr/lib/libz.so.1", &[0x22])),
        // A program that never had a build-id.
        start(6, ("/opt/tool/bin/tool", &[]), ("/usr/lib/libc.so.6", &[0xC1])),
        start(7, ("/opt/tool/bin/tool", &[0xB7]), ("/usr/lib/libc.so.6", &[0xC1])),
    ]);
    let unregistered = |more: &str| answer(&daemon, &format!("/v1/unregistered?{more}"));
    let all = wait_for("six programs", || {
        let all = unregistered("");
        (all["programs"].as_array().unwrap().len() == 6).then_some(all)
    });
    assert!(all["explained"].is_null(), "{all}");

    let packages = json!([
        package("coreutils", "9.1", &[("/usr/bin/ls", "a1"), ("/home/ann/p1", "01aa")]),
        package("glibc", "2.36", &[("/usr/lib/libc.so.6", "c1")]),
        package("zlib", "1.3", &[("/usr/lib/libz.so.1", "21")]),
        package("tool", "", &[("/opt/tool/bin/tool", "")]),
    ]);
    let (status, learned) = learn(&daemon, &token, &json!({ "source": "node-1", "packages": packages }));
    assert_eq!((status, &learned), (200, &json!({ "new": 5, "changed": 0, "known": 0, "sketches": 0 })));

    let left = unregistered("");
    let shown = values(&left, "programs", &["binpath", "build_id", "software"]);
    assert_eq!(shown, ["/opt/tool/bin/tool b7 -", "/usr/bin/ls - -", "/usr/bin/ls a2 -"]);
    assert_eq!(left["explained"], 3);
    let all = unregistered("explained=true");
    assert!(all["explained"].is_null(), "{all}");
    let named = ["binpath", "software", "version", "package", "source", "known_by", "content"];
    let shown = values(&all, "programs", &named);
    assert_eq!(shown, [
        "/home/ann/ls coreutils 9.1 coreutils-bin node-1 build_id not checked",
        "/opt/tool/bin/tool - - - - - -",
        "/opt/tool/bin/tool tool - tool-bin node-1 path -",
        "/usr/bin/ls - - - - - -",
        "/usr/bin/ls - - - - - -",
        "/usr/bin/ls coreutils 9.1 coreutils-bin node-1 build_id -",
    ]);
    let by_job = unregistered("by=job&explained=true");
    assert_eq!(values(&by_job["jobs"][0], "programs", &["software"]).len(), 6);
    assert_eq!(unregistered("by=job")["jobs"][0]["programs"].as_array().unwrap().len(), 3);

    let report = answer(&daemon, "/v1/report?by=software,version,installed_package,known_by");
    let shown = values(&report, "lines", &["software", "version", "installed_package", "known_by"]);
    assert_eq!(shown, [
        "   ", "coreutils 9.1 coreutils-bin build_id", "gromacs 1.2.3  signature", "tool  tool-bin path",
    ]);
    let nothing = answer(&daemon, "/v1/report?by=program&known_by=&registered=no");
    assert_eq!(nothing["total"]["processes"], 3);
    assert_eq!(report["unregistered"]["processes"], 6, "they are named, and not registered");

    let job = answer(&daemon, "/v1/jobs/80");
    let shown = values(&job, "names", &["path", "build_id", "software", "content"]);
    assert_eq!(shown, [
        "/home/ann/ls a1 coreutils not checked",
        "/opt/tool/bin/tool - tool -",
        "/usr/bin/ls a1 coreutils -",
        "/usr/lib/libc.so.6 c1 glibc -",
        "/usr/lib/libz.so.1 21 zlib -",
    ]);
    let uses = answer(&daemon, "/v1/uses?soname=libz.so.1");
    assert_eq!(values(&uses, "names", &["build_id", "software"]), ["21 zlib"]);
    assert_eq!(uses["total"]["processes"], 2);
}

fn what_is_learned_again_is_updated_and_what_was_removed_keeps_its_name(backend) {
    let daemon = backend.start("");
    let token = operator(&daemon);
    send(&daemon, &[start(1, ("/usr/bin/old", &[0xA1]), ("/usr/lib/libc.so.6", &[0xC1]))]);
    let before = json!({ "source": "node-1", "packages": [
        package("old", "1", &[("/usr/bin/old", "a1")]),
        package("glibc", "2.36", &[("/usr/lib/libc.so.6", "c1")]),
    ] });
    assert_eq!(learn(&daemon, &token, &before).1, json!({ "new": 2, "changed": 0, "known": 0, "sketches": 0 }));
    assert_eq!(learn(&daemon, &token, &before).1, json!({ "new": 0, "changed": 0, "known": 2, "sketches": 0 }));
    // The package is removed; another one has its path now, and the library was updated.
    let after = json!({ "source": "node-1", "packages": [
        package("new", "2", &[("/usr/bin/old", "a2")]),
        package("glibc", "2.36-1", &[("/usr/lib/libc.so.6", "c1")]),
    ] });
    assert_eq!(learn(&daemon, &token, &after).1, json!({ "new": 1, "changed": 1, "known": 0, "sketches": 0 }));
    send(&daemon, &[start(2, ("/usr/bin/old", &[0xA2]), ("/usr/lib/libc.so.6", &[0xC1]))]);
    let programs = wait_for("two programs", || {
        let all = answer(&daemon, "/v1/unregistered?explained=true");
        (all["programs"].as_array().unwrap().len() == 2).then_some(all)
    });
    assert_eq!(values(&programs, "programs", &["build_id", "software", "version"]), ["a1 old 1", "a2 new 2"]);

    let list = |question: &str| answer(&daemon, &format!("/v1/learned?{question}"));
    let keys = ["path", "build_id", "software", "version"];
    assert_eq!(values(&list("path=/usr/bin/old"), "files", &keys), ["/usr/bin/old a1 old 1", "/usr/bin/old a2 new 2"]);
    assert_eq!(values(&list("name=glibc-bin"), "files", &keys), ["/usr/lib/libc.so.6 c1 glibc 2.36-1"]);
    assert_eq!(values(&list("build_id=a2"), "files", &keys), ["/usr/bin/old a2 new 2"]);
    assert!(values(&list("name=nothing"), "files", &keys).is_empty());
    let first = list("limit=2");
    let next = list(&format!("limit=2&cursor={}", first["next"].as_str().unwrap()));
    assert!(next["next"].is_null(), "{next}");
    let all = [values(&first, "files", &keys), values(&next, "files", &keys)].concat();
    assert_eq!(all.len(), 3, "{all:?}");
    for question in ["build_id=x", "cursor=x", "limit=x", "colour=red"] {
        assert_eq!(daemon.get(&format!("/v1/learned?{question}")).0, 400, "{question}");
    }

    // What was learned is there after a crash.
    let daemon = daemon.crash_and_restart(&backend.configuration());
    assert_eq!(values(&answer(&daemon, "/v1/learned"), "files", &keys).len(), 3);
}

fn only_an_administrator_teaches_the_server(backend) {
    let daemon = backend.start("");
    let body = json!({ "packages": [package("evil", "1", &[("/usr/bin/ls", "a1")])] });
    let (status, problem) = learn(&daemon, "ogrt_0", &body);
    assert_eq!(status, 403, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("token add NAME --scope administer"), "{problem}");
    let other = crate::security::token(&daemon.path().join("data"), &["add", "easybuild", "--scope", "register"]);
    let token = operator(&daemon);
    assert_eq!(learn(&daemon, &other, &body).0, 403);
    assert_eq!(learn(&daemon, "ogrt_0", &body).0, 401);
    assert_eq!(daemon.http("POST", "/v1/learned", body.to_string().as_bytes()).0, 401);
    for wrong in [json!([]), json!({ "packages": [package("", "1", &[("/a", "")])] }), json!({ "packages": 1 }),
        json!({ "packages": [package("a", "1", &[("a", "")])] })] {
        assert_eq!(learn(&daemon, &token, &wrong).0, 400, "{wrong}");
    }
    assert!(values(&answer(&daemon, "/v1/learned"), "files", &["path"]).is_empty());
    assert_eq!(learn(&daemon, &token, &body).0, 200);
}
}

#[test]
fn servers_of_one_registry_share_what_they_learn() {
    let Some(backend) = crate::backend::Backend::postgres() else { return };
    let [one, other] = [backend.start(""), backend.start("")];
    let [token, of_other] = [&one, &other].map(operator);
    let files: Vec<(String, String)> =
        (0..12_000).map(|n| (format!("/usr/lib/l{n}.so"), format!("{n:08x}"))).collect();
    let listed: Vec<(&str, &str)> = files.iter().map(|(path, id)| (&path[..], &id[..])).collect();
    let body = json!({ "packages": [package("many", "1", &listed)] });
    assert_eq!(learn(&one, &token, &body).1["new"], 12_000);
    let keys = ["path", "version"];
    assert_eq!(
        values(&answer(&other, "/v1/learned?path=/usr/lib/l11999.so"), "files", &keys),
        ["/usr/lib/l11999.so 1"]
    );
    // The other one changes some of them, and the first hears of it.
    let body = json!({ "packages": [package("many", "2", &listed[..2])] });
    assert_eq!(
        learn(&other, &of_other, &body).1,
        json!({ "new": 0, "changed": 2, "known": 0, "sketches": 0 })
    );
    assert_eq!(
        values(&answer(&one, "/v1/learned?path=/usr/lib/l1.so"), "files", &keys),
        ["/usr/lib/l1.so 2"]
    );
    assert_eq!(
        values(&answer(&one, "/v1/learned?path=/usr/lib/l2.so"), "files", &keys),
        ["/usr/lib/l2.so 1"]
    );
}

#[test]
fn rules_of_the_site_come_first_and_fallback_rules_last() {
    let folder = tempfile::tempdir().unwrap();
    let [rules, fallback] = ["site.toml", "hpc.toml"].map(|name| folder.path().join(name));
    let rule =
        |path: &str, software: &str| format!("[[rule]]\npath = \"{path}\"\nsoftware = \"{software}\"\n");
    fs::write(&rules, rule("/opt/vasp/{version}/bin/vasp_*", "VASP")).unwrap();
    fs::write(&fallback, rule("vasp_std", "VASP?") + &rule("ls", "Something")).unwrap();
    let names = format!("[names]\nrules = {rules:?}\nfallback_rules = {fallback:?}\n");
    let daemon = Daemon::start(&names);
    let token = operator(&daemon);
    let files = [("/opt/vasp/6.4.2/bin/vasp_std", "b1"), ("/usr/bin/ls", "a1")];
    learn(&daemon, &token, &json!({ "packages": [package("coreutils", "9.1", &files)] }));
    let library = ("/usr/lib/libc.so.6", &[0xC1][..]);
    send(
        &daemon,
        &[
            start(1, ("/opt/vasp/6.4.2/bin/vasp_std", &[0xB1]), library),
            start(2, ("/usr/bin/ls", &[0xA1]), library),
            start(3, ("/home/ann/vasp_std", &[0xB2]), library),
            start(4, ("/home/ann/other", &[0xB3]), library),
        ],
    );
    let keys = ["binpath", "software", "version", "source", "known_by"];
    let shown = || {
        let all = answer(&daemon, "/v1/unregistered?explained=true");
        values(&all, "programs", &keys)
    };
    wait_for("four programs", || (shown().len() == 4).then_some(()));
    assert_eq!(
        shown(),
        [
            "/home/ann/other - - - -",
            "/home/ann/vasp_std VASP? - hpc.toml rule",
            "/opt/vasp/6.4.2/bin/vasp_std VASP 6.4.2 site.toml rule",
            "/usr/bin/ls coreutils 9.1 - build_id",
        ]
    );
    let report = answer(&daemon, "/v1/report?by=software&known_by=rule");
    assert_eq!(values(&report, "lines", &["software"]), ["VASP", "VASP?"]);

    // The rules are read again on SIGHUP; wrong ones change nothing.
    let reload = |text: &str| {
        fs::write(&rules, text).unwrap();
        daemon.signal(nix::sys::signal::Signal::SIGHUP);
    };
    reload("[[rule]]\npath = \"/x\"\n");
    wait_for("the log", || daemon.log().contains("site.toml: line 1: rule: missing key").then_some(()));
    assert_eq!(shown()[2], "/opt/vasp/6.4.2/bin/vasp_std VASP 6.4.2 site.toml rule");
    reload(&rule("/opt/**", "Vienna"));
    wait_for("other rules", || (shown()[2].contains("Vienna")).then_some(()));

    // A wrong file is told with its line before the server runs with it.
    let config = folder.path().join("ogrt.conf");
    fs::write(&config, &names).unwrap();
    fs::write(&rules, rule("/a", "A") + "colour = 1\n").unwrap();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_ogrt-server"));
    let checked = check.arg("--config").arg(&config).arg("check-config").output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("site.toml: line 4: rule.colour: unknown key"), "{said}");
}
