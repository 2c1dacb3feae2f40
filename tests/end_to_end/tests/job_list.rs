//! `ogrt jobs`: a list of jobs, and how they went, with real processes.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::{Value, json};
use std::{
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// Runs a script in a job, tracked.
fn run(stage: &Stage, job: &str, script: &str) {
    see(shell(stage, job, &[]).args(["-c", script]));
}

/// A tracked shell in a job.
fn shell(stage: &Stage, job: &str, variables: &[(&str, &str)]) -> Command {
    let mut shell = stage.command("/bin/sh");
    shell.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so")).env("OGRT_ACTIVE", "1").env("JOBID", job);
    for other in ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "JOB_ID", "OGRT_JOBID_VARS"] {
        shell.env_remove(other);
    }
    shell.envs(variables.iter().copied());
    shell
}

/// The answer to a question, once it is as expected.
fn jobs(stage: &Stage, options: &[&str], is_complete: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let output = see(stage.command("ogrt").arg("jobs").args(options).arg("--json"));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let jobs = answer["jobs"].as_array().cloned().unwrap_or_default();
        if is_complete(&jobs) {
            assert_eq!(output.status.code(), Some(i32::from(jobs.is_empty())), "{}", text(&output.stderr));
            return jobs;
        }
        assert!(Instant::now() < deadline, "{options:?}: {answer} {}", text(&output.stderr));
        sleep(Duration::from_millis(50));
    }
}

fn row<'a>(jobs: &'a [Value], job: &str) -> &'a Value {
    jobs.iter().find(|one| one["job_id"] == job).unwrap_or_else(|| panic!("no {job} in {jobs:?}"))
}

#[test]
fn a_job_fails_by_its_script_or_a_rank_and_not_by_a_command_in_it() {
    let mut stage = Stage::new();
    // In a batch script of Slurm everything has a rank, and is none.
    run(&stage, "good", "SLURM_PROCID=0 SLURM_NTASKS=4 /bin/ls /nonexistent; /bin/true");
    run(&stage, "status", "/bin/true; exit 3");
    run(&stage, "signal", "/bin/true; kill -9 $$");
    // The shell goes on after its child was killed, and succeeds.
    run(&stage, "child", "/bin/sh -c '/bin/true; kill -9 $$'; exit 0");
    let ranks = "for r in 0 1 2; do PMIX_NAMESPACE=9 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=$r \
                 /bin/sh -c '/bin/true; exit '$r & done; wait; exit 0";
    run(&stage, "ranks", ranks);
    if !stage_tells_status(&stage) {
        println!("skipped: needs a kernel that tells the exit status");
        return;
    }
    let failures = ["--state", "failed,killed,oom"];
    let is_complete = |jobs: &[Value]| jobs.len() == 3 && row(jobs, "ranks")["failed"] == 2;
    let all = jobs(&stage, &failures, is_complete);
    let how = |job: &str| {
        let row = row(&all, job);
        json!([row["state"], row["exit_status"], row["signal"], row["failed"], row["killed"], row["oom"]])
    };
    assert_eq!(how("status"), json!(["failed", 3, null, 1, 0, 0]));
    assert_eq!(how("signal"), json!(["killed", null, 9, 0, 1, 0]));
    assert_eq!(how("ranks")[0], "failed");
    assert!(
        row(&all, "status")["last_ns"].as_i64() > row(&all, "status")["first_ns"].as_i64().map(|ns| ns - 1)
    );
    let killed = jobs(&stage, &["--state", "killed"], |_| true);
    assert_eq!(killed.iter().map(|job| job["job_id"].as_str().unwrap()).collect::<Vec<_>>(), ["signal"]);
    assert!(jobs(&stage, &["--state", "oom"], |_| true).is_empty());
    assert!(jobs(&stage, &["--user", "4294967294"], |_| true).is_empty());
    assert_eq!(jobs(&stage, &["--user", "root"], |_| true).len(), 5);
    assert_eq!(jobs(&stage, &["--user", "0", "--state", "completed"], |_| true).len(), 2);
    assert!(jobs(&stage, &["--until", "yesterday"], |_| true).is_empty());
    // They are written together with what they were counted from: a restart loses none.
    stage.stop_server();
    stage.start_server();
    assert_eq!(jobs(&stage, &["--since", "today"], |_| true).len(), 5);
    let table = text(&see(stage.command("ogrt").args(["jobs", "--state", "failed"])).stdout);
    assert!(table.contains("exit 3") && !table.contains("signal"), "{table}");
    // What failed has the name of its script.
    let script = stage.folder().join("fit.sh");
    std::fs::write(&script, "/bin/true\nexit 5\n").unwrap();
    see(shell(&stage, "script", &[]).arg(&script));
    let failed =
        jobs(&stage, &["--state", "failed"], |jobs| jobs.iter().any(|one| one["job_id"] == "script"));
    assert_eq!(row(&failed, "script")["what_ran"], "fit.sh", "{failed:?}");
    let table = text(&see(stage.command("ogrt").args(["jobs", "--state", "failed"])).stdout);
    assert!(table.contains("fit.sh: exit 5"), "{table}");
}

