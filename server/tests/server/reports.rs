//! Reports: each figure is that of a plain list of all processes, whatever crashed.

use crate::{
    crash::{crash_under_faketime, faketime, set_clock},
    daemon::{Daemon, build, needs, wait_for},
    registry::register,
    site_in_a_box::{BoxedJob, BoxedProcess, Figures, REGISTERED, Size, date, jobs, node_us, site, sums},
};
use serde_json::Value;
use std::{collections::BTreeMap, ffi::OsStr, time::Instant};

/// A report, its lines by their values.
pub fn report(daemon: &Daemon, keys: &[&str], more: &str) -> (BTreeMap<Vec<String>, Value>, Value) {
    let since = Instant::now();
    let (status, json) = daemon.get(&format!("/v1/report?by={}&top=10000{more}", keys.join(",")));
    assert_eq!(status, 200, "{json}");
    assert!(json.get("truncated").is_none(), "{json}");
    println!("{keys:?} {more}: {} lines in {:?}", json["lines_in_all"], since.elapsed());
    let values = |line: &Value| keys.iter().map(|key| line[key].as_str().unwrap().to_owned()).collect();
    let lines = json["lines"].as_array().unwrap().iter().map(|line| (values(line), line.clone())).collect();
    (lines, json)
}

fn figures(line: &Value) -> Figures {
    let of = |key: &str| line[key].as_u64().unwrap_or_else(|| panic!("no {key} in {line}"));
    let ended = [("completed", "completed"), ("failed", "failed"), ("killed", "killed"), ("exec", "exec")];
    let ended = ended.map(|(status, key)| (status, of(key))).into_iter().filter(|(_, count)| *count > 0);
    Figures {
        processes: of("processes"),
        jobs: of("jobs"),
        users: of("users"),
        accounts: of("accounts"),
        cpu_us: of("cpu_us"),
        wall_us: of("wall_us"),
        ended: ended.collect(),
    }
}

fn now_ns() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Compares a report with the list.
fn is_exact(
    daemon: &Daemon,
    processes: &[BoxedProcess],
    keys: &[&str],
    more: &str,
    fits: impl Fn(&BoxedProcess) -> bool,
) {
    let (lines, _) = report(daemon, keys, more);
    let mut expected = sums(processes.iter().filter(|process| fits(process)), keys);
    for (line, figures) in &mut expected {
        // Both are processes without a known end.
        let unknown = ["open", "unknown"].map(|status| figures.ended.remove(status).unwrap_or(0));
        assert_eq!(lines[line]["end_unknown"], unknown.iter().sum::<u64>(), "{line:?}");
    }
    let told: BTreeMap<Vec<String>, Figures> =
        lines.iter().map(|(line, json)| (line.clone(), figures(json))).collect();
    assert_eq!(told, expected, "{keys:?} {more}");
}

