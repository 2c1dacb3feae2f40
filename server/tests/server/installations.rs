//! Installations are found by what a person has in hand: a directory, a module's name, a signature.

use crate::{
    backend::{Backend, on_every_backend},
    daemon::{Daemon, SERVER, wait_for},
    database::Database,
};
use ogrt_proto::{BuildMetadata, Installation, InstalledFile, Registrar};
use prost::Message;
use serde_json::Value;
use std::process::Command;

fn installation(prefix: &str, module: &str, time_ns: i64, signatures: &[u8]) -> Vec<u8> {
    let file = |signature: &u8| InstalledFile {
        path: Some(format!("lib/lib{signature}.so").into()),
        signatures: vec![vec![*signature; 16].into()],
    };
    let metadata = BuildMetadata { module: Some(module.into()), ..Default::default() };
    let installation = Installation {
        prefix: Some(prefix.to_owned().into()),
        metadata: Some(metadata),
        time_ns: Some(time_ns),
        files: signatures.iter().map(file).collect(),
        ..Default::default()
    };
    installation.encode_to_vec()
}

fn prefixes(daemon: &Daemon, question: &str) -> Vec<String> {
    let (status, answer) = daemon.get(&format!("/v1/installations{question}"));
    assert_eq!(status, 200, "{answer}");
    let prefix = |one: &Value| format!("{}@{}", one["prefix"].as_str().unwrap(), one["registered_ns"]);
    answer["installations"].as_array().unwrap().iter().map(prefix).collect()
}

on_every_backend! {
fn they_are_found_by_prefix_module_and_signature(backend) {
    let daemon = backend.start("");
    for body in [
        installation("/sw/zlib/1", "zlib/1", 10, &[1, 2]),
        installation("/sw/hdf5/2", "hdf5/2", 20, &[3]),
        // The same prefix again, rebuilt: one library is new, the other the same.
        installation("/sw/zlib/1", "zlib/1", 30, &[1, 4]),
        // A name that begins like another is another.
        installation("/sw/zlib/1.2", "zlib/1.2", 40, &[5]),
    ] {
        assert_eq!(daemon.http("POST", "/v1/installations", &body).0, 201);
    }
    // A client that did not hear the answer says it again.
    let again = installation("/sw/hdf5/2", "hdf5/2", 20, &[3]);
    assert_eq!(daemon.http("POST", "/v1/installations", &again).0, 201);

    let [zlib, rebuilt, hdf5, other] = ["/sw/zlib/1@10", "/sw/zlib/1@30", "/sw/hdf5/2@20", "/sw/zlib/1.2@40"];
    assert_eq!(prefixes(&daemon, ""), [other, rebuilt, hdf5, zlib]);
    assert_eq!(prefixes(&daemon, "?limit=2"), [other, rebuilt]);
    let (_, first) = daemon.get("/v1/installations?limit=2");
    let cursor = first["next"].as_str().unwrap();
    assert_eq!(prefixes(&daemon, &format!("?limit=2&cursor={cursor}")), [hdf5, zlib]);
    let (_, last) = daemon.get(&format!("/v1/installations?limit=2&cursor={cursor}"));
    assert!(last["next"].is_null(), "{last}");
    assert_eq!(prefixes(&daemon, "?prefix=/sw/zlib/1"), [rebuilt, zlib]);
    assert_eq!(prefixes(&daemon, "?module=zlib/1"), [rebuilt, zlib]);
    assert_eq!(prefixes(&daemon, &format!("?signature={}", hex(1, 16))), [rebuilt, zlib]);
    assert_eq!(prefixes(&daemon, &format!("?signature={}", hex(4, 16))), [rebuilt]);
    assert_eq!(prefixes(&daemon, &format!("?signature={}&prefix=/elsewhere", hex(1, 16))), [""; 0]);
    let (_, answer) = daemon.get("/v1/installations?prefix=/sw/hdf5/2");
    let file = &answer["installations"][0]["files"][0];
    assert_eq!(
        (&file["path"], &file["signatures"][0]),
        (&"lib/lib3.so".into(), &"03030303-0303-0303-0303-030303030303".into())
    );
}

fn who_registered_one_is_kept_and_what_it_says_of_that_is_not_believed(backend) {
    let daemon = backend.start("[access]\nregister = \"token\"\n");
    let config = daemon.path().join("ogrt.conf");
    let made = Command::new(SERVER).arg("--config").arg(config).args(["token", "add", "easybuild"]).output();
    let token = String::from_utf8(made.unwrap().stdout).unwrap();
    let with_token = format!("Authorization: Bearer {}\r\n", token.trim());
    let far = 4_000_000_000_000_000_000;
    let mut forged = Installation::decode(&installation("/sw/a", "a", far, &[1])[..]).unwrap();
    forged.registrar = Some(Registrar { token: Some("site".into()), ..Registrar::default() });
    let body = forged.encode_to_vec();
    assert_eq!(daemon.http("POST", "/v1/installations", &body).0, 401);
    let registered = || daemon.http_with("POST", "/v1/installations", &with_token, &body).0;
    wait_for("the token to be known", || (registered() == 201).then_some(()));
    let one = wait_for("the installation", || {
        let (_, answer) = daemon.get("/v1/installations?prefix=/sw/a");
        answer["installations"].as_array().and_then(|all| all.first().cloned())
    });
    assert_eq!((&one["registered_by"], &one["registered_with"]), (&"easybuild".into(), &"token".into()));
    // Nobody registers one for later, in front of all that comes until then.
    assert!(one["registered_ns"].as_i64().unwrap() < far / 2, "{one}");
}

fn they_move_with_the_builds_to_either_backend(backend) {
    let mut daemon = backend.start("");
    crate::registry::register(&daemon, &[crate::registry::linked(1, "lib", vec![])]);
    for number in 1..=45 {
        let body = installation(&format!("/sw/{number}"), "m", number, &[1]);
        assert_eq!(daemon.http("POST", "/v1/installations", &body).0, 201);
    }
    daemon.registrations_are_settled();
    let all = prefixes(&daemon, "?limit=100");
    assert_eq!((all.len(), all[0].as_str()), (45, "/sw/45@45"));
    let (status, lines) = daemon.http("GET", "/v1/export", &[]);
    assert_eq!((status, lines.iter().filter(|byte| **byte == b'\n').count()), (200, 46));
    daemon.stop();
    assert_eq!(crate::registry::offline(&daemon, "export", b""), lines);

    let others = [Backend::embedded(), backend.another()];
    for other in &others {
        let other = other.start("");
        for new in [1, 0] {
            let (status, counts) = other.http("POST", "/v1/import", &lines);
            let counts: Value = serde_json::from_slice(&counts).unwrap();
            assert_eq!((status, &counts["new"], &counts["installations"]), (200, &new.into(), &45.into()));
        }
        wait_for("the installations", || (prefixes(&other, "?limit=100") == all).then_some(()));
    }
    let empty = backend.another();
    let mut other = empty.start("");
    other.stop();
    let counts: Value =
        serde_json::from_slice(&crate::registry::offline(&other, "import", &lines)).unwrap();
    assert_eq!((&counts["new"], &counts["installations"]), (&1.into(), &45.into()));
    let other = other.crash_and_restart(&empty.configuration());
    wait_for("the installations", || (prefixes(&other, "?limit=100") == all).then_some(()));
    let wrong = b"{\"installation\": \"!\"}\n";
    assert_eq!(other.http("POST", "/v1/import", wrong).0, 400);
    assert_eq!(other.http("POST", "/v1/import", b"{}\n").0, 400);
}
}

