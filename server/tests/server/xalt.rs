//! Records of XALT: imported, they are in reports in the months that they tell, each once.
//!
//! The records are made here, in the form that XALT 3.2 writes: its field names, its numbers with
//! four decimals, its two records of one MPI run, its folders.

use crate::{
    daemon::{Acknowledged, Daemon, SERVER, wait_for},
    identity::output_to,
    reports::report,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use ogrt_proto::{Hello, MessageType, ProcessInfo, encode_frame};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// 2025-09-01, and the day before: a year ago and more.
const SEPTEMBER: f64 = 1_756_684_800.0;
const AUGUST: f64 = SEPTEMBER - 80_000.0;

/// A run, as XALT tells of it.
#[derive(Clone, Debug)]
struct XaltRun {
    number: u32,
    path: String,
    user: String,
    account: String,
    job: String,
    ranks: u32,
    start: f64,
    seconds: f64,
    probability: f64,
    build: Option<String>,
}

fn uuid(kind: u8, number: u32) -> String {
    format!("01a2{kind:02x}00-0000-7000-8000-{number:012x}")
}

impl XaltRun {
    fn new(number: u32, path: &str, start: f64) -> Self {
        XaltRun {
            number,
            path: path.to_owned(),
            user: "ann".to_owned(),
            account: "chem".to_owned(),
            job: "4711".to_owned(),
            ranks: 1,
            start,
            seconds: 3600.0,
            probability: 1.0,
            build: None,
        }
    }

    /// The record; of the start where `is_end` is false.
    fn json(&self, is_end: bool) -> Value {
        let round = |number: f64| (number * 1e4).round() / 1e4;
        let (end, run) = if is_end { (self.start + self.seconds, self.seconds) } else { (0.0, 0.0) };
        let link = match &self.build {
            Some(uuid) => json!({
                "XALT_Version": "3.2.4", "Build_compiler": "mpicc(gcc)", "Build_UUID": uuid,
                "Build_User": "bob", "Build_Epoch": "1756600000.5000", "Build_OS": "Linux 6.1",
            }),
            None => json!({}),
        };
        json!({
            "crc": "0x1234",
            "cmdlineA": [self.path, "-in", "a b.inp"],
            "hash_id": "0b8f75b0144c0304b89106a6e35908655a3f60e7",
            "libA": [["/usr/lib/libm.so.6", "0"], ["/opt/mpi/lib/libmpi.so.12", "0"]],
            "ptA": [{"cmd_name": "bash", "cmd_path": "/bin/bash", "pid": 28_589, "cmdlineA": ["-bash"]}],
            "envT": {"PATH": "/usr/bin", "LOADEDMODULES": "gcc/12:mpi/4", "_LMFILES_": "/m/gcc/12.lua:/m/mpi/4.lua"},
            "userT": {
                "syshost": "alpha", "run_uuid": uuid(1, self.number), "exec_path": self.path,
                "exec_type": "binary", "cwd": "/scratch/ann", "currentEpoch": "1.5",
                "start_date": "Mon Sep  1 00:00:00 2025", "user": self.user, "execModify": "x",
                "scheduler": "SLURM", "account": self.account, "job_id": self.job, "queue": "long,short",
                "submit_host": "login1",
            },
            "userDT": {
                "start_time": round(self.start), "end_time": round(end), "run_time": round(run),
                "probability": self.probability, "num_tasks": self.ranks, "num_gpus": 0.0,
                "exec_epoch": 1.0, "num_threads": 4.0, "num_cores": self.ranks, "num_nodes": 2.0,
            },
            "xaltLinkT": link,
            "XALT_measureT": {"08____total______": 0.0022},
            "XALT_qaT": {"XALT_GIT_VERSION": "xalt-3.2.4", "XALT_SAMPLING": "no"},
        })
    }

    /// Writes the record where XALT would, in one of its folders.
    fn write(&self, directory: &Path, is_end: bool) {
        let suffix = if is_end { "zzz" } else { "aaa" };
        let user = &self.user;
        let name =
            format!("run.alpha.2025_09_01_00_00_00_0000.{user}.{suffix}.{}.json", uuid(1, self.number));
        let folder = directory.join(format!("run/{:03}", self.number % 7));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), self.json(is_end).to_string() + "\n").unwrap();
    }
}

