//! Feeds: what Open XDMoD and ClusterCockpit take of OGRT, from real builds and jobs.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Burns so many milliseconds of CPU time.
const BUSY: &str = "#include <stdlib.h>\n#include <time.h>\n\
    int main(int count, char **words) {\n\
    \x20   clock_t until = atoi(words[1]) * (CLOCKS_PER_SEC / 1000);\n\
    \x20   while (clock() < until) ;\n\
    \x20   return 0;\n\
    }\n";

/// Links a program with a name of its software.
fn link(stage: &Stage, software: &str, file: &str) -> PathBuf {
    let (source, program) = (stage.folder().join("busy.c"), stage.folder().join(file));
    fs::write(&source, BUSY).unwrap();
    let mut link = stage.command("ogrt-cc");
    link.env("OGRT_META_NAME", software).args(["gcc", "-o"]).arg(&program).arg(&source);
    assert!(see(&mut link).status.success());
    program
}

/// Runs a script in a job, tracked.
fn run(stage: &Stage, job: &str, more: &[(&str, &str)], script: &str) {
    let mut shell = stage.command("/bin/sh");
    shell.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so")).env("OGRT_ACTIVE", "1");
    shell.env("SLURM_JOB_ID", job).env("SLURM_CLUSTER_NAME", "alpha").env_remove("OGRT_JOBID_VARS");
    shell.envs(more.iter().copied());
    assert!(see(shell.args(["-c", script])).status.success());
}

fn feed(stage: &Stage, name: &str) -> Command {
    stage.command(stage.prefix().join("share/ogrt/feeds").join(name).to_str().unwrap())
}

fn has_python() -> bool {
    let is_there = Command::new("python3").arg("--version").output().is_ok();
    assert!(is_there || std::env::var_os("CI").is_none(), "needs python3");
    if !is_there {
        eprintln!("skipped: needs python3 (Debian: python3)");
    }
    is_there
}

/// Waits until these jobs have ended, as the list of jobs tells them.
fn wait_for_jobs(stage: &Stage, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = see(stage.command("ogrt").args(["jobs", "--json"]));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let jobs = found["jobs"].as_array().cloned().unwrap_or_default();
        let is_over = |job: &Value| job["open"] == 0 || job["identity"] == "claimed";
        if jobs.len() == count && jobs.iter().all(is_over) {
            return;
        }
        assert!(Instant::now() < deadline, "{found}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The API of ClusterCockpit, as far as it is documented: a list of jobs in pages, and tags.
#[derive(Default)]
struct Cockpit {
    jobs: Vec<Value>,
    asked: Vec<String>,
}

impl Cockpit {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.asked.push(format!("{method} {path}"));
        if let Some(question) = path.strip_prefix("/api/jobs/?") {
            let value = |key: &str| {
                let found = question.split('&').find_map(|part| part.strip_prefix(&format!("{key}=")));
                found.unwrap_or_default().to_owned()
            };
            let (from, to) =
                value("start-time").split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let begins = from.parse::<i64>().unwrap()..to.parse::<i64>().unwrap();
            let fits = |job: &&Value| {
                job["cluster"] == value("cluster") && begins.contains(&job["startTime"].as_i64().unwrap())
            };
            let (size, page) =
                (value("items-per-page").parse::<usize>().unwrap(), value("page").parse::<usize>().unwrap());
            let jobs: Vec<&Value> =
                self.jobs.iter().filter(fits).skip((page - 1) * size).take(size).collect();
            return (200, json!({ "jobs": jobs }));
        }
        let id = path.strip_prefix("/api/jobs/tag_job/").and_then(|id| id.parse::<i64>().ok());
        let Some(job) = self.jobs.iter_mut().find(|job| method == "POST" && job["id"].as_i64() == id) else {
            return (404, json!({}));
        };
        let tags: Vec<Value> = serde_json::from_slice(body).unwrap();
        for tag in tags {
            let keys: Vec<&String> = tag.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["name", "scope", "type"], "as APITag has them");
            job["tags"].as_array_mut().unwrap().push(tag);
        }
        (200, job.clone())
    }
}

fn serve(cockpit: Arc<Mutex<Cockpit>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &cockpit);
        }
    });
    address
}

fn answer(mut stream: TcpStream, cockpit: &Mutex<Cockpit>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (mut length, mut is_known) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let lower = line.trim_end().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        is_known |= line.trim_end() == "Authorization: Bearer s3cret";
        length = lower.strip_prefix("content-length: ").map_or(length, |text| text.parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, json) = match is_known {
        true => cockpit.lock().unwrap().answer(&method, &path, &body),
        false => (401, json!({})),
    };
    let text = json.to_string();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all((head + &text).as_bytes()).unwrap();
}

