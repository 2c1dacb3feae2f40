//! Reports: each figure is that of a plain list of all processes, whatever crashed.

use crate::{
    daemon::{Daemon, WITHOUT_FILES, wait_for},
    registry::register,
    site_in_a_box::{SEED, addresses, site_token},
};
use ogrt_load::site::{
    End, EventStream, FakeClock, Filling, Site, SiteProcess, Size,
    plain_sums::{Figures, JobFigures, date, node_us},
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
    let ended = ["completed", "failed", "killed", "oom", "exec"];
    let ended = ended.map(|status| (status, of(status))).into_iter().filter(|(_, count)| *count > 0);
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
fn is_exact(daemon: &Daemon, site: &Site, keys: &[&str], more: &str, fits: impl Fn(&SiteProcess) -> bool) {
    let (lines, _) = report(daemon, keys, more);
    let mut expected = site.sums(site.processes.iter().filter(|process| fits(process)), keys);
    assert!(!expected.is_empty(), "{keys:?} {more}: nothing to compare");
    for (line, figures) in &mut expected {
        // Both are processes without a known end.
        let unknown = ["open", "unknown"].map(|status| figures.ended.remove(status).unwrap_or(0));
        assert_eq!(lines[line]["end_unknown"], unknown.iter().sum::<u64>(), "{line:?}");
    }
    let told: BTreeMap<Vec<String>, Figures> =
        lines.iter().map(|(line, json)| (line.clone(), figures(json))).collect();
    for (line, figures) in &expected {
        assert_eq!(told.get(line), Some(figures), "{keys:?} {more} {line:?}");
    }
    assert_eq!(told.len(), expected.len(), "{keys:?} {more}: lines that should not be there");
}

/// Compares the list of jobs, put together from pages, with the list of processes.
fn list_is_exact(
    daemon: &Daemon,
    expected: &BTreeMap<(String, String), JobFigures>,
    question: &str,
    fits: impl Fn(&JobFigures) -> bool,
) {
    let since = Instant::now();
    let (mut listed, mut cursor, mut firsts) = (BTreeMap::new(), String::new(), Vec::new());
    loop {
        let (status, page) = daemon.get(&format!("/v1/jobs?limit=700{question}&cursor={cursor}"));
        assert!(status == 200 && page.get("truncated").is_none(), "{question}: {page}");
        for job in page["jobs"].as_array().unwrap() {
            let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
            let number = |key: &str| job[key].as_u64().unwrap();
            let software = job["software"].as_array().unwrap().iter();
            let told = JobFigures {
                user: text("username"),
                account: text("account"),
                partition: text("partition"),
                is_claimed: job["identity"] == "claimed",
                state: STATES.into_iter().find(|state| job["state"] == *state).unwrap(),
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

const STATES: [&str; 6] = ["unknown", "completed", "running", "failed", "killed", "oom"];

/// A site of the size that is asked for.
pub fn site() -> Site {
    // The first step is at noon of a day that the server does not take for impossible.
    let first_s = 1_768_478_400;
    let size = match std::env::var_os("OGRT_TEST_FULL").is_some() {
        true => Size::apart(200, 30, 500_000, first_s, 28, 15 * 86_400),
        false => Size::apart(20, 6, 1500, first_s, 10, 41 * 86_400),
    };
    Site::new(SEED, size)
}

/// Sends it to a server that crashes between any two days on which something happens. Its variables
/// are those of the clock.
pub fn fill(site: &Site, clock: &FakeClock, more: &str) -> Daemon {
    let environment = clock.environment();
    let environment: Vec<(&str, &OsStr)> =
        environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    let moments = &site.size.moments;
    let now_s = now_ns() / 1_000_000_000;
    Filling::begin(site, clock).unwrap();
    let server = tempfile::tempdir().unwrap();
    let token = site_token(server.path());
    let more = format!("[join]\nwait = \"100ms\"\n{more}{WITHOUT_FILES}");
    let mut daemon = Daemon::start_with(server, &more, &environment);
    for (step, (starts, ends)) in site.by_moment().into_iter().enumerate() {
        if step > 0 {
            // A crash between any two of its writes, and weeks later the next day.
            clock.set(moments[step]).unwrap();
            daemon = daemon.crash_and_restart_with(&more, &environment);
        }
        let offset_ns = (moments[step] - now_s) * 1_000_000_000;
        assert_eq!(daemon.get("/v1/report").1["last_day"], date(now_ns() + offset_ns));
        let mut proved = EventStream::connect(&daemon.tcp, Some(&token)).unwrap();
        let mut claimed = EventStream::connect(&daemon.tcp, None).unwrap();
        // Ends come late, early and between.
        let ends = ends.into_iter().filter_map(|process| Some((process, site.frames(process).1?)));
        let starts = starts.into_iter().map(|process| (process, site.frames(process).0));
        for (process, frame) in ends.chain(starts) {
            let stream = if process.is_claimed { &mut claimed } else { &mut proved };
            stream.send(&frame).unwrap();
        }
        proved.flush().unwrap();
        claimed.flush().unwrap();
        if step == moments.len() / 2 {
            // Builds are registered, and files learned, when much of them has run.
            register(&daemon, &site.builds());
            let filling = Filling { site, server: addresses(&daemon), token: token.clone(), clock };
            filling.learn().unwrap();
        }
    }
    daemon
}

#[test]
fn each_figure_of_a_site_is_exact_whatever_crashes() {
    let site = site();
    let directory = tempfile::tempdir().unwrap();
    let clock = FakeClock::new(&directory.path().join("clock")).unwrap();
    let daemon = fill(&site, &clock, "");
    each_figure_is_exact(&daemon, &site);
}

/// Compares reports and lists of jobs with the site, when all of it is counted.
pub fn each_figure_is_exact(daemon: &Daemon, site: &Site) {
    let processes = &site.processes;
    println!("{} processes of {} jobs", processes.len(), site.size.jobs);
    // What the crashes left is counted now, and what waited for a record: starts and ends.
    let unknown = processes.iter().filter(|process| matches!(process.end, End::Open | End::Unseen)).count();
    let (mut counted, mut behind) = (0, u64::MAX);
    loop {
        // A large site takes its time: first events are gathered, then they are added. What stands
        // still is lost.
        let before = (counted, behind);
        let is_all = wait_for("more to be counted", || {
            let (status, json) = daemon.get("/v1/report?by=");
            assert_eq!(status, 200, "{json}");
            let total = &json["total"];
            let of = |key: &str| total[key].as_u64().unwrap_or(0);
            let is_all = of("processes") == processes.len() as u64 && of("end_unknown") == unknown as u64;
            counted = of("processes") + of("completed") + of("failed") + of("killed");
            behind = daemon.metric("ogrt_uses_lag_batches");
            let is_whole = is_all && json.get("counted_until_ns").is_none();
            (is_whole || counted > before.0 || behind < before.1).then_some(is_whole)
        });
        if is_all {
            break;
        }
    }
    let of = |process: &SiteProcess, key: &str, value: &str| site.value(process, key) == value;
    let all = |_: &SiteProcess| true;
    for keys in [&["software", "version"][..], &["user"], &["account", "month"], &["program", "cluster"]] {
        is_exact(daemon, site, keys, "", all);
    }
    is_exact(daemon, site, &["day", "partition"], "&account=climate", |process| {
        of(process, "account", "climate")
    });
    let (software, user) = ("GROMACS", "alice");
    is_exact(daemon, site, &["cluster"], &format!("&software={software}&user={user}"), |process| {
        of(process, "software", software) && of(process, "user", user)
    });
    is_exact(daemon, site, &["user", "software"], "&registered=no", |process| !site.is_registered(process));
    // A process counts for each of its libraries, modules and packages.
    let has_packages = |process: &SiteProcess| process.end != End::Open && !site.has(process, "package", "");
    is_exact(daemon, site, &["module"], "", all);
    is_exact(daemon, site, &["module", "account"], "&cluster=beta", |process| of(process, "cluster", "beta"));
    is_exact(daemon, site, &["package", "user"], "", has_packages);
    is_exact(daemon, site, &["user"], "&package=pandas", |process| {
        has_packages(process) && site.has(process, "package", "pandas")
    });
    is_exact(daemon, site, &["software"], "&module=foss%2F2023b", |process| {
        site.has(process, "module", "foss/2023b")
    });
    libraries_are_exact(daemon, site);
    hosts_are_exact(daemon, site);
    // A period is whole days.
    let day = processes[0].date();
    let midnight = processes[0].start_ns / 86_400_000_000_000 * 86_400;
    let period = format!("&since={}&until={}", midnight + 5, midnight + 86_400);
    is_exact(daemon, site, &["user"], &period, |process| process.date() == day);
    totals_are_exact(daemon, site);

    // The list of jobs, as far back as none has left it.
    let jobs = site.jobs();
    let moments = &site.size.moments;
    let since_s = moments.last().unwrap() - 380 * 86_400;
    let is_late = |job: &JobFigures| job.last_ns >= since_s * 1_000_000_000;
    let since = format!("&since={since_s}");
    list_is_exact(daemon, &jobs, &since, is_late);
    let of = |more: &str| format!("{since}{more}");
    list_is_exact(daemon, &jobs, &of("&user=carol"), |job| is_late(job) && job.user == "carol");
    list_is_exact(daemon, &jobs, &of("&software=mawk"), |job| is_late(job) && job.software.contains("mawk"));
    list_is_exact(daemon, &jobs, &of("&account=bio&partition=gpu"), |job| {
        is_late(job) && job.account == "bio" && job.partition == "gpu"
    });
    let until_s = moments[moments.len() / 2];
    for state in ["unknown", "killed"] {
        list_is_exact(daemon, &jobs, &of(&format!("&until={until_s}&state={state}")), |job| {
            is_late(job) && job.first_ns < until_s * 1_000_000_000 && job.state == state
        });
    }
}

/// Compares node time, statuses and what stands beside the lines.
fn totals_are_exact(daemon: &Daemon, site: &Site) {
    let processes = &site.processes;
    // Node time is the jobs', whole; by software it is shared.
    let (by_account, json) = report(daemon, &["account"], "");
    for (line, told) in &by_account {
        let expected = node_us(processes.iter().filter(|process| site.value(process, "account") == line[0]));
        assert_eq!(told["node_us"], expected, "{line:?}");
    }
    assert_eq!(json["total"]["node_us"], node_us(processes.iter()));
    let (by_software, _) = report(daemon, &["software"], "");
    let shared: u64 = by_software.values().map(|line| line["node_us"].as_u64().unwrap()).sum();
    assert_eq!(shared, node_us(processes.iter()));
    // Statuses are parts of a line.
    let (by_status, _) = report(daemon, &["status"], "");
    let total = site.sums(processes.iter(), &[]);
    let total = &total[&Vec::new()];
    for (line, told) in &by_status {
        assert_eq!(told["processes"], total.ended[&line[0][..]], "{line:?}");
    }
    assert_eq!(by_status.len(), total.ended.len());
    let unregistered = processes.iter().filter(|process| !site.is_registered(process)).count();
    assert_eq!(json["unregistered"]["processes"], unregistered);
    let claimed = processes.iter().filter(|process| process.is_claimed).count();
    assert_eq!(json["total"]["claimed"], claimed);
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
        ("by=host,user", "user: not kept by host"),
        ("by=account&host=n1", "account: not kept by host"),
        ("by=host&registered=no", "registered: not kept by host"),
        ("by=host&order=node", "order=node: not kept by host"),
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
fn libraries_are_exact(daemon: &Daemon, site: &Site) {
    let (lines, json) = report(daemon, &["library"], "");
    assert_eq!((&json["lines_overlap"], json.get("not_told")), (&true.into(), None));
    let expected = site.sums(site.processes.iter(), &["library"]);
    for (line, figures) in &expected {
        let told = ["processes", "jobs", "cpu_us", "wall_us"].map(|key| lines[line][key].as_u64().unwrap());
        assert_eq!(told, [figures.processes, figures.jobs, figures.cpu_us, figures.wall_us], "{line:?}");
    }
    assert_eq!(lines.len(), expected.len());
}

/// Compares reports by host with the list.
fn hosts_are_exact(daemon: &Daemon, site: &Site) {
    let all: Vec<&SiteProcess> = site.processes.iter().collect();
    let of = |key: &str, value: &str| -> Vec<&SiteProcess> {
        all.iter().copied().filter(|process| site.value(process, key) == value).collect()
    };
    let host = site.value(all[all.len() / 2], "host");
    let one = of("host", &host);
    let day = date(all[0].start_ns);
    let midnight = all[0].start_ns / 86_400_000_000_000 * 86_400;
    let period = format!("&since={midnight}&until={}", midnight + 86_400);
    are_exact_by_host(daemon, site, &all, &["host"], "");
    are_exact_by_host(daemon, site, &all, &["host", "cluster", "month"], "");
    are_exact_by_host(daemon, site, &one, &["day"], &format!("&host={host}"));
    are_exact_by_host(daemon, site, &of("day", &day), &["host"], &period);
    let (by_status, _) = report(daemon, &["status"], &format!("&host={host}"));
    let total = site.sums(one.into_iter(), &[]);
    for (line, told) in &by_status {
        assert_eq!(told["processes"], total[&Vec::new()].ended[&line[0][..]], "{line:?}");
    }
}

fn are_exact_by_host(daemon: &Daemon, site: &Site, processes: &[&SiteProcess], keys: &[&str], more: &str) {
    let (lines, json) = report(daemon, keys, more);
    assert!(json.get("unregistered").is_none() && json.get("hosts_since_ns").is_none(), "{json}");
    let expected = site.sums(processes.iter().copied(), keys);
    assert!(!expected.is_empty() && lines.len() == expected.len(), "{keys:?} {more}");
    for (line, figures) in &expected {
        let told = &lines[line];
        let ended = |status: &str| figures.ended.get(status).copied().unwrap_or(0);
        for (key, expected) in [
            ("processes", figures.processes),
            ("jobs", figures.jobs),
            ("cpu_us", figures.cpu_us),
            ("wall_us", figures.wall_us),
            ("failed", ended("failed")),
            ("killed", ended("killed")),
            ("oom", ended("oom")),
            ("end_unknown", ended("open") + ended("unknown")),
        ] {
            assert_eq!(told[key], expected, "{key} of {line:?} in {keys:?} {more}");
        }
        for unknown in ["users", "accounts", "node_us", "core_us"] {
            assert!(told.get(unknown).is_none(), "{unknown} of a host: {told}");
        }
    }
}