fn import(daemon: &Daemon, arguments: &[&str], paths: &[&Path]) -> (bool, String) {
    let mut command = Command::new(SERVER);
    command.arg("--config").arg(daemon.path().join("ogrt.conf")).args(["import", "--xalt"]).args(paths);
    let done = command.args(arguments).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(text).unwrap())
}

/// Imports, and waits until all of it is counted.
fn imported(daemon: &Daemon, arguments: &[&str], paths: &[&Path]) -> String {
    let (is_done, text) = import(daemon, arguments, paths);
    assert!(is_done, "{text}");
    text
}

fn count(line: &Value, keys: &[&str]) -> Vec<u64> {
    keys.iter().map(|key| line[key].as_u64().unwrap_or_else(|| panic!("{key}: {line}"))).collect()
}

const FIGURES: [&str; 6] = ["processes", "jobs", "users", "accounts", "wall_us", "claimed"];
const HOUR_US: u64 = 3_600_000_000;

#[test]
fn records_of_xalt_count_in_their_own_months_once_and_with_all_that_they_tell() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let launch =
        XaltRun { ranks: 16, build: Some(uuid(2, 1)), ..XaltRun::new(1, "/opt/solve/bin/solve", SEPTEMBER) };
    launch.write(at, false);
    launch.write(at, true);
    XaltRun { seconds: 1800.0, ..XaltRun::new(2, "/usr/bin/python3.11", SEPTEMBER + 90.0) }.write(at, true);
    let sampled = XaltRun {
        probability: 0.01,
        job: "unknown".to_owned(),
        account: "unknown".to_owned(),
        ..XaltRun::new(3, "/bin/sort", AUGUST)
    };
    sampled.write(at, true);
    // A start alone: XALT did not see how it ended.
    XaltRun { ranks: 512, user: "eve".to_owned(), ..XaltRun::new(4, "/opt/solve/bin/solve", SEPTEMBER) }
        .write(at, false);
    let link = json!({
        "crc": "0xEF81",
        "resultT": {
            "uuid": uuid(2, 1), "link_program": "mpicc(gcc)", "link_path": "gcc:/usr/bin/gcc-12",
            "build_user": "bob", "build_epoch": "1756600000.9033", "exec_path": "/home/bob/solve",
            "hash_id": "26fa3a012a60b0a20ed017dd60540b5af8b95cb2", "wd": "/home/bob",
            "build_syshost": "alpha", "build_host": "login1",
        },
        "linkA": [["/usr/lib/libm.so.6", "0"], ["/usr/lib/libm.so.6", "0"], ["/opt/blas/libblas.a", "0"]],
        "function": ["MPI_Init", "dgemm_"],
        "link_line": ["mpicc", "-o", "solve", "solve.c"],
    });
    fs::create_dir_all(at.join("link/5")).unwrap();
    fs::write(at.join(format!("link/5/link.alpha.2025_08_31_0.bob.{}.json", uuid(2, 1))), link.to_string())
        .unwrap();
    fs::create_dir_all(at.join("pkg")).unwrap();
    for (name, of) in [("numpy", 2), ("scipy", 2), ("lost", 99)] {
        let package = json!({
            "crc": "0x1", "program": "python", "xalt_run_uuid": uuid(1, of), "package_name": name,
            "package_version": "1.2", "package_path": "/opt/python/lib",
        });
        fs::write(at.join(format!("pkg/pkg.alpha.x.ann.{}.{name}.json", uuid(1, of))), package.to_string())
            .unwrap();
    }
    fs::write(at.join("notes.txt"), "not a record").unwrap();

    let told = imported(&daemon, &[], &[at]);
    for part in [
        "4 runs, of 2 start and 3 end records\n",
        "1 builds\n1 runs with packages\n2 runs stand for several ranks",
        "1 runs are a sample (sampled_ppm)",
        "    5 x hash_id: SHA-1 of the executable\n",
        "    3 x package_path\n",
        "    5 x userT.submit_host\n",
        "    1 x hash_id: SHA-1 of the linked file\n",
        "    2 x xaltLinkT.Build_OS\n",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    assert!(!told.contains("left out"), "{told}");

    for round in 0..2 {
        let (lines, whole) = report(&daemon, &["month", "executable"], "&order=wall");
        let line =
            |month: &str, name: &str| count(&lines[&vec![month.to_owned(), name.to_owned()]], &FIGURES);
        assert_eq!(lines.len(), 3, "round {round}: {whole}");
        // Two users in one job, and an hour of 16 ranks; the start alone is in no hours.
        assert_eq!(line("2025-09", "solve"), [2, 1, 2, 1, 16 * HOUR_US, 2], "{whole}");
        assert_eq!(line("2025-09", "python3.11"), [1, 1, 1, 1, HOUR_US / 2, 1]);
        assert_eq!(line("2025-08", "sort"), [1, 0, 1, 0, HOUR_US, 1]);
        let (lines, _) = report(&daemon, &["cluster", "account", "partition"], "");
        let keys: BTreeSet<_> = lines.keys().map(|key| key.join("/")).collect();
        // An end finds what its start had loaded.
        for (key, name) in [("module", "mpi/4"), ("library", "libmpi.so.12")] {
            let (lines, whole) = report(&daemon, &[key], "&order=wall");
            let found = lines.get(&vec![name.to_owned()]).unwrap_or_else(|| panic!("{whole}"));
            assert_eq!(found["wall_us"], 17 * HOUR_US + HOUR_US / 2, "{whole}");
        }
        assert_eq!(keys, ["alpha//long", "alpha/chem/long"].map(str::to_owned).into());
        imported(&daemon, &[], &[at]);
    }

    // The documents have all that a record tells and no more.
    let documents = wait_for("documents", || Some(daemon.lines()).filter(|lines| lines.len() == 7));
    let of = |number: u32, kind: Value| {
        let is_it = |one: &&Value| one["event_id"] == uuid(1, number) && one["type"] == kind;
        documents.iter().find(is_it).unwrap_or_else(|| panic!("{number} {kind}: {documents:?}"))
    };
    let start = of(1, Value::Null);
    let expected = json!({
        "event_id": uuid(1, 1), "binpath": "/opt/solve/bin/solve", "time": 1_756_684_800,
        "start_time_ns": 1_756_684_800_000_000_000i64, "signature": uuid(2, 1), "job_id": "4711", "cluster": "alpha",
        "username": "ann", "identity": "claimed", "delivered_by": rustix_uid(), "via": "import xalt",
        "cmdline": "/opt/solve/bin/solve -in 'a b.inp'", "arguments": ["/opt/solve/bin/solve", "-in", "a b.inp"],
        "working_directory": "/scratch/ann", "environment_variables": ["PATH=/usr/bin"],
        "loaded_modules": [{"name": "gcc/12", "file": "/m/gcc/12.lua"}, {"name": "mpi/4", "file": "/m/mpi/4.lua"}],
        "shared_objects": [{"path": "/usr/lib/libm.so.6"}, {"path": "/opt/mpi/lib/libmpi.so.12"}],
        "mpi": {"rank": 0, "size": 16}, "account": "chem", "partition": "long", "nodes": 2,
        "omp_num_threads": "4", "client": "xalt-3.2.4",
    });
    for (key, value) in expected.as_object().unwrap().iter().filter(|(key, _)| *key != "cmdline") {
        assert_eq!(&start[key], value, "{key}: {start}");
    }
    let known: BTreeSet<&String> = expected.as_object().unwrap().keys().collect();
    let more: Vec<&String> = start.as_object().unwrap().keys().filter(|key| !known.contains(key)).collect();
    assert_eq!(more, ["build"], "{start}");
    assert_eq!(
        start["build"]["metadata"]["compiler"].as_str().or(start["build"]["compiler"].as_str()),
        Some("mpicc(gcc)"),
        "{start}"
    );
    let end = of(2, "end".into());
    assert_eq!(end["end"]["duration_ns"], 1_800_000_000_000i64);
    assert_eq!(end["end"]["told_by"], "process");
    let package = |name: &str| json!({"language": "Python", "name": name, "version": "1.2", "claimed": true});
    assert_eq!(end["end"]["packages"], json!([package("numpy"), package("scipy")]));
    assert_eq!(of(3, Value::Null)["sampled_ppm"], 10_000);
    assert_eq!(of(3, Value::Null)["job_id"], Value::Null);
    assert_eq!(of(4, Value::Null)["mpi"]["size"], 512);

    let (status, build) = daemon.get(&format!("/v1/builds/{}", uuid(2, 1)));
    assert_eq!(status, 200, "{build}");
    assert_eq!(
        (&build["identity"], &build["via"], &build["marked"]),
        (&"claimed".into(), &"import xalt".into(), &false.into()),
        "{build}"
    );
    assert_eq!(
        (&build["username"], &build["hostname"], &build["driver"]["path"]),
        (&"bob".into(), &"login1".into(), &"/usr/bin/gcc-12".into())
    );
    assert_eq!(
        (build["inputs"].as_array().unwrap().len(), &build["extra"]["xalt_functions"]),
        (2, &"MPI_Init dgemm_".into())
    );
    let (_, jobs) = daemon.get("/v1/jobs?account=chem");
    let ann = jobs["jobs"].as_array().unwrap().iter().find(|job| job["username"] == "ann").unwrap().clone();
    assert_eq!(
        (&ann["identity"], &ann["processes"], &ann["state"]),
        (&"claimed".into(), &2.into(), &"unknown".into()),
        "{jobs}"
    );
}