#[test]
fn jobs_of_clustercockpit_are_tagged_with_the_software_that_they_ran() {
    if !has_python() {
        return;
    }
    let stage = Stage::new();
    let [busy, small] =
        [("GROMACS", "gmx"), ("Small \"tool\" é", "small")].map(|(name, file)| link(&stage, name, file));
    let (busy, small) = (busy.display(), small.display());
    run(&stage, "101", &[], &format!("{small} 100; {busy} 1500"));
    run(&stage, "102", &[], "/bin/true");
    run(&stage, "103", &[], &format!("{small} 10"));
    // Nobody proves what comes over a network.
    let address = stage.server.as_ref().unwrap().ports().listen;
    run(&stage, "104", &[("OGRT_SERVER", &address)], &format!("{busy} 10"));
    wait_for_jobs(&stage, 4);

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let job = |id: i64, number: i64, cluster: &str, begun: i64| json!({ "id": id, "jobId": number, "cluster": cluster, "startTime": begun, "tags": [] });
    // More than a page, and a number that was used before.
    let mut jobs: Vec<Value> = (0..600).map(|n| job(1000 + n, 5000 + n, "alpha", now)).collect();
    jobs.extend([
        job(1, 101, "alpha", now - 86_400),
        job(2, 101, "alpha", now - 5),
        job(3, 101, "beta", now),
    ]);
    jobs.extend([job(4, 102, "alpha", now), job(5, 103, "alpha", now), job(6, 104, "alpha", now)]);
    let cockpit = Arc::new(Mutex::new(Cockpit { jobs, asked: Vec::new() }));
    let url = serve(cockpit.clone());
    let token = stage.folder().join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let send = |token: &Path, more: &[&str]| {
        let output =
            see(feed(&stage, "clustercockpit").args(["--url", &url, "--token-file"]).arg(token).args(more));
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    let (status, told, _) = send(&token, &["--dry-run"]);
    assert_eq!((status, told.lines().count()), (Some(0), 2), "{told}");
    let (status, told, complaint) = send(&token, &[]);
    assert_eq!((status, told.as_str()), (Some(0), "2 jobs have new tags\n"), "{complaint}");
    assert!(complaint.contains("1 jobs are only claimed, and left out"), "{complaint}");
    let tag = |kind: &str, name: &str| json!({ "type": kind, "name": name, "scope": "global" });
    let tagged: Vec<(i64, Value)> = {
        let cockpit = cockpit.lock().unwrap();
        let tagged = cockpit.jobs.iter().filter(|job| job["tags"] != json!([]));
        tagged.map(|job| (job["id"].as_i64().unwrap(), job["tags"].clone())).collect()
    };
    let small = "Small \"tool\" é";
    let expected = [
        (2, json!([tag("application", "GROMACS"), tag("software", small)])),
        (5, json!([tag("application", small)])),
    ];
    assert_eq!(tagged, expected);

    // Sent again, nothing is sent twice.
    let before = cockpit.lock().unwrap().asked.len();
    assert_eq!(send(&token, &["--since", "2h"]).1, "0 jobs have new tags\n");
    let cockpit = cockpit.lock().unwrap().asked[before..].to_vec();
    assert!(cockpit.iter().all(|asked| asked.starts_with("GET ")), "{cockpit:?}");
    fs::write(&token, "wrong").unwrap();
    let (status, _, complaint) = send(&token, &[]);
    assert!(status == Some(2) && complaint.contains("401"), "{complaint}");
    assert_eq!(send(&stage.folder().join("nothing"), &[]).0, Some(2));
}

#[test]
fn xdmod_gets_a_list_of_applications_by_their_paths() {
    if !has_python() {
        return;
    }
    let stage = Stage::new();
    let programs = [("GROMACS", "gmx_mpi-2024.3+cuda"), ("LAMMPS", "lmp"), ("LAMMPS", "lmp (old)")];
    let paths = programs.map(|(name, file)| link(&stage, name, file));
    for path in &paths {
        run(&stage, "7", &[], &format!("'{}' 1; /bin/true", path.display()));
    }
    wait_for_jobs(&stage, 1);
    let listed = stage.folder().join("application.json");
    let theirs = json!([
        {"id": -1, "name": "NA", "license_type": "permissive"},
        {"id": 7, "name": "lammps", "license_type": "permissive", "execmatch": ["^lmp_.*"], "pathmatch": ["^/x$"]},
    ]);
    fs::write(&listed, theirs.to_string()).unwrap();
    let output = see(feed(&stage, "xdmod").args(["--since", "yesterday", "--merge"]).arg(&listed));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [gromacs, lammps, _] = &paths;
    let gromacs = gromacs.display().to_string().replace('.', "\\.").replace('+', "\\+");
    let lammps = lammps.display().to_string().replace('.', "\\.");
    let expected = json!([
        theirs[0],
        {"id": 7, "name": "lammps", "license_type": "permissive", "execmatch": ["^lmp_.*"],
         "pathmatch": ["^/x$", format!("^{lammps}$")]},
        {"name": "GROMACS", "license_type": "permissive", "science_area": "", "pathmatch": [format!("^{gromacs}$")]},
    ]);
    assert_eq!(list, expected, "no programs of the system, none with a blank");
    let nothing = see(feed(&stage, "xdmod").args(["--until", "2020-01-01"]));
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing.stdout));
}
