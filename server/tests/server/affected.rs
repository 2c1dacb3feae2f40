//! Who ran software of some version: registered builds, learned files, files that a rule names and
//! packages of languages, each version in its packager's order.

use crate::{
    backend::on_every_backend,
    daemon::{Daemon, wait_for},
    learned::{answer, learn, operator, package, values},
    process_events::{second, send},
    registry::{linked, marked, register},
};
use ogrt_proto::{BuildMetadata, BuildRecord, MessageType, Note, ProcessInfo, SharedObject, encode_frame};
use serde_json::json;
use std::fs;

/// The start of a user's program, with a library, by their paths and build-ids.
fn start(number: u32, user: &str, program: (&str, &[u8]), library: (&str, &[u8])) -> ProcessInfo {
    let object = SharedObject {
        path: Some(library.0.to_owned().into()),
        build_id: Some(library.1.to_vec().into()),
        ..SharedObject::default()
    };
    ProcessInfo {
        event_id: Some(uuid::Uuid::from_u64_pair(9, u64::from(number)).as_bytes().to_vec().into()),
        binpath: Some(program.0.to_owned().into()),
        build_id: Some(program.1.to_vec().into()),
        job_id: Some("80".into()),
        username: Some(user.to_owned().into()),
        hostname: Some("node".into()),
        start_time_ns: Some(second(number) * 1_000_000_000),
        shared_objects: vec![object],
        ..ProcessInfo::default()
    }
}

/// The same with the note of a build.
fn marked_start(number: u32, user: &str, build: u8) -> ProcessInfo {
    let note = Note { signature: Some(vec![build; 16].into()), ..Note::default() };
    let start = start(number, user, ("/sw/program", &[build]), ("/lib/none.so", &[0xFE]));
    ProcessInfo { notes: vec![note], ..start }
}

fn versioned(build: BuildRecord, version: &str) -> BuildRecord {
    let metadata = BuildMetadata { version: Some(version.to_owned()), ..build.metadata.clone().unwrap() };
    BuildRecord { metadata: Some(metadata), ..build }
}

/// The users who ran it, or why there is no answer.
fn users(daemon: &Daemon, question: &str) -> Vec<String> {
    let question = question.replace('<', "%3C").replace('>', "%3E").replace('|', "%7C").replace('+', "%2B");
    match daemon.get(&format!("/v1/uses?software={question}")) {
        (200, answer) => values(&answer, "users", &["user"]),
        (status, problem) => vec![format!("{status} {}", problem["detail"].as_str().unwrap_or_default())],
    }
}