/// Our own uid: the server tells who delivered an import.
fn rustix_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The figures of one line, as XALT's own query defines them.
#[derive(Default)]
struct QueryLine<'a> {
    /// `SUM(run_time * num_cores / 3600)`, `COUNT(date)`, and what `COUNT(DISTINCT ...)` counts.
    hours: f64,
    runs: u64,
    users: BTreeSet<&'a str>,
    accounts: BTreeSet<&'a str>,
}

/// What XALT's own query prints of these runs, for each file name.
fn xalts_query(runs: &[XaltRun], period: std::ops::Range<f64>) -> BTreeMap<String, [u64; 4]> {
    let mut of: BTreeMap<String, QueryLine<'_>> = BTreeMap::new();
    for run in runs.iter().filter(|run| period.contains(&run.start)) {
        let line = of.entry(run.path.rsplit('/').next().unwrap().to_owned()).or_default();
        line.hours += run.seconds * f64::from(run.ranks) / 3600.0;
        line.runs += 1;
        line.users.insert(&run.user);
        line.accounts.insert(&run.account);
    }
    let figures = |line: QueryLine<'_>| {
        [line.hours.round() as u64, line.runs, line.users.len() as u64, line.accounts.len() as u64]
    };
    of.into_iter().map(|(name, line)| (name, figures(line))).collect()
}

