//! The registry's own database goes away in the middle of something, hangs, comes back: nothing is
//! lost, nothing half-written, and no event waits for it.

use crate::{
    daemon::{Daemon, OGRT_0_5, SERVER, build, wait_for},
    database::Database,
    registry::{digest_text, plain},
};
use ogrt_proto::{BuildRecord, FileKind, Input, MessageType, Note, Output, ProcessInfo, encode_frame};
use prost::Message;
use std::time::{Duration, Instant};

fn configuration(database: &Database) -> String {
    format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url())
}

/// Build number `number`: it contains what all contain, and the build before it.
fn numbered(number: u32) -> BuildRecord {
    let signature = |number: u32| uuid::Uuid::from_u64_pair(5, u64::from(number)).as_bytes().to_vec();
    let before = Input {
        sha256: Some(vec![7; 32].into()),
        signatures: vec![signature(number.wrapping_sub(1)).into()],
        ..Input::default()
    };
    BuildRecord {
        signature: Some(signature(number).into()),
        time_ns: Some(1_700_000_000_000_000_000 + i64::from(number)),
        output: Some(Output { sha256: Some(vec![9; 32].into()), ..Output::default() }),
        inputs: vec![plain(0xFE, FileKind::Object), before],
        ..BuildRecord::default()
    }
}

fn register(daemon: &Daemon, numbers: std::ops::Range<u32>) {
    let mut stream = daemon.acknowledged();
    let count = u64::from(numbers.end - numbers.start);
    for number in numbers {
        stream.send(&encode_frame(MessageType::BuildRecord, &numbered(number))).unwrap();
    }
    stream.wait_for(count).unwrap();
}

fn path(number: u32) -> String {
    format!("/v1/builds/{}", uuid::Uuid::from_u64_pair(5, u64::from(number)))
}

/// Every build, each once, each with its links.
fn all_are_there(daemon: &Daemon, count: u32) {
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    let lines = daemon.http("GET", "/v1/export", &[]).1;
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), count as usize);
    let (_, all) = daemon.get(&format!("/v1/dependents/{}?limit=1", digest_text(0xFE)));
    assert_eq!(all["count"], count);
    let first = uuid::Uuid::from_u64_pair(5, 0);
    // A chain is followed 64 deep.
    let (_, chain) = daemon.get(&format!("/v1/dependents/{first}"));
    assert_eq!((&chain["count"], &chain["truncated"]), (&64.into(), &true.into()));
    assert_eq!(daemon.metric("ogrt_builds_conflicting_total"), 0);
}