on_every_backend! {
fn who_ran_which_version_is_known_of_whatever_has_a_name(backend) {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let rule = "[[rule]]\npath = \"/opt/vasp/{version}/bin/vasp_*\"\nsoftware = \"VASP\"\n";
    fs::write(&rules, rule).unwrap();
    let daemon = backend.start(&format!("[names]\nrules = {rules:?}\n"));
    let token = operator(&daemon);
    register(&daemon, &[
        versioned(linked(1, "code", vec![]), "2024.1"),
        versioned(linked(2, "code", vec![]), "2024.10"),
        // Contains the older one.
        versioned(linked(3, "workflow", vec![marked(1)]), "1"),
    ]);
    let old = ("/usr/lib/liblzma.so.5", &[0xA1][..]);
    let new = ("/usr/lib/liblzma.so.5", &[0xA2][..]);
    let frames = [
        start(1, "ann", ("/usr/bin/xz", &[1]), old),
        start(2, "ann", ("/usr/bin/tar", &[2]), old),
        start(3, "bob", ("/usr/bin/tar", &[2]), new),
        start(4, "eve", ("/opt/vasp/6.4.2/bin/vasp_std", &[3]), new),
        start(5, "dan", ("/opt/vasp/6.10.0/bin/vasp_gam", &[]), new),
        start(6, "fay", ("/opt/tool/bin/tool", &[]), old),
        marked_start(7, "gil", 1),
        marked_start(8, "hal", 2),
        marked_start(9, "ida", 3),
    ];
    let frames: Vec<_> =
        frames.iter().map(|start| encode_frame(MessageType::ProcessInfo, start)).collect();
    send(&daemon, &frames);
    let packages = json!([
        package("xz-utils", "5.4.1-0.2", &[("/usr/lib/liblzma.so.5", "a1")]),
        package("xz-utils", "5.6.1+really5.4.5-1", &[("/usr/lib/liblzma.so.5", "a2")]),
        package("tool", "1.0~rc1", &[("/opt/tool/bin/tool", "")]),
    ]);
    let (status, learned) = learn(&daemon, &token, &json!({ "source": "node-1", "packages": packages }));
    assert_eq!((status, &learned["new"]), (200, &json!(3)));
    wait_for("nine starts", || {
        let total = answer(&daemon, "/v1/uses?path=*")["total"]["processes"].clone();
        (total == 9).then_some(())
    });

    // A package by the order of dpkg: `+really` belongs to the version.
    assert_eq!(users(&daemon, "xz-utils"), ["ann", "bob", "dan", "eve", "fay"]);
    assert_eq!(users(&daemon, "xz-utils&version=<5.6.1"), ["ann", "fay"]);
    assert_eq!(users(&daemon, "xz-utils&version=>=5.6.1,<5.6.2"), ["bob", "dan", "eve"]);
    assert_eq!(users(&daemon, "xz-utils-bin&version==5.4.1-0.2"), ["ann", "fay"], "by the binary package");
    assert_eq!(users(&daemon, "xz-utils&packager=dpkg&version=<1||>5.5"), ["bob", "dan", "eve"]);
    assert_eq!(users(&daemon, "tool&version=<1.0"), ["fay"], "a file without a build-id");
    let ann = &answer(&daemon, "/v1/uses?software=xz-utils&version=%3C5.6.1")["users"][0];
    assert_eq!((&ann["user"], &ann["processes"]), (&json!("ann"), &json!(2)), "each process once");

    // A rule of the site, with the version of the path.
    assert_eq!(users(&daemon, "VASP"), ["dan", "eve"]);
    assert_eq!(users(&daemon, "VASP&version=<6.5"), ["eve"]);
    assert_eq!(users(&daemon, "VASP&packager=rule&version=>6.5"), ["dan"]);

    // Registered builds, and what contains them.
    assert_eq!(users(&daemon, "code"), ["gil", "hal", "ida"]);
    assert_eq!(users(&daemon, "code&version=<2024.2"), ["gil", "ida"]);
    let answer = answer(&daemon, "/v1/uses?software=code&version=%3C2024.2");
    assert_eq!((&answer["direct"]["processes"], &answer["total"]["processes"]), (&json!(1), &json!(2)));
    assert_eq!(values(&answer, "through", &["name"]), ["workflow"]);
    assert_eq!(answer["of"], "code <2024.2");
    assert_eq!(users(&daemon, "code&version=>2024.1"), ["hal"]);

    // Any of several, each process once.
    let list = r#"[{"software":"xz-utils","packager":"dpkg","version":"<5.6"},{"software":"tool"}]"#;
    let list = list.replace('"', "%22").replace('<', "%3C");
    let any = self::answer(&daemon, &format!("/v1/uses?affected={list}"));
    assert_eq!(values(&any, "users", &["user"]), ["ann", "fay"]);
    assert_eq!((&any["total"]["processes"], &any["of"]), (&json!(3), &json!("xz-utils tool")));

    // Known, and run by nobody in this version; not known at all; and no question.
    assert_eq!(users(&daemon, "code&version=>2025"), Vec::<String>::new());
    let refused = |question| users(&daemon, question).remove(0)[..3].to_owned();
    assert_eq!(["nothing", "code&version=<", "code&path=/x", "&version=<1", "&affected=[", "&affected=[{}]"].map(refused),
        ["404", "400", "400", "400", "400", "400"]);
}}