#[test]
fn the_report_is_that_of_xalts_own_query() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let mut state = 20_261_130u64;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let mut runs = Vec::new();
    for number in 0..600 {
        let program = below(12);
        let run = XaltRun {
            user: format!("user{}", below(9)),
            account: format!("account{}", below(4)),
            job: format!("{}", 100 + number / 4),
            ranks: 1 << below(8),
            seconds: below(90_000_000) as f64 / 1e4,
            ..XaltRun::new(
                number as u32,
                &format!("/opt/code{}/bin/code{program}", below(3)),
                AUGUST + below(9_000_000) as f64,
            )
        };
        if run.ranks > 1 {
            run.write(directory.path(), false);
        }
        run.write(directory.path(), true);
        runs.push(run);
    }
    imported(&daemon, &[], &[directory.path()]);
    for (since, until) in [(0.0, 4e9), (SEPTEMBER, SEPTEMBER + 30.0 * 86_400.0)] {
        let period = format!("&order=wall&since={since:.0}&until={until:.0}");
        let (lines, _) = report(&daemon, &["executable"], &period);
        let told: BTreeMap<String, [u64; 4]> = lines
            .iter()
            .map(|(key, line)| {
                let [hours, runs, users, accounts] =
                    ["wall_us", "processes", "users", "accounts"].map(|key| line[key].as_u64().unwrap());
                (key[0].clone(), [(hours as f64 / 3.6e9).round() as u64, runs, users, accounts])
            })
            .collect();
        assert_eq!(told, xalts_query(&runs, since..until));
        assert!(told.len() == 12 && told.values().all(|line| line[0] > 100), "{told:?}");
    }
}