#[test]
fn a_database_that_goes_away_in_the_middle_loses_nothing() {
    let Some(database) = Database::alone() else { return };
    let mut daemon = Daemon::start(&configuration(&database));
    register(&daemon, 0..100);
    for round in 1..=3u32 {
        // While the group of these is on its way.
        register(&daemon, round * 1000..round * 1000 + 700);
        std::thread::sleep(Duration::from_millis(u64::from(round) * 20));
        database.goes_away();
        register(&daemon, round * 1000 + 700..round * 1000 + 900);
        // What was acknowledged is known, and a list says in one line why there is none.
        assert_eq!(daemon.get(&path(round * 1000 + 899)).0, 200);
        let (status, problem) = daemon.get("/v1/builds");
        assert_eq!((status, &problem["status"]), (503, &503.into()), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("the registry's database is away"), "{problem}");
        if round == 2 {
            daemon = daemon.crash_and_restart(&configuration(&database));
            assert_eq!(daemon.get(&path(2899)).0, 200);
        }
        database.comes_back();
        wait_for("the list", || (daemon.get("/v1/builds").0 == 200).then_some(()));
    }
    all_are_there(&daemon, 100 + 3 * 900);
    assert!(daemon.log().contains("the registry's database is back"), "{}", daemon.log());
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn a_database_that_hangs_holds_up_no_event_and_no_registration() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start(&(configuration(&database) + "[join]\nwait = \"200ms\"\n"));
    register(&daemon, 0..100);
    wait_for("them to be settled", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    database.hangs(true);
    let since = Instant::now();
    register(&daemon, 100..200);
    daemon.datagram(OGRT_0_5);
    wait_for("the event", || (!daemon.lines().is_empty()).then_some(()));
    assert_eq!(daemon.get("/v1/builds/09090909-0909-0909-0909-090909090909").0, 503);
    assert_eq!(daemon.get(&path(150)).0, 200);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    database.hangs(false);
    all_are_there(&daemon, 200);
}

#[test]
fn a_server_starts_without_its_database_and_registers_when_it_comes() {
    let Some(database) = Database::alone() else { return };
    database.goes_away();
    let daemon = Daemon::start(&configuration(&database));
    register(&daemon, 0..80);
    assert_eq!(daemon.get(&path(79)).0, 200);
    let posted = prost::Message::encode_to_vec(&numbered(80));
    assert_eq!(daemon.http("POST", "/v1/builds", &posted).0, 202);
    database.comes_back();
    all_are_there(&daemon, 81);
}

#[test]
fn what_waits_for_the_database_is_bounded() {
    let Some(database) = Database::alone() else { return };
    database.goes_away();
    let daemon = Daemon::start(&(configuration(&database) + "waiting_bytes_max = \"16KiB\"\n"));
    let mut stream = daemon.acknowledged();
    let refused = (0..1000).find(|number| {
        let frame = encode_frame(MessageType::BuildRecord, &numbered(*number));
        stream.send(&frame).is_err() || stream.wait_for(u64::from(*number) + 1).is_err()
    });
    let accepted = refused.expect("a bound");
    assert!(accepted > 20, "{accepted}");
    // Events are taken all the same.
    daemon.datagram(OGRT_0_5);
    wait_for("the event", || (!daemon.lines().is_empty()).then_some(()));
    database.comes_back();
    wait_for("the registrations", || (daemon.metric("ogrt_registrations_waiting") == 0).then_some(()));
    assert_eq!(daemon.metric("ogrt_builds_registered_total"), u64::from(accepted));
}

#[test]
fn two_servers_share_a_database() {
    let Some(database) = Database::new() else { return };
    let [one, other] = [(); 2].map(|()| Daemon::start(&configuration(&database)));
    for number in 0..60 {
        let daemon = if number % 2 == 0 { &one } else { &other };
        register(daemon, number..number + 1);
    }
    for daemon in [&one, &other] {
        all_are_there_or_fewer(daemon, 60);
    }
}

/// Does the work of `all_are_there` for a chain that may be shorter than the bound.
fn all_are_there_or_fewer(daemon: &Daemon, count: u32) {
    wait_for("the registrations", || {
        let (_, all) = daemon.get(&format!("/v1/dependents/{}", uuid::Uuid::from_u64_pair(5, 0)));
        (all["count"] == count - 1).then_some(())
    });
}

#[test]
fn a_connection_may_be_encrypted_and_the_certificate_is_checked() {
    let Some(database) = Database::encrypted() else { return };
    let registry = |sslmode: &str, ca: &str| {
        let url = database.url_over_tcp(sslmode);
        format!("[registry]\nbackend = \"postgres\"\nurl = \"{url}\"\n{ca}")
    };
    let ca = format!("ca_file = \"{}\"\n", database.folder().join("ca.pem").display());
    let daemon = Daemon::start(&registry("require", &ca));
    register(&daemon, 0..50);
    all_are_there_or_fewer(&daemon, 50);
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE ssl AND application_name = 'ogrt-server'";
    assert_ne!(database.execute(encrypted), "0");
    drop(daemon);

    // A certificate that nothing vouches for is as good as no database: what is registered waits.
    let other = tempfile::NamedTempFile::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(other.path(), made.cert.pem()).unwrap();
    let daemon = Daemon::start(&registry("require", &format!("ca_file = \"{}\"\n", other.path().display())));
    register(&daemon, 50..60);
    assert_eq!(daemon.get(&path(10)).0, 503);
    assert_eq!(daemon.get(&path(55)).0, 200);
    assert!(daemon.log().contains("certificate"), "{}", daemon.log());
    // The database lets nobody in without TLS, and the server says so and ends.
    let error = does_not_start(&registry("disable", ""));
    assert!(error.contains("no encryption"), "{error}");
}

#[test]
fn a_database_of_a_newer_server_is_refused_with_one_line() {
    let Some(database) = Database::new() else { return };
    drop(Daemon::start(&configuration(&database)));
    database.execute("UPDATE ogrt_format SET version = 99");
    let error = does_not_start(&configuration(&database));
    assert!(error.contains("format 99, made by a newer ogrt-server"), "{error}");
    assert_eq!(error.lines().filter(|line| line.contains("format 99")).count(), 1, "{error}");
    assert_eq!(database.execute("SELECT version FROM ogrt_format"), "99");
}

#[test]
fn a_database_of_the_first_format_is_brought_up_to_date() {
    let Some(database) = Database::new() else { return };
    database.execute(FIRST_FORMAT);
    for number in 0..30 {
        // The last is linked to nothing yet: its dependency comes later.
        let record =
            BuildRecord { uid: Some(number + 1000), ..numbered(if number == 29 { 40 } else { number }) };
        let bytes = prost::Message::encode_to_vec(&record);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = uuid::Uuid::from_slice(record.signature()).unwrap();
        let link = match number {
            1..29 => format!("INSERT INTO linked VALUES ({}, {number});", number - 1),
            _ => String::new(),
        };
        database.execute(&format!(
            "INSERT INTO builds VALUES ({number}, '{signature}', 1, {}, '\\x{}', '{{}}', '\\x{hex}', '\\x{hex}'); {link}
             SELECT nextval('build_numbers')",
            record.time_ns(),
            "09".repeat(32),
        ));
    }
    let daemon = Daemon::start(&configuration(&database));
    let chain = |of: u32| {
        let of = uuid::Uuid::from_u64_pair(5, u64::from(of));
        daemon.get(&format!("/v1/dependents/{of}")).1["count"].clone()
    };
    wait_for("the tables", || (daemon.get("/v1/builds").0 == 200).then_some(()));
    let (_, all) = daemon.get(&format!("/v1/dependents/{}", digest_text(0xFE)));
    assert_eq!((&all["count"], chain(0), chain(20)), (&30.into(), 28.into(), 8.into()));
    let (_, one) = daemon.get("/v1/builds?user=1007");
    assert_eq!(one["builds"].as_array().unwrap().len(), 1, "{one}");
    register(&daemon, 39..40);
    daemon.registrations_are_settled();
    assert_eq!(chain(39), 1, "what was unresolved before is known");
    let is_told = |line: &str| line.contains("was migrated from format 1") && line.contains(": 30 builds");
    assert!(daemon.log().lines().any(is_told), "{}", daemon.log());
}

#[test]
fn a_database_of_the_second_format_is_brought_up_to_date() {
    let Some(database) = Database::new() else { return };
    let daemon = Daemon::start(&configuration(&database));
    let chain = |daemon: &Daemon| {
        let of = uuid::Uuid::from_u64_pair(5, 0);
        let (_, found) = daemon.get(&format!("/v1/dependents/{of}?limit=1000"));
        found["builds"].as_array().unwrap().clone()
    };
    register(&daemon, 0..10);
    daemon.registrations_are_settled();
    // A number that no build has, as a registration leaves it that came to nothing.
    database.execute("SELECT nextval('build_numbers')");
    register(&daemon, 10..30);
    daemon.registrations_are_settled();
    let before = chain(&daemon);
    assert_eq!(before.len(), 29);
    drop(daemon);
    let rows = "SELECT slice, first, encode(signatures, 'hex') FROM signatures ORDER BY first";
    let libraries = "SELECT number FROM libraries ORDER BY number";
    let lists = "SELECT dependency, first, encode(offsets, 'hex') FROM dependents ORDER BY dependency, first";
    let (kept, known, linked) =
        (database.execute(rows), database.execute(libraries), database.execute(lists));
    assert_eq!(linked.lines().count(), 29);
    database.execute(
        "DROP TABLE signatures, libraries, servers, inquiries, inquiry_answers, withdrawn, installations, tokens, learned,
            ogrt_additions, leases, last_used;
         ALTER TABLE dependents ADD numbers bigint[];
         UPDATE dependents SET numbers = ARRAY(SELECT first + (get_byte(offsets, i) << 24)
                + (get_byte(offsets, i + 1) << 16) + (get_byte(offsets, i + 2) << 8) + get_byte(offsets, i + 3)
            FROM generate_series(0, length(offsets) - 4, 4) AS i);
         ALTER TABLE dependents DROP offsets, ALTER numbers SET NOT NULL;
         UPDATE ogrt_format SET version = 2",
    );
    let daemon = Daemon::start(&configuration(&database));
    wait_for("the tables", || (daemon.get("/v1/builds").0 == 200).then_some(()));
    assert_eq!(chain(&daemon), before);
    let signatures = |rows: &str| rows.lines().filter_map(|row| row.rsplit('|').next()).collect::<String>();
    assert_eq!(signatures(&kept).len(), 30 * 32);
    assert_eq!(signatures(&database.execute(rows)), signatures(&kept));
    assert_eq!(database.execute(libraries), known);
    assert_eq!(database.execute(lists), linked);
}

#[test]
fn an_import_while_the_database_is_away_can_be_made_again() {
    let Some(database) = Database::alone() else { return };
    let daemon = Daemon::start(&configuration(&database));
    register(&daemon, 0..20);
    daemon.registrations_are_settled();
    let lines = daemon.http("GET", "/v1/export", &[]).1;
    database.goes_away();
    let (status, problem) = daemon.http("POST", "/v1/import", &lines);
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&problem));
    database.comes_back();
    wait_for("the import", || (daemon.http("POST", "/v1/import", &lines).0 == 200).then_some(()));
    assert_eq!(daemon.http("POST", "/v1/import", b"nonsense").0, 400);
}

