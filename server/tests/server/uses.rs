//! Who ran what: counts from events, joined with what contains what.

use crate::{
    daemon::{Daemon, OGRT_0_5, wait_for},
    process_events::{event, object, second, send},
    registry::{digest_text, linked, register, signature_text, stack},
};
use ogrt_proto::{MessageType, Package, ProcessEnd, ProcessInfo, SharedObject, encode_frame};
use prost::Message;
use serde_json::Value;

/// Asks until so many processes are counted: those that wait for records come late.
fn uses(daemon: &Daemon, what: &str, processes: u64) -> Value {
    wait_for("the uses", || {
        let (status, json) = daemon.get(&format!("/v1/uses/{what}"));
        (status == 200 && json["total"]["processes"] == processes).then_some(json)
    })
}

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|element| element[key].as_str().unwrap()).collect()
}

const QUICK: &str = "[join]\nwait = \"100ms\"\n";

#[test]
fn a_process_counts_once_for_all_that_it_contains() {
    let daemon = Daemon::start(QUICK);
    register(&daemon, &stack());
    send(
        &daemon,
        &[
            // app (3) contains libb (2) and liba (1), and loads both: one process.
            event(1, "j1", "alice", 3, &[2, 1]),
            event(2, "j1", "alice", 3, &[2, 1]),
            event(3, "j2", "bob", 3, &[2]),
            // Something unmarked loads liba.
            event(4, "j3", "carol", 0, &[1]),
            event(5, "j3", "carol", 4, &[]),
        ],
    );
    let of_liba = uses(&daemon, &signature_text(1), 4);
    assert_eq!(of_liba["build"]["name"], "liba");
    let direct = &of_liba["direct"];
    assert_eq!((&direct["processes"], &direct["jobs"], &direct["users"]), (&3.into(), &2.into(), &2.into()));
    let total = &of_liba["total"];
    assert_eq!(
        (&total["processes"], &total["jobs"], &total["users"], &total["hosts"]),
        (&4.into(), &3.into(), &3.into(), &3.into())
    );
    assert_eq!(total["first_ns"], second(1) * 1_000_000_000);
    assert_eq!(total["last_ns"], second(4) * 1_000_000_000);
    assert_eq!(names(&of_liba["users"], "user"), ["alice", "bob", "carol"]);
    assert_eq!(of_liba["users"][0]["jobs"], 1);
    assert_eq!(names(&of_liba["jobs"], "job_id"), ["j3", "j2", "j1"]);
    assert_eq!(of_liba["jobs"][2]["user"], "alice");
    let through: Vec<(&str, &Value)> = of_liba["through"]
        .as_array()
        .unwrap()
        .iter()
        .map(|used| (used["name"].as_str().unwrap(), &used["processes"]))
        .collect();
    assert_eq!(through, [("libb", &3.into()), ("app", &3.into())]);

    // The static library, which no process ever loads.
    let of_libfoo = uses(&daemon, &digest_text(0xF0), 4);
    assert_eq!(of_libfoo["direct"]["processes"], 0);
    assert_eq!(names(&of_libfoo["users"], "user"), ["alice", "bob", "carol"]);
    let of_crt = uses(&daemon, &digest_text(0xFE), 5);
    assert_eq!(of_crt["total"]["users"], 3);
    let since = daemon.get(&format!("/v1/uses/{}?since={}&limit=1", digest_text(0xFE), second(4))).1;
    assert_eq!(
        (names(&since["users"], "user"), names(&since["jobs"], "job_id")),
        (vec!["carol"], vec!["j3"])
    );

    let (_, idle) = daemon.get(&format!("/v1/uses/{}", digest_text(4)));
    assert_eq!(idle["total"]["processes"], 1);
    assert_eq!(daemon.get(&format!("/v1/uses/{}", digest_text(0x55))).0, 404);
}

#[test]
fn uses_of_a_build_that_is_registered_later_are_its_uses() {
    let daemon = Daemon::start(QUICK);
    send(&daemon, &[event(1, "j1", "alice", 3, &[])]);
    assert_eq!(uses(&daemon, &signature_text(3), 1)["build"], Value::Null);
    register(&daemon, &stack());
    assert_eq!(uses(&daemon, &digest_text(0xF0), 1)["through"][0]["name"], "app");
}