/// XALT's own records, with its own report of them. They were made by running programs under XALT
/// 3.2.4, and the report by its `xalt_file_to_db` and `xalt_usage_report` on MariaDB 10.11.
#[test]
fn the_report_is_that_of_xalt_itself() {
    let daemon = Daemon::start("");
    let records = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/xalt"));
    let told = imported(&daemon, &[], &[records]);
    assert!(
        told.starts_with("8 runs, of 5 start and 7 end records\n2 builds\n1 runs with packages\n"),
        "{told}"
    );
    assert!(!told.contains("left out"), "{told}");
    let expected: BTreeMap<String, Vec<u64>> = fs::read_to_string(records.join("report.txt"))
        .unwrap()
        .lines()
        .skip(2)
        .map(|line| {
            let mut words = line.split_ascii_whitespace();
            let figures = (0..4).map(|_| words.next().unwrap().parse().unwrap()).collect();
            let name = words.collect::<Vec<_>>().join(" ");
            // XALT has its list of names, and shows a path as it has quoted it.
            let name = if name == "Python*" { "python3.11".to_owned() } else { name };
            (serde_json::from_str(&format!("\"{name}\"")).unwrap(), figures)
        })
        .collect();
    let (lines, whole) = report(&daemon, &["executable"], "&order=wall");
    let told: BTreeMap<String, Vec<u64>> = lines
        .iter()
        .map(|(key, line)| {
            let mut figures = count(line, &["wall_us", "processes", "users", "accounts"]);
            figures[0] = (figures[0] as f64 / 3.6e9).round() as u64;
            (key[0].clone(), figures)
        })
        .collect();
    assert_eq!(told, expected, "{whole}");
    // Runs are joined with the builds that XALT linked.
    let (lines, _) = report(&daemon, &["compiler", "executable"], "");
    assert!(lines.contains_key(&vec!["gcc".to_owned(), "solve".to_owned()]), "{lines:?}");
}