/// Starts the server with this at the end of its configuration; what it says when it ends.
fn does_not_start(more: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let config = directory.path().join("ogrt.conf");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nunix = \"{at}/s\"\ndata_dir = \"{at}/data\"\n{more}"
    );
    std::fs::write(&config, text).unwrap();
    let ended = std::process::Command::new(SERVER).arg("--config").arg(&config).output().unwrap();
    assert!(!ended.status.success());
    String::from_utf8(ended.stderr).unwrap()
}

/// The tables as the first servers made them.
const FIRST_FORMAT: &str = "
    CREATE TABLE ogrt_format (version bigint NOT NULL);
    INSERT INTO ogrt_format VALUES (1);
    CREATE TABLE builds (number bigint PRIMARY KEY, signature uuid NOT NULL UNIQUE, registered_ns bigint NOT NULL,
        time_ns bigint NOT NULL, output_digest bytea, terms uuid[] NOT NULL, brief bytea NOT NULL, record bytea NOT NULL);
    CREATE SEQUENCE build_numbers OWNED BY builds.number;
    CREATE INDEX builds_by_time ON builds (time_ns, number);
    CREATE INDEX builds_by_output ON builds (output_digest) WHERE output_digest IS NOT NULL;
    CREATE INDEX builds_by_term ON builds USING gin (terms);
    CREATE TABLE linked (dependency bigint NOT NULL, dependent bigint NOT NULL REFERENCES builds ON DELETE CASCADE,
        PRIMARY KEY (dependency, dependent));
    CREATE INDEX linked_by_dependent ON linked (dependent);
    CREATE TABLE made_again (number bigint NOT NULL REFERENCES builds ON DELETE CASCADE, time_ns bigint NOT NULL,
        made bytea NOT NULL, PRIMARY KEY (number, time_ns, made));
