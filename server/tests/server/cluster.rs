//! Several servers that share a store: each answers for what came to any of them, and each event
//! is there once, whatever dies.

use crate::{
    backend::Backend,
    crash::{Client, Load, event_id, rounds},
    daemon::{Daemon, wait_for},
    database::Database,
    process_events::{event, send},
};
use nix::sys::signal::Signal;
use ogrt_proto::{MessageType, ProcessEnd, ProcessInfo, encode_frame};
use prost::Message;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashSet},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

const QUICK: &str = "[join]\nwait = \"0s\"\n";

/// The end of the process with this start.
fn end(number: u32, job: &str) -> bytes::Bytes {
    let start = ProcessInfo::decode(&event(number, job, "ann", 3, &[])[8..]).unwrap();
    let end = ProcessEnd {
        event_id: start.event_id,
        job_id: start.job_id,
        duration_ns: Some(u64::from(number)),
        ..ProcessEnd::default()
    };
    encode_frame(MessageType::ProcessEnd, &end)
}

fn start(number: u32, job: &str) -> bytes::Bytes {
    event(number, job, "ann", 3, &[])
}

/// The ids of all processes in the answer about a job, which has all that was acknowledged.
fn ids(daemon: &Daemon, job: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let address = format!("/v1/jobs/{job}?limit=20000&cursor={cursor}");
        let page = wait_for("the answer", || {
            let (status, page) = daemon.get(&address);
            assert!([200, 404, 503].contains(&status), "{page}");
            // Nothing is known of a job yet while the servers are behind.
            let is_behind = page.to_string().contains("The server is behind");
            (status != 503 && !is_behind && page["counted_until_ns"].is_null()).then_some(page)
        });
        for process in page["processes"].as_array().into_iter().flatten() {
            ids.push(process["event_id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return ids,
        }
    }
}

/// Events in the store.
fn stored(database: &Database) -> usize {
    database.execute("SELECT coalesce(sum(events), 0) FROM job_chunks").parse().unwrap()
}

#[test]
fn a_job_of_two_servers_is_whole_and_the_same_at_both() {
    let Some(backend) = Backend::cluster() else { return };
    let servers = [0, 1].map(|_| backend.start(QUICK));
    for round in 0..3 {
        let job = format!("job{round}");
        for (server, other) in [(0, 1), (1, 0)] {
            let numbers =
                || (0..200).filter(|number| number % 2 == server as u32).map(|number| round * 1000 + number);
            send(&servers[server], &numbers().map(|number| start(number, &job)).collect::<Vec<_>>());
            send(&servers[other], &numbers().map(|number| end(number, &job)).collect::<Vec<_>>());
        }
        // The first question has all: nobody waits for the next write.
        let asked = Instant::now();
        let [one, two] = [0, 1].map(|server| servers[server].http("GET", &format!("/v1/jobs/{job}"), &[]));
        println!("two questions in {:?}", asked.elapsed());
        assert!(one.0 == 200 && one == two);
        let answer: Value = serde_json::from_slice(&one.1).unwrap();
        let processes = answer["processes"].as_array().unwrap();
        assert_eq!((processes.len(), &answer["counted_until_ns"]), (200, &Value::Null));
        assert!(processes.iter().all(|process| process["end"]["duration_ns"].is_u64()), "{answer}");
        let page = |server: usize| servers[server].get(&format!("/v1/jobs/{job}?limit=150")).1;
        assert_eq!(page(0), page(1));
        // A cursor of one server holds at the other.
        let cursor = page(0)["next"].as_str().unwrap().to_owned();
        let rest =
            |server: usize| servers[server].get(&format!("/v1/jobs/{job}?limit=150&cursor={cursor}")).1;
        assert_eq!(rest(0), rest(1));
        assert_eq!(rest(0)["processes"].as_array().unwrap()[..], processes[150..]);
    }
    assert_eq!(stored(backend.database().unwrap()), 1200);
}

#[test]
fn each_acknowledged_event_is_there_once_whichever_server_is_killed_when() {
    let Some(backend) = Backend::cluster() else { return };
    let more = format!("{QUICK}{}", backend.configuration());
    let mut clients = [1, 4].map(|first| Some((first..first + 3).map(Client::new).collect::<Vec<_>>()));
    let mut servers = [0, 1].map(|_| Some(Daemon::start(&more)));
    let kills = rounds(8, 30);
    for _ in 0..kills {
        let loads = [0, 1].map(|at| Load::on(servers[at].as_ref().unwrap(), clients[at].take().unwrap()));
        let random = uuid::Uuid::new_v4().as_u128() as u64;
        sleep(Duration::from_millis(random % 1300));
        let dying = (random >> 32) as usize % 2;
        servers[dying] = Some(servers[dying].take().unwrap().crash_and_restart(&more));
        for (at, load) in loads.into_iter().enumerate() {
            clients[at] = Some(load.end());
        }
    }
    let acknowledged: HashSet<String> =
        clients.iter().flatten().flatten().flat_map(Client::acknowledged).collect();
    let mut all: BTreeMap<String, u32> = BTreeMap::new();
    for job in 0..5 {
        let [one, two] = [0, 1].map(|at| ids(servers[at].as_ref().unwrap(), &format!("job{job}")));
        assert_eq!(one, two);
        one.into_iter().for_each(|id| *all.entry(id).or_default() += 1);
    }
    let missing = acknowledged.iter().filter(|id| !all.contains_key(*id)).count();
    let twice = all.values().filter(|count| **count > 1).count();
    assert_eq!((missing, twice), (0, 0), "missing and twice, of {}", acknowledged.len());
    // Nor is any hidden behind another.
    assert_eq!(stored(backend.database().unwrap()), all.len());
    println!("{kills} kills, {} events acknowledged: none missing, none twice", acknowledged.len());
}

#[test]
fn events_wait_while_the_database_is_away_and_questions_are_refused() {
    let Some(database) = Database::alone() else { return };
    let more = format!("{QUICK}{}", Backend::cluster_on(&database));
    let servers = [0, 1].map(|_| Daemon::start(&more));
    send(&servers[0], &(0..50).map(|number| start(number, "job")).collect::<Vec<_>>());
    assert_eq!(ids(&servers[1], "job").len(), 50);
    database.goes_away();
    let since = Instant::now();
    for (server, first) in servers.iter().zip([50, 100]) {
        send(server, &(first..first + 50).map(|number| start(number, "job")).collect::<Vec<_>>());
        let asked = Instant::now();
        let (status, problem) = server.get("/v1/jobs/job");
        assert_eq!(status, 503, "{problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with("the store's database is away"), "{problem}");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
    sleep(Duration::from_secs(rounds(4, 10)).saturating_sub(since.elapsed()));
    assert!(servers.iter().all(|server| server.metric("ogrt_jobs_lag_batches") > 0));
    database.comes_back();
    for server in &servers {
        assert_eq!(ids(server, "job").len(), 150);
    }
    assert_eq!(stored(&database), 150);
    for server in &servers {
        assert_eq!(server.metric("ogrt_jobs_lag_batches"), 0);
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
    // One that hangs is refused as quickly, and what is acknowledged meanwhile is kept.
    database.hangs(true);
    let asked = Instant::now();
    assert_eq!(servers[0].get("/v1/jobs/job").0, 503);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    send(&servers[0], &[start(150, "job")]);
    database.hangs(false);
    assert_eq!(ids(&servers[1], "job").len(), 151);
}

#[test]
fn a_copy_of_a_servers_directory_writes_nothing_twice_and_loses_nothing() {
    let Some(backend) = Backend::cluster() else { return };
    // What is written late is there at the moment of the copy.
    let more = format!(
        "{QUICK}{}",
        backend.configuration().replace("[registry]", "write_every = \"1h\"\n[registry]")
    );
    let original = Daemon::start(&more);
    let numbers = |from: u32| (from..from + 20).map(|number| start(number, "job")).collect::<Vec<_>>();
    send(&original, &numbers(0));
    assert_eq!(ids(&original, "job").len(), 20);
    send(&original, &numbers(100));
    original.signal(Signal::SIGSTOP);
    let directory = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-a").arg(original.path().join("data")).arg(directory.path()).status();
    assert!(copied.unwrap().success());
    let copy = Daemon::start_in(directory, &more);
    send(&copy, &numbers(200));
    wait_for("the copy's events", || (ids_now(&copy, "job") == 60).then_some(()));
    original.signal(Signal::SIGCONT);
    send(&original, &numbers(300));
    // The original is fenced, and goes on as a server of its own.
    for server in [&original, &copy] {
        wait_for("all events", || (ids_now(server, "job") == 80).then_some(()));
    }
    assert_eq!(stored(backend.database().unwrap()), 80);
    assert!(original.metric("ogrt_ledger_fenced_total") >= 1, "{}", original.log());
    assert_eq!(copy.metric("ogrt_ledger_fenced_total"), 0);
    // Both go on, also after a restart.
    let [original, copy] = [original, copy].map(|server| server.crash_and_restart(&more));
    send(&original, &numbers(400));
    send(&copy, &numbers(500));
    for server in [&original, &copy] {
        wait_for("all events", || (ids_now(server, "job") == 120).then_some(()));
    }
    assert_eq!(stored(backend.database().unwrap()), 120);
    assert_eq!(backend.database().unwrap().execute("SELECT count(*) FROM places"), "2");
}

#[test]
fn whoever_counts_reads_whole_writes_of_a_partition_in_their_order() {
    let Some(backend) = Backend::cluster() else { return };
    let servers = [0, 1].map(|_| backend.start(QUICK));
    for round in 0..6 {
        // Writes of several rows, and of one.
        let job = |number: u32| format!("job{}", number % (1 + round * 2));
        let events =
            |from: u32| (from..from + 30).map(|number| start(number, &job(number))).collect::<Vec<_>>();
        servers.iter().zip([0, 500]).for_each(|(server, more)| send(server, &events(round * 30 + more)));
        ids(&servers[0], "job0");
    }
    let database = backend.database().unwrap();
    let sql = include_str!("../../src/jobs/site/commits.sql");
    let read = |partition: &str, from: u64, bytes: u64, rows: u64| {
        let select = format!(
            "PREPARE q AS {sql}; CREATE TEMP TABLE r AS EXECUTE q({partition}, {from}, {bytes}, {rows});
            SELECT first, next, count(*), sum(length(body)) FROM r GROUP BY 1, 2 ORDER BY 1"
        );
        let lines = database.execute(&select);
        let numbers = |line: &str| line.split('|').map(|field| field.parse().unwrap()).collect::<Vec<u64>>();
        lines.lines().map(numbers).collect::<Vec<_>>()
    };
    let partitions = database.execute("SELECT partition FROM places");
    for partition in partitions.lines() {
        let all = read(partition, 0, 1 << 30, 1000);
        assert!(all.len() >= 6 && all.is_sorted(), "{all:?}");
        for (bytes, rows) in
            [(0, 1000), (0, 1), (1, 2), (all[0][3] + all[1][3], 1000), (1 << 30, 3), (1 << 30, 12)]
        {
            // Step by step, whatever the bounds are, each write comes once and whole.
            let (mut from, mut found) = (0, Vec::new());
            loop {
                let part = read(partition, from, bytes, rows);
                let Some(last) = part.last() else { break };
                assert!(
                    part.len() == 1 || part.iter().map(|write| write[3]).sum::<u64>() <= bytes,
                    "{part:?}"
                );
                from = last[1];
                found.extend(part);
            }
            assert_eq!(found, all, "{bytes} bytes, {rows} rows");
        }
    }
}

/// The number of processes that are answered now.
fn ids_now(daemon: &Daemon, job: &str) -> usize {
    daemon.get(&format!("/v1/jobs/{job}")).1["processes"].as_array().map_or(0, Vec::len)
}

#[test]
fn an_answer_says_what_it_may_lack_while_a_server_is_away() {
    let Some(backend) = Backend::cluster() else { return };
    let more = format!(
        "{QUICK}{}",
        backend.configuration().replace("[registry]", "write_every = \"1h\"\n[registry]")
    );
    let [here, mut there] = [0, 1].map(|_| Daemon::start(&more));
    let counted_until = || here.get("/v1/jobs/job").1["counted_until_ns"].clone();
    send(&here, &[start(1, "job")]);
    send(&there, &[start(2, "job")]);
    assert_eq!(ids(&here, "job").len(), 2);
    // What was stopped in order has nothing that the others lack.
    send(&there, &[start(3, "job")]);
    assert!(there.stop().success());
    assert_eq!((ids(&here, "job").len(), counted_until()), (3, Value::Null));
    there = there.crash_and_restart(&more);
    // It is there again when it has answered a question.
    send(&there, &[start(4, "job")]);
    assert_eq!(ids(&here, "job").len(), 4);
    send(&there, &[start(5, "job")]);
    let directory = there.crash();
    let asked = Instant::now();
    assert!(counted_until().is_i64());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let _there = Daemon::start_in(directory, &more);
    wait_for("it to be back", || (counted_until().is_null()).then_some(()));
    assert_eq!(ids(&here, "job").len(), 5);
}

#[test]
fn old_days_go_and_the_answer_says_so() {
    let Some(backend) = Backend::cluster() else { return };
    let servers = [0, 1].map(|_| backend.start(QUICK));
    send(&servers[0], &[start(1, "both"), start(2, "new")]);
    assert_eq!(ids(&servers[0], "both").len() + ids(&servers[0], "new").len(), 2);
    let database = backend.database().unwrap();
    // As a server wrote them long ago.
    database.execute(
        "CREATE TABLE job_chunks_18000 (LIKE job_chunks INCLUDING ALL);
        ALTER TABLE job_chunks ATTACH PARTITION job_chunks_18000 FOR VALUES FROM (18000) TO (18001);
        INSERT INTO job_chunks SELECT 18000, CASE WHEN job = 'both' THEN job ELSE 'old' END, cluster, 5, partition,
            first, number, next, events, holder, body FROM job_chunks;
        INSERT INTO job_bytes SELECT 18000, partition, holder, 1 FROM job_bytes",
    );
    assert_eq!(servers[1].get("/v1/jobs/old").0, 200);
    wait_for("the old day to go", || (servers[1].get("/v1/jobs/old").0 == 404).then_some(()));
    assert_eq!(
        database.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'job_chunks'::regclass"),
        "1"
    );
    for server in &servers {
        let is_cut = |job: &str| server.get(&format!("/v1/jobs/{job}")).1["truncated"] == true;
        assert_eq!([is_cut("both"), is_cut("new")], [true, false]);
    }
}

#[test]
fn who_floods_one_server_pushes_out_nobody_at_another() {
    let Some(backend) = Backend::cluster() else { return };
    let more = format!("{QUICK}[jobs]\nbytes_max = \"1MiB\"\n");
    let servers = [0, 1].map(|_| backend.start(&more));
    send(&servers[0], &(0..20).map(|number| start(number, &format!("own{number}"))).collect::<Vec<_>>());
    let flood = |number: u32| event(1000 + number, &format!("x{number}"), "flood", 3, &[]);
    send(&servers[1], &(0..6000).map(flood).collect::<Vec<_>>());
    assert_eq!(ids(&servers[0], "x5999").len(), 1);
    let database = backend.database().unwrap();
    wait_for("the bytes to be few", || {
        let bytes = database.execute("SELECT sum(bytes) FROM job_bytes");
        (bytes.parse::<u64>().unwrap() < 1 << 20).then_some(())
    });
    let counted =
        "SELECT sum(length(body) + length(job) + length(cluster) + length(holder) + 80) FROM job_chunks";
    assert_eq!(database.execute(counted), database.execute("SELECT sum(bytes) FROM job_bytes"));
    for number in 0..20 {
        let answer = servers[1].get(&format!("/v1/jobs/own{number}"));
        assert_eq!((answer.0, &answer.1["truncated"]), (200, &Value::Null));
    }
    assert_eq!(servers[0].get("/v1/jobs/x0").0, 404);
    let lost = |server: &Daemon| {
        let text = String::from_utf8(server.http("GET", "/metrics", &[]).1).unwrap();
        text.contains("ogrt_sender_over_share_total{bound=\"jobs.bytes_max\",sender=\"claimed flood@")
    };
    assert!(servers.iter().any(lost));
}

#[test]
fn a_newer_server_has_added_to_the_tables() {
    let Some(backend) = Backend::cluster() else { return };
    let daemon = backend.start(QUICK);
    send(&daemon, &[start(1, "job")]);
    assert_eq!(ids(&daemon, "job"), [event_id(7, 1)]);
    backend.database().unwrap().execute(
        "UPDATE ogrt_store_additions SET count = count + 3; ALTER TABLE places ADD COLUMN newer bigint NOT NULL DEFAULT 4;
        ALTER TABLE job_chunks ADD COLUMN newer bigint NOT NULL DEFAULT 5",
    );
    let daemon = daemon.crash_and_restart(&format!("{QUICK}{}", backend.configuration()));
    send(&daemon, &[start(2, "job")]);
    assert_eq!(ids(&daemon, "job").len(), 2);
}