#[test]
fn nothing_in_a_file_of_a_user_ends_an_import() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let name = |number: u32| at.join(format!("run.alpha.x.eve.zzz.{}.json", uuid(1, number)));
    let put = |number: u32, text: &[u8]| fs::write(name(number), text).unwrap();
    let change = |number: u32, object: &str, key: &str, value: Value| {
        let mut json = XaltRun::new(number, "/bin/true", SEPTEMBER).json(true);
        json[object][key] = value;
        put(number, json.to_string().as_bytes());
    };
    XaltRun::new(1, "/opt/good", SEPTEMBER).write(at, true);
    put(2, b"{\"crc\": ");
    put(3, &[b"{\"a\":".repeat(100_000), b"1".to_vec(), b"}".repeat(100_000)].concat());
    put(4, b"[]");
    put(5, &vec![b' '; 9 << 20]);
    put(6, b"\xFF\xFE\x00");
    change(7, "userDT", "start_time", json!(-5));
    change(8, "userDT", "start_time", json!(1e300));
    change(9, "userT", "run_uuid", json!("../../etc/passwd"));
    change(10, "userT", "run_uuid", json!("é".repeat(36)));
    change(11, "userT", "exec_path", json!(17));
    symlink("/etc/hostname", name(12)).unwrap();
    symlink(at, at.join("loop")).unwrap();
    nix::unistd::mkfifo(&name(13), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(name(14)).unwrap();
    let deep = (0..20).fold(at.join("deep"), |path, _| path.join("d"));
    fs::create_dir_all(&deep).unwrap();
    // What may be strange and is taken all the same.
    change(20, "userDT", "num_tasks", json!(4e9));
    change(21, "userDT", "run_time", json!(1e18));
    change(22, "userDT", "end_time", json!(1.0e9));
    change(23, "userT", "exec_path", json!("/opt/\\u00e9\\\"x"));
    change(24, "userDT", "probability", json!("0.5"));
    change(25, "userT", "user", json!("\u{1b}[31mroot\n"));
    let (is_done, told) = import(&daemon, &[], &[at]);
    assert!(is_done, "{told}");
    for part in [
        "7 runs, of 0 start and 7 end records\n",
        "left out: 3 records or folders (not JSON)\n",
        "left out: 6 records or folders (fields of XALT are missing, or have impossible values) ...\n",
        "left out: 1 records or folders (too large)\n",
        "left out: 2 records or folders (no regular file)\n",
        "left out: 1 records or folders (too many folders in each other)\n",
        &format!("    {}\n", name(5).display()),
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let (_, whole) = report(&daemon, &["program"], "");
    assert_eq!(whole["total"]["processes"], 7, "{whole}");
    let (lines, _) = report(&daemon, &["program"], "");
    assert!(lines.contains_key(&vec!["/opt/é\"x".to_owned()]), "{whole}");

    // A period, and a path that is not there.
    assert!(
        imported(&daemon, &["--until", "2025-09-01"], &[at])
            .contains("7 records are outside of the period\n")
    );
    assert!(!import(&daemon, &["--since", "2025-02-30"], &[at]).0);
    let (is_done, told) = import(&daemon, &[], &[Path::new("/does/not/exist")]);
    assert!(!is_done && told.contains("/does/not/exist"), "{told}");
}

/// Lines of a syslog, in blocks of so many bytes.
fn lines_of(json: &Value, kind: &str, version: u32, block: usize) -> Vec<String> {
    let mut text = json.to_string();
    if version == 2 {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        text = STANDARD.encode(packed.finish().unwrap());
    }
    let blocks: Vec<&str> = text.as_bytes().chunks(block).map(|part| str::from_utf8(part).unwrap()).collect();
    let key = json["userT"]["run_uuid"].as_str().unwrap_or("x");
    let line = |(index, part): (usize, &&str)| {
        format!(
            "Sep  1 00:00:01 c401 XALT_LOGGING_alpha: V:{version} kind:{kind} syshost:alpha key:run_fini_{key} crcStr:0x12 nb:{:02} idx:{index:02} value:{}",
            blocks.len(),
            // As a syslog does it.
            part.trim_end()
        )
    };
    blocks.iter().enumerate().map(line).collect()
}

#[test]
fn records_are_put_together_from_the_lines_of_a_syslog() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let run = |number: u32, path: &str| XaltRun::new(number, path, SEPTEMBER).json(true);
    let blanks = run(1, &format!("/opt/a{}b", " ".repeat(100)));
    let (one, two) = (lines_of(&blanks, "run", 4, 64), lines_of(&run(2, "/opt/two"), "run", 4, 50));
    let mut lines: Vec<String> = Vec::new();
    for index in 0..one.len().max(two.len()) {
        // Backwards, between each other, and one of them twice.
        lines.extend(one.iter().rev().nth(index).cloned());
        lines.extend(two.get(index).cloned());
        lines.extend(two.get(index).filter(|_| index == 0).cloned());
        lines.push("Sep  1 00:00:01 c401 kernel: value: V:4 kind:run".to_owned());
    }
    lines.extend(lines_of(&run(3, "/opt/three"), "run", 2, 60));
    let plain = run(4, "/opt/four");
    lines
        .push(format!("Sep  1 00:00:01 c401 XALT_LOGGING_alpha: run:{}", STANDARD.encode(plain.to_string())));
    let mut cut = lines_of(&run(5, "/opt/five"), "run", 4, 60);
    cut.remove(3);
    lines.extend(cut);
    lines.push(
        "x XALT_LOGGING_alpha: V:4 kind:run syshost:a key:k crcStr:0 nb:99999999 idx:00 value:{".to_owned(),
    );
    lines.push("x XALT_LOGGING_alpha: V:4 kind:run syshost:a key:k crcStr:0 nb:02 idx:-1 value:{".to_owned());
    let file: PathBuf = directory.path().join("xalt.log");
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    // The file was rotated in the middle of records.
    let (older, newer) = lines.split_at(6);
    let rotated = directory.path().join("xalt.log.1");
    fs::write(&rotated, older.join("\n") + "\n").unwrap();
    fs::write(&file, newer.join("\n") + "\n").unwrap();
    let told = imported(&daemon, &[], &[&rotated, &file]);
    for part in [
        "4 runs, of 0 start and 4 end records\n",
        "left out: 1 records or folders (lines are missing in the syslog)\n",
        "left out: 1 records or folders (fields of XALT are missing, or have impossible values)\n",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let (lines, whole) = report(&daemon, &["program"], "");
    let programs: Vec<&str> = lines.keys().map(|key| key[0].as_str()).collect();
    let spaced = format!("/opt/a{}b", " ".repeat(100));
    assert_eq!(programs, [&spaced, "/opt/four", "/opt/three", "/opt/two"], "{whole}");
}

#[test]
fn an_import_goes_on_to_another_server_with_its_times() {
    let central = Daemon::start("");
    let near = Daemon::start(&output_to(&central, Some("rack1")));
    let directory = tempfile::tempdir().unwrap();
    XaltRun { ranks: 16, ..XaltRun::new(1, "/opt/solve", SEPTEMBER) }.write(directory.path(), true);
    for daemon in [&near, &near, &central] {
        // Imported twice here, and there as well, it is one run.
        imported(daemon, &[], &[directory.path()]);
        for daemon in [&near, &central] {
            let line = wait_for("the run", || {
                let (lines, _) = report(daemon, &["month", "program"], "&order=wall");
                lines.get(&["2025-09", "/opt/solve"].map(str::to_owned)[..]).cloned()
            });
            assert_eq!(count(&line, &FIGURES), [1, 1, 1, 1, 16 * HOUR_US, 1], "{line}");
        }
    }
    let start = wait_for("documents", || central.lines().into_iter().find(|one| one["type"].is_null()));
    assert_eq!((&start["via"], &start["identity"]), (&"import xalt,rack1".into(), &"claimed".into()));
}

#[test]
fn nobody_else_is_believed_about_the_past() {
    let daemon = Daemon::start("");
    let start = ProcessInfo {
        event_id: Some(vec![7; 16].into()),
        binpath: Some("/bin/forged".into()),
        start_time_ns: Some(SEPTEMBER as i64 * 1_000_000_000),
        ..ProcessInfo::default()
    };
    let frame = encode_frame(MessageType::ProcessInfo, &start);
    let hello = Hello { imports: Some("xalt".to_owned()), ..Hello::default() };
    // Over a network nobody is an administrator.
    let mut stream = Acknowledged::greet(TcpStream::connect(&daemon.tcp).unwrap(), &hello).unwrap();
    let _ = stream.send(&frame);
    assert!(stream.wait_for(1).is_err());
    let mut stream = Acknowledged::greet(
        std::os::unix::net::UnixStream::connect(&daemon.unix).unwrap(),
        &Hello { imports: Some("other".to_owned()), ..Hello::default() },
    )
    .unwrap();
    let _ = stream.send(&frame);
    assert!(stream.wait_for(1).is_err());
    let mut stream = daemon.acknowledged();
    stream.send(&frame).unwrap();
    stream.wait_for(1).unwrap();
    let (lines, _) = report(&daemon, &["month", "program"], "");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let months: Vec<&str> = lines.keys().map(|key| key[0].as_str()).collect();
    assert_eq!(months.len(), 1, "{months:?}");
    assert!(months[0] != "2025-09" && now > 0, "{months:?}");
    wait_for("the log", || daemon.log().contains("an import that it may not make").then_some(()));
}