";

#[test]
fn a_build_that_another_server_withdraws_is_shown_no_more() {
    let Some(database) = Database::new() else { return };
    let [one, other] = [(), ()].map(|()| Daemon::start(&configuration(&database)));
    let operator =
        crate::security::token(&one.path().join("data"), &["add", "operator", "--scope", "administer"]);
    let post = |name: &str| one.http("POST", "/v1/builds", &build(7, name).encode_to_vec()).0;
    assert_eq!(post("false"), 201);
    let signature = uuid::Uuid::from_bytes([7; 16]);
    let shown = |job: &str| {
        let note = Note { signature: Some(vec![7; 16].into()), ..Note::default() };
        let start = ProcessInfo {
            job_id: Some(job.as_bytes().to_vec().into()),
            notes: vec![note],
            ..ProcessInfo::default()
        };
        other.datagram(&encode_frame(MessageType::ProcessInfo, &start));
        let answer = wait_for("the event", || {
            let (status, answer) = other.get(&format!("/v1/jobs/{job}"));
            (status == 200).then_some(answer)
        });
        answer["processes"][0]["build"]["name"].clone()
    };
    assert_eq!(shown("before"), "false");
    let header = format!("authorization: Bearer {operator}\r\n");
    assert_eq!(one.http_with("DELETE", &format!("/v1/builds/{signature}"), &header, &[]).0, 200);
    assert_eq!(post("true"), 201);
    let mut asked = 0;
    wait_for("the true one", || {
        asked += 1;
        (shown(&format!("after{asked}")) == "true").then_some(())
    });
    assert!(asked < 100, "{asked}");
}