#[test]
fn what_a_process_loads_later_is_known_from_its_end() {
    let daemon = Daemon::start(QUICK);
    register(&daemon, &[linked(1, "plugin", vec![])]);
    let end = ProcessEnd {
        event_id: Some(vec![9; 16].into()),
        time_ns: Some(second(0) * 1_000_000_000),
        job_id: Some("j1".into()),
        hostname: Some("node1".into()),
        shared_objects: vec![object(1)],
        ..Default::default()
    };
    send(&daemon, &[encode_frame(MessageType::ProcessEnd, &end)]);
    let plugin = wait_for("the use", || {
        let (_, json) = daemon.get(&format!("/v1/uses/{}", signature_text(1)));
        (json["total"]["loaded_later"] == 1).then_some(json)
    });
    assert_eq!((&plugin["total"]["processes"], &plugin["total"]["jobs"]), (&0.into(), &1.into()));
}

#[test]
fn each_event_is_counted_once_whatever_crashes() {
    let often = "[join]\nwait = \"100ms\"\n[uses]\nwrite_every = \"20ms\"\n";
    let mut daemon = Daemon::start(often);
    register(&daemon, &stack());
    let mut sent = 0;
    for round in 0..5u32 {
        let events: Vec<_> = (0..400)
            .map(|n| event(round * 1000 + n, &format!("j{}", n % 7), "alice", 3, &[(n % 50) as u8 + 1]))
            .collect();
        send(&daemon, &events);
        sent += events.len() as u64;
        // In the middle of what it does with them.
        std::thread::sleep(std::time::Duration::from_millis(u64::from(round) * 13));
        daemon = daemon.crash_and_restart(often);
    }
    let of_app = uses(&daemon, &signature_text(3), sent);
    assert_eq!(of_app["total"]["jobs"], 7);
    let daemon = daemon.crash_and_restart(often);
    assert_eq!(uses(&daemon, &signature_text(3), sent)["users"][0]["processes"], sent);
    assert_eq!(daemon.metric("ogrt_programs"), 50);
}