#[test]
fn jobs_are_found_by_what_they_are_and_ran_and_the_newest_stands_first() {
    let stage = Stage::new();
    let program = stage.link("solver");
    let solver = program.to_str().unwrap();
    let chem =
        [("SLURM_JOB_ACCOUNT", "chem"), ("SLURM_JOB_PARTITION", "batch"), ("SLURM_JOB_NUM_NODES", "2")];
    let array = [("SLURM_ARRAY_JOB_ID", "80"), ("SLURM_ARRAY_TASK_ID", "7"), ("OGRT_CLUSTER", "alpha")];
    see(shell(&stage, "first", &chem).args(["-c", &format!("{solver}; exit 0")]));
    see(shell(&stage, "87", &array).args(["-c", "/bin/true; exit 0"]));
    let mut running = shell(&stage, "long", &[]).args(["-c", "/bin/sleep 600; exit 0"]).spawn().unwrap();
    let ids = |found: &[Value]| -> Vec<String> {
        found.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
    };
    let has_begun = |found: &[Value]| found.len() == 3 && row(found, "long")["processes"] == 2;
    let all = jobs(&stage, &[], |found| has_begun(found) && row(found, "87")["open"] == 0);
    assert_eq!(ids(&all), ["long", "87", "first"]);
    let first = row(&all, "first");
    assert_eq!(
        (&first["account"], &first["partition"], &first["nodes"]),
        (&json!("chem"), &json!("batch"), &json!(2))
    );
    assert_eq!((&first["identity"], &first["username"]), (&json!("kernel"), &json!("root")));
    assert_eq!(first["software"].as_array().map(Vec::len), Some(1), "{first}");
    let software = first["software"][0]["software"].as_str().unwrap().to_owned();

    let found = |options: &[&str]| ids(&jobs(&stage, options, |_| true));
    assert_eq!(found(&["--state", "running"]), ["long"]);
    assert_eq!(found(&["--account", "chem", "--partition", "batch"]), ["first"]);
    assert!(found(&["--account", "bio"]).is_empty());
    assert_eq!(found(&["--software", &software]), ["first"]);
    assert!(found(&["--software", "none"]).is_empty());
    assert_eq!(found(&["--cluster", "alpha"]), ["87"]);
    assert_eq!(found(&["--limit", "2"]), ["long", "87"]);
    let said = see(stage.command("ogrt").args(["jobs", "--limit", "2"]));
    assert!(text(&said.stderr).contains("only the newest 2"), "{}", text(&said.stderr));
    let csv = text(&see(stage.command("ogrt").args(["jobs", "--account", "chem", "--csv"])).stdout);
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().count() == 2 && csv.lines().all(|line| line.split(',').count() == columns), "{csv}");

    // The task of an array is a job with an id of its own.
    let sheet = text(&see(stage.command("ogrt").args(["job", "80_7"])).stdout);
    assert!(sheet.contains("alpha/87") && sheet.contains("array task"), "{sheet}");
    let json = see(stage.command("ogrt").args(["job", "alpha/80_7", "--json"]));
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["job_id"], "87");
    assert_eq!(see(stage.command("ogrt").args(["job", "80_8"])).status.code(), Some(1));

    // All of the job ends, and not only its script.
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    for child in std::fs::read_to_string(children).unwrap().split_whitespace() {
        see(Command::new("kill").arg(child));
    }
    running.wait().unwrap();
    let state = |wanted: &'static str| move |found: &[Value]| row(found, "long")["state"] == wanted;
    if stage_tells_status(&stage) {
        let long = jobs(&stage, &["--since", "today"], state("completed"));
        assert_eq!(row(&long, "long")["open"], 0);
    }
}

fn stage_tells_status(stage: &Stage) -> bool {
    let server = stage.server.as_ref().expect("a running server");
    let tells = ogrt_end_to_end::http::get(&server.http, "/healthz")["follow"] == "exit status";
    assert!(tells || std::env::var_os("CI").is_none(), "in CI the kernel tells the exit status");
    tells
}