fn hex(byte: u8, times: usize) -> String {
    format!("{byte:02x}").repeat(times)
}

#[test]
fn what_is_none_is_refused_and_what_was_taken_survives() {
    let daemon = Daemon::start("");
    for body in
        [&b"garbage"[..], b"", &installation("relative", "m", 1, &[1]), &installation("/a\0b", "m", 1, &[])]
    {
        assert_eq!(daemon.http("POST", "/v1/installations", body).0, 400);
    }
    assert_eq!(daemon.get("/v1/installations?signature=nonsense").0, 400);
    assert_eq!(daemon.get("/v1/installations?prefx=/sw").0, 400);
    assert_eq!(daemon.get("/v1/installations?cursor=nonsense").0, 400);
    assert_eq!(daemon.http("POST", "/v1/installations", &installation("/sw/a", "a", 1, &[1])).0, 201);
    let daemon = daemon.crash_and_restart("");
    assert_eq!(prefixes(&daemon, ""), ["/sw/a@1"]);
}

#[test]
fn servers_of_one_registry_know_the_same_installations() {
    let Some(backend) = Backend::postgres() else { return };
    let [here, there] = [0, 1].map(|_| backend.start(""));
    // A path and a name that are longer than an index entry of the database.
    let (path, module) = (format!("/sw/{}", "p".repeat(4000)), "m".repeat(4000));
    for body in [installation("/sw/a", "a", 1, &[1]), installation(&path, &module, 2, &[2])] {
        assert_eq!(here.http("POST", "/v1/installations", &body).0, 201);
    }
    assert_eq!(there.http("POST", "/v1/installations", &installation("/sw/c", "c", 3, &[1])).0, 201);
    for daemon in [&here, &there] {
        assert_eq!(prefixes(daemon, ""), ["/sw/c@3", &format!("{path}@2"), "/sw/a@1"]);
        assert_eq!(prefixes(daemon, &format!("?signature={}", hex(1, 16))), ["/sw/c@3", "/sw/a@1"]);
        assert_eq!(prefixes(daemon, &format!("?module={module}&prefix={path}")), [format!("{path}@2")]);
    }
}

#[test]
fn an_installation_is_taken_while_the_database_is_away_and_so_is_what_was_kept_before_it() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start("");
    assert_eq!(daemon.http("POST", "/v1/installations", &installation("/sw/old", "old", 1, &[1])).0, 201);
    // The site takes a database.
    let configuration = format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url());
    let daemon = daemon.crash_and_restart(&configuration);
    wait_for("what was kept before", || (prefixes(&daemon, "") == ["/sw/old@1"]).then_some(()));
    database.goes_away();
    assert_eq!(daemon.http("POST", "/v1/installations", &installation("/sw/new", "new", 2, &[1])).0, 201);
    assert_eq!(daemon.get("/v1/installations").0, 503);
    database.comes_back();
    let all = || (daemon.get("/v1/installations").0 == 200).then(|| prefixes(&daemon, ""));
    assert_eq!(wait_for("the database", all), ["/sw/new@2", "/sw/old@1"]);
    // They are in the database, and not only here.
    let other = Daemon::start(&configuration);
    wait_for("what waited", || (prefixes(&other, "") == ["/sw/new@2", "/sw/old@1"]).then_some(()));
}