/// Compares the list of jobs, put together from pages, with the list of processes.
fn list_is_exact(
    daemon: &Daemon,
    expected: &BTreeMap<(String, String), BoxedJob>,
    question: &str,
    fits: impl Fn(&BoxedJob) -> bool,
) {
    let since = Instant::now();
    let (mut listed, mut cursor, mut firsts) = (BTreeMap::new(), String::new(), Vec::new());
    loop {
        let (status, page) = daemon.get(&format!("/v1/jobs?limit=700{question}&cursor={cursor}"));
        assert!(status == 200 && page.get("truncated").is_none(), "{question}: {page}");
        for job in page["jobs"].as_array().unwrap() {
            let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
            let number = |key: &str| job[key].as_u64().unwrap();
            // Nobody proved any of it, and no kernel told an end.
            assert_eq!((&job["identity"], &job["state"]), (&"claimed".into(), &"unknown".into()), "{job}");
            let software = job["software"].as_array().unwrap().iter();
            let told = BoxedJob {
                user: text("username"),
                account: text("account"),
                partition: text("partition"),
                processes: number("processes"),
                open: number("open"),
                cpu_us: number("cpu_us"),
                first_ns: job["first_ns"].as_i64().unwrap(),
                last_ns: job["last_ns"].as_i64().unwrap(),
                software: software.map(|one| one["software"].as_str().unwrap().to_owned()).collect(),
            };
            firsts.push(told.first_ns);
            assert!(listed.insert((text("cluster"), text("job_id")), told).is_none(), "twice: {job}");
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    println!("{} jobs {question} in {:?}", listed.len(), since.elapsed());
    assert!(firsts.is_sorted_by(|newer, older| newer >= older), "the newest stands first");
    let expected: BTreeMap<_, _> =
        expected.iter().filter(|(_, job)| fits(job)).map(|(name, job)| (name.clone(), job.clone())).collect();
    assert!(!expected.is_empty(), "{question}: nothing to compare");
    for (name, job) in &expected {
        assert_eq!(listed.get(name), Some(job), "{question}: {name:?}");
    }
    assert_eq!(listed.len(), expected.len(), "{question}: jobs that should not be there");
}

#[test]
fn each_figure_of_a_site_is_exact_whatever_crashes() {
    let Some(library) = faketime() else { return needs("libfaketime (Debian: faketime)") };
    let is_full = std::env::var_os("OGRT_TEST_FULL").is_some();
    let size = match is_full {
        true => Size { users: 200, accounts: 30, jobs: 500_000, steps: 28, step_seconds: 15 * 86_400 },
        false => Size { users: 20, accounts: 6, jobs: 1500, steps: 10, step_seconds: 41 * 86_400 },
    };
    let directory = tempfile::tempdir().unwrap();
    let clock = directory.path().join("clock");
    // The first step is at noon of a day that the server does not take for impossible.
    let first_s = 1_768_478_400;
    let now_s = now_ns() / 1_000_000_000;
    let processes = site(20_261_130, &size, first_s);
    println!("{} processes of {} jobs", processes.len(), size.jobs);
    set_clock(&clock, first_s - now_s);
    let environment = [
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref() as &OsStr),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ];
    let mut daemon =
        Daemon::start_with(tempfile::tempdir().unwrap(), "[join]\nwait = \"100ms\"\n", &environment);
    let mut starts: Vec<Vec<&BoxedProcess>> = vec![Vec::new(); size.steps];
    let mut ends = starts.clone();
    for process in &processes {
        starts[process.step(&size, first_s)].push(process);
        ends[process.end_step].push(process);
    }
    for step in 0..size.steps {
        if step > 0 {
            // A crash between any two of its writes, and weeks later the next day.
            set_clock(&clock, first_s - now_s + step as i64 * size.step_seconds);
            daemon = crash_under_faketime(daemon, &environment);
        }
        // Now and then libfaketime shows a program that begins the true time.
        let offset_ns = (first_s - now_s + step as i64 * size.step_seconds) * 1_000_000_000;
        while daemon.get("/v1/report").1["last_day"] != date(now_ns() + offset_ns) {
            daemon = crash_under_faketime(daemon, &environment);
        }
        let mut stream = daemon.acknowledged();
        let mut sent = 0;
        // Ends come late, early and between.
        let events = ends[step]
            .iter()
            .filter_map(|process| process.end())
            .chain(starts[step].iter().map(|process| process.start()));
        for event in events {
            stream.send(&event).unwrap();
            sent += 1;
            if sent % 500 == 0 {
                stream.wait_for(sent).unwrap();
            }
        }
        stream.wait_for(sent).unwrap();
        if step == size.steps / 2 {
            // Some builds are registered when much of them has run.
            register(
                &daemon,
                &(0..REGISTERED as u8)
                    .map(|code| build(code + 1, &format!("code{code}")))
                    .collect::<Vec<_>>(),
            );
        }
    }
    // What the crashes left is counted now, and what waited for a record: starts and ends.
    let unknown = processes.iter().filter(|process| ["open", "unknown"].contains(&process.status)).count();
    wait_for("all to be counted", || {
        let (status, json) = daemon.get("/v1/report?by=");
        assert_eq!(status, 200, "{json}");
        let total = &json["total"];
        let is_all = total["processes"] == processes.len() && total["end_unknown"] == unknown;
        (is_all && json.get("counted_until_ns").is_none()).then_some(())
    });
    let all = |_: &BoxedProcess| true;
    for keys in [&["software", "version"][..], &["user"], &["account", "month"], &["program", "cluster"]] {
        is_exact(&daemon, &processes, keys, "", all);
    }
    is_exact(&daemon, &processes, &["day", "partition"], "&account=account3", |process| process.account == 3);
    is_exact(&daemon, &processes, &["cluster"], "&software=code2&user=user0", |process| {
        process.code == 2 && process.user == 0
    });
    is_exact(&daemon, &processes, &["user", "software"], "&registered=no", |process| {
        process.code >= REGISTERED
    });
    // A process counts for each of its libraries, modules and packages.
    let has_packages = |process: &BoxedProcess| process.status != "open" && !process.has("package", "");
    is_exact(&daemon, &processes, &["module"], "", all);
    is_exact(&daemon, &processes, &["module", "account"], "&cluster=beta", |process| process.cluster == 1);
    is_exact(&daemon, &processes, &["package", "user"], "", has_packages);
    is_exact(&daemon, &processes, &["user"], "&package=scipy", |process| {
        has_packages(process) && process.has("package", "scipy")
    });
    is_exact(&daemon, &processes, &["software"], "&module=mpi%2F1", |process| process.has("module", "mpi/1"));
    libraries_are_exact(&daemon, &processes);
    // A period is whole days.
    let day = processes[0].date();
    let midnight = processes[0].start_ns / 86_400_000_000_000 * 86_400;
    let period = format!("&since={}&until={}", midnight + 5, midnight + 86_400);
    is_exact(&daemon, &processes, &["user"], &period, |process| process.date() == day);

    // Node time is the jobs', whole; by software it is shared.
    let (by_account, json) = report(&daemon, &["account"], "");
    for (line, told) in &by_account {
        let expected = node_us(processes.iter().filter(|process| process.value("account") == line[0]));
        assert_eq!(told["node_us"], expected, "{line:?}");
    }
    assert_eq!(json["total"]["node_us"], node_us(processes.iter()));
    let (by_software, _) = report(&daemon, &["software"], "");
    let shared: u64 = by_software.values().map(|line| line["node_us"].as_u64().unwrap()).sum();
    assert_eq!(shared, node_us(processes.iter()));
    // Statuses are parts of a line.
    let (by_status, _) = report(&daemon, &["status"], "");
    let total = sums(processes.iter(), &[]);
    let total = &total[&Vec::new()];
    for (line, told) in &by_status {
        assert_eq!(told["processes"], total.ended[&line[0][..]], "{line:?}");
    }
    assert_eq!(by_status.len(), total.ended.len());
    assert_eq!(
        json["unregistered"]["processes"],
        processes.iter().filter(|one| one.code >= REGISTERED).count()
    );
    assert_eq!(json["total"]["claimed"], processes.len(), "nobody proved any of it");

    // The list of jobs, as far back as none has left it.
    let all = jobs(&processes);
    let since_s = first_s + (size.steps as i64 - 1) * size.step_seconds - 380 * 86_400;
    let is_late = |job: &BoxedJob| job.last_ns >= since_s * 1_000_000_000;
    let since = format!("&since={since_s}");
    list_is_exact(&daemon, &all, &since, is_late);
    let of = |more: &str| format!("{since}{more}");
    list_is_exact(&daemon, &all, &of("&user=user3"), |job| is_late(job) && job.user == "user3");
    list_is_exact(&daemon, &all, &of("&software=code2"), |job| {
        is_late(job) && job.software.contains("code2")
    });
    list_is_exact(&daemon, &all, &of("&account=account1&partition=gpu"), |job| {
        is_late(job) && job.account == "account1" && job.partition == "gpu"
    });
    let until_s = first_s + (size.steps as i64 / 2) * size.step_seconds;
    list_is_exact(&daemon, &all, &of(&format!("&until={until_s}&state=unknown")), |job| {
        is_late(job) && job.first_ns < until_s * 1_000_000_000
    });
}

#[test]
fn a_wrong_question_is_told_so() {
    let daemon = Daemon::start("");
    for (question, why) in [
        ("by=colour", "by=colour"),
        ("by=user,account,day,week,month", "4 keys at most"),
        ("colour=red", "colour"),
        ("user=a&user=b", "expected once"),
        ("status=failed", "by=status"),
        ("registered=maybe", "yes or no"),
        ("order=size", "cpu, node, wall or processes"),
        ("since=soon", "whole number"),
    ] {
        let (status, problem) = daemon.get(&format!("/v1/report?{question}"));
        assert_eq!(status, 400, "{question}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{question}: {problem}");
    }
    for (question, why) in [
        ("state=lost", "expected one of"),
        ("cursor=x", "the page before"),
        ("array_task=x", "whole number"),
        ("colour=red", "colour"),
    ] {
        let (status, problem) = daemon.get(&format!("/v1/jobs?{question}"));
        assert_eq!(status, 400, "{question}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{question}: {problem}");
    }
    let (status, nothing) = daemon.get("/v1/jobs?cursor=00ff");
    assert_eq!((status, nothing), (200, serde_json::json!({ "jobs": [] })));
    let (status, nothing) = daemon.get("/v1/report?by=user");
    assert_eq!(
        (status, &nothing["total"]["processes"], &nothing["lines"]),
        (200, &0.into(), &serde_json::json!([]))
    );
}

/// Compares a report by libraries with the list.
fn libraries_are_exact(daemon: &Daemon, processes: &[BoxedProcess]) {
    let (lines, json) = report(daemon, &["library"], "");
    assert_eq!((&json["lines_overlap"], json.get("not_told")), (&true.into(), None));
    let expected = sums(processes.iter(), &["library"]);
    for (line, figures) in &expected {
        let told = ["processes", "jobs", "cpu_us", "wall_us"].map(|key| lines[line][key].as_u64().unwrap());
        assert_eq!(told, [figures.processes, figures.jobs, figures.cpu_us, figures.wall_us], "{line:?}");
    }
    assert_eq!(lines.len(), expected.len());
}