#[test]
fn rows_are_bounded_and_what_is_not_kept_is_counted() {
    let daemon = Daemon::start(
        "[join]\nwait = \"0s\"\n[uses]\nprograms_max = 40\nrows_max = 60\nwrite_every = \"20ms\"\n",
    );
    let events: Vec<_> = (0..200).map(|n| event(n, &format!("j{n}"), &format!("user{n}"), 0, &[])).collect();
    for few in events.chunks(10) {
        send(&daemon, few);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    wait_for("the bound", || (daemon.metric("ogrt_uses_dropped_total") > 0).then_some(()));
    // What is asked is added up before.
    assert_eq!(daemon.get("/v1/unregistered").0, 200);
    let (images, rows) = (daemon.metric("ogrt_programs"), daemon.metric("ogrt_use_rows"));
    assert!(images <= 40 && (1..=60).contains(&rows), "{images} images, {rows} rows");
}

#[test]
fn unregistered_software_is_listed_by_program_and_by_job() {
    let daemon = Daemon::start(QUICK);
    register(&daemon, &stack());
    send(
        &daemon,
        &[
            event(1, "j1", "alice", 3, &[]),
            event(2, "j1", "alice", 0, &[1]),
            event(3, "j2", "alice", 0, &[2]),
            event(4, "j2", "bob", 0x99, &[]),
        ],
    );
    let list = |question: &str| daemon.get(&format!("/v1/unregistered{question}"));
    let programs = wait_for("the programs", || {
        let programs = list("").1["programs"].clone();
        (programs.as_array()?.len() == 2).then_some(programs)
    });
    assert_eq!(names(&programs, "binpath"), ["/home/bob/p153", "/home/alice/p0"]);
    assert_eq!(programs[0]["signature"], signature_text(0x99));
    let alices = &programs[1];
    assert_eq!((&alices["build_id"], &alices["signature"]), (&"00aa".into(), &Value::Null));
    assert_eq!((&alices["processes"], &alices["jobs"], &alices["hosts"]), (&2.into(), &2.into(), &2.into()));
    assert_eq!((&alices["users"], &alices["job_ids"]), (&vec!["alice"].into(), &vec!["j2", "j1"].into()));

    let found = |question: &str| names(&list(question).1["programs"], "binpath").join(" ");
    assert_eq!(found("?user=bob"), "/home/bob/p153");
    assert_eq!(found("?under=/home/alice"), "/home/alice/p0");
    assert_eq!(found(&format!("?since={}", second(4))), "/home/bob/p153");
    assert_eq!(found(&format!("?until={}", second(3))), "/home/alice/p0");
    let first = list("?limit=1").1;
    let rest = list(&format!("?limit=1&cursor={}", first["next"].as_str().unwrap())).1;
    assert_eq!((names(&rest["programs"], "binpath"), &rest["next"]), (vec!["/home/alice/p0"], &Value::Null));

    let jobs = list("?by=job").1["jobs"].clone();
    // A job with two users is two rows.
    assert_eq!(names(&jobs, "job_id"), ["j2", "j2", "j1"]);
    assert_eq!(names(&jobs, "user"), ["bob", "alice", "alice"]);
    assert_eq!(names(&jobs[0]["programs"], "binpath"), ["/home/bob/p153"]);
    assert_eq!(names(&jobs[1]["programs"], "binpath"), ["/home/alice/p0"]);
    assert_eq!(names(&list(&format!("?by=job&until={}", second(3))).1["jobs"], "job_id"), ["j1"]);
    assert_eq!(list("?by=day").0, 400);

    // Once it is registered, it is not unregistered any more.
    register(&daemon, &[linked(0x99, "late", vec![])]);
    assert_eq!(found(""), "/home/alice/p0");
}

#[test]
fn events_of_old_clients_count_as_well() {
    let daemon = Daemon::start(QUICK);
    daemon.datagram(OGRT_0_5);
    let programs = wait_for("the program", || {
        let programs = daemon.get("/v1/unregistered").1["programs"].clone();
        (!programs.as_array()?.is_empty()).then_some(programs)
    });
    assert_eq!(programs[0]["job_ids"], serde_json::json!(["TESTJOB"]));
}

/// A start as `event` makes it, changed.
fn changed(number: u32, job: &str, user: &str, change: impl FnOnce(&mut ProcessInfo)) -> bytes::Bytes {
    let frame = event(number, job, user, 0, &[]);
    let mut info = ProcessInfo::decode(&frame[8..]).unwrap();
    change(&mut info);
    encode_frame(MessageType::ProcessInfo, &info)
}

#[test]
fn users_of_one_job_are_rows_each_with_its_own_counts() {
    let daemon = Daemon::start(QUICK);
    register(&daemon, &stack());
    send(
        &daemon,
        &[event(1, "q1", "ann", 3, &[]), event(2, "q1", "bob", 3, &[]), event(3, "q2", "bob", 3, &[])],
    );
    let of_app = uses(&daemon, &signature_text(3), 3);
    let of = |user: &str| {
        let users = of_app["users"].as_array().unwrap();
        let row = users.iter().find(|row| row["user"] == user).unwrap();
        (row["processes"].as_u64().unwrap(), row["jobs"].as_u64().unwrap(), row["claimed"].as_u64().unwrap())
    };
    assert_eq!((of("ann"), of("bob")), ((1, 1, 1), (2, 2, 2)));
    assert_eq!((&of_app["total"]["jobs"], &of_app["total"]["claimed"]), (&2.into(), &3.into()));
    assert_eq!(of_app["counted_by"], serde_json::json!(["signature", "links"]));
    // Every filter narrows all of the answer.
    let narrowed = |question: &str| daemon.get(&format!("/v1/uses/{}?{question}", signature_text(3))).1;
    let bobs = narrowed("user=bob");
    assert_eq!((&bobs["total"]["processes"], &bobs["total"]["jobs"]), (&2.into(), &2.into()));
    assert_eq!(
        (names(&bobs["users"], "user"), names(&bobs["hosts"], "hostname")),
        (vec!["bob"], vec!["node0", "node2"])
    );
    assert_eq!(names(&bobs["jobs"], "user"), ["bob", "bob"]);
    let host = narrowed("host=node1");
    assert_eq!((names(&host["users"], "user"), names(&host["jobs"], "job_id")), (vec!["ann"], vec!["q1"]));
    let since = narrowed(&format!("since={}", second(3)));
    assert_eq!((&since["total"]["processes"], names(&since["jobs"], "job_id")), (&1.into(), vec!["q2"]));
    assert_eq!(since["rounded"], Value::Null);
}

#[test]
fn a_filter_of_unregistered_programs_narrows_every_column() {
    let daemon = Daemon::start(QUICK);
    let run = |number: u32, job: &str, user: &str| {
        changed(number, job, user, |info| {
            info.binpath = Some("/home/ann/own".into());
            info.hostname = Some(format!("of-{user}").into());
        })
    };
    let mut events = Vec::new();
    for number in 0..3 {
        events.push(run(number, &format!("ann{number}"), "ann"));
        events.push(run(100 + number, &format!("bob{number}"), "bob"));
    }
    send(&daemon, &events);
    let of = |question: &str| {
        let program = daemon.get(&format!("/v1/unregistered?{question}")).1["programs"][0].clone();
        let number = |key: &str| program[key].as_u64().unwrap_or_default();
        (number("processes"), number("jobs"), number("hosts"), program["users"].clone())
    };
    wait_for("the programs", || (of("").0 == 6).then_some(()));
    assert_eq!(of(""), (6, 6, 2, serde_json::json!(["bob", "ann"])));
    let bob = (3, 3, 1, serde_json::json!(["bob"]));
    assert_eq!(of("user=bob"), bob);
    assert_eq!(of("host=of-bob"), bob);
    assert_eq!(of(&format!("since={}", second(50))), bob);
    assert_eq!(of(&format!("until={}", second(2))), (2, 2, 1, serde_json::json!(["ann"])));
    let jobs = daemon.get("/v1/unregistered?by=job&host=of-ann").1["jobs"].clone();
    assert_eq!(names(&jobs, "job_id"), ["ann2", "ann1", "ann0"]);
}

#[test]
fn a_library_of_others_is_counted_by_build_id_path_and_name() {
    let daemon = Daemon::start(QUICK);
    let load = |number: u32, user: &str, path: &str, build_id: &[u8]| {
        changed(number, "j", user, |info| {
            info.shared_objects = vec![SharedObject {
                path: Some(path.to_owned().into()),
                build_id: (!build_id.is_empty()).then(|| build_id.to_vec().into()),
                ..Default::default()
            }];
        })
    };
    send(
        &daemon,
        &[
            load(1, "ann", "/usr/lib/liblzma.so.5.4.5", &[0xAB, 1]),
            load(2, "bob", "/opt/conda/lib/liblzma.so.5", &[0xAB, 1]),
            load(3, "bob", "/opt/conda/lib/liblzma.so.5", &[0xAB, 1]),
            load(4, "carol", "/usr/lib/liblzma.so.50", &[0xAB, 1, 2]),
            load(5, "dave", "/opt/vendor/libmpi.so.40", &[]),
        ],
    );
    let of = |question: &str| {
        let (status, json) = daemon.get(&format!("/v1/uses?{question}"));
        (status, json["total"]["processes"].as_u64().unwrap_or_default())
    };
    wait_for("the counts", || (of("build_id=ab01") == (200, 3)).then_some(()));
    assert_eq!(of("build_id=AB0102"), (200, 1));
    assert_eq!(of("soname=liblzma.so.5"), (200, 3));
    assert_eq!(of("soname=liblzma.so.5&user=bob"), (200, 2));
    assert_eq!(of("soname=liblzma.so.5&path=/opt/*"), (200, 2));
    assert_eq!(of("path=/opt/*/lib*.so*"), (200, 3));
    assert_eq!(of("path=/opt/vendor/libmpi.so.40"), (200, 1));
    // An executable is found in the same way.
    assert_eq!(of("path=/home/dave/p0"), (200, 1));
    assert_eq!((of("build_id=abcd").0, of("soname=libz.so.1").0), (404, 404));
    assert_eq!((of("").0, of("build_id=xyz").0, of("path=/[z-a]").0), (400, 400, 400));
    // Beside what was linked: each process once.
    let (_, both) = daemon.get(&format!("/v1/uses/{}?build_id=ab01", digest_text(0x77)));
    assert_eq!((&both["direct"]["processes"], &both["total"]["processes"]), (&3.into(), &3.into()));
    assert_eq!(both["counted_by"], serde_json::json!(["links", "build_id"]));
}

#[test]
fn a_node_whose_clock_is_far_off_ran_when_its_events_came() {
    let daemon = Daemon::start("[join]\nwait = \"100ms\"\n[uses]\nwrite_every = \"20ms\"\n");
    let two_years = 730 * 86_400 * 1_000_000_000;
    let start = |number: u32, difference: i64| {
        changed(number, "j", "ann", |info| {
            info.start_time_ns = info.start_time_ns.map(|ns| ns + difference);
        })
    };
    send(&daemon, &[start(1, -two_years), start(2, two_years)]);
    let latest = || daemon.get(&format!("/v1/unregistered?since={}", second(0))).1["programs"][0].clone();
    wait_for("the program", || (latest()["processes"] == 2).then_some(()));
    // Many sweeps later the job is still there.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((&latest()["jobs"], &latest()["rounded"]), (&1.into(), &Value::Null));
    // What the sender said stands in the document.
    let job = daemon.get("/v1/jobs/j").1;
    let said: Vec<_> =
        job["processes"].as_array().unwrap().iter().map(|one| one["start_time_ns"].as_i64()).collect();
    let second = |number| second(number) * 1_000_000_000;
    assert_eq!(said, [Some(second(1) - two_years), Some(second(2) + two_years)]);
}

#[test]
fn a_package_of_a_language_is_counted_for_each_process_that_used_it() {
    let daemon = Daemon::start(QUICK);
    let package = |language: &str, name: &str, version: Option<&str>| Package {
        language: Some(language.into()),
        name: Some(name.to_owned().into()),
        version: version.map(str::to_owned),
        claimed: None,
    };
    let end = |number: u32, user: &str, packages: Vec<Package>| {
        let end = ProcessEnd {
            event_id: Some([&[0xE0; 12][..], &number.to_be_bytes()].concat().into()),
            job_id: Some(format!("p{number}").into()),
            hostname: Some("node1".into()),
            time_ns: Some(second(number) * 1_000_000_000),
            packages,
            start: Some(ProcessInfo { username: Some(user.to_owned().into()), ..Default::default() }),
            ..Default::default()
        };
        encode_frame(MessageType::ProcessEnd, &end)
    };
    let numpy = |version: &str| package("python", "numpy", Some(version));
    send(
        &daemon,
        &[
            end(1, "ann", vec![numpy("1.26.4"), package("python", "scipy", None)]),
            end(2, "bob", vec![numpy("2.0"), package("r", "Matrix", None)]),
            end(3, "bob", vec![package("python", "numpy_financial", None)]),
            // What would be a path of another package.
            end(4, "eve", vec![package("python", "a\0numpy", None)]),
        ],
    );
    let of = |name: &str| daemon.get(&format!("/v1/uses?package={name}"));
    let numpy = wait_for("the package", || {
        let (status, json) = of("numpy");
        (status == 200 && json["total"]["loaded_later"] == 2).then_some(json)
    });
    let old = daemon.get("/v1/uses?software=numpy&version=%3C2&packager=python").1;
    assert_eq!((&old["users"][0]["user"], &old["total"]["loaded_later"]), (&"ann".into(), &1.into()));
    assert_eq!((&numpy["of"], &numpy["counted_by"]), (&"numpy".into(), &serde_json::json!(["package"])));
    let mut users = names(&numpy["users"], "user");
    users.sort_unstable();
    assert_eq!(users, ["ann", "bob"]);
    assert_eq!(of("Matrix").1["total"]["loaded_later"], 1);
    for unknown in ["num", "python", "numpy.", "matrix"] {
        assert_eq!(of(unknown).0, 404, "{unknown}");
    }
    assert_eq!(daemon.get("/v1/uses?package=numpy&soname=libc.so").0, 400);
    // It is no file.
    assert_eq!(daemon.get("/v1/uses?soname=numpy").0, 404);
}
