//! `ogrt jobs`: jobs in which something failed, with real processes.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::{Value, json};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Runs a script in a job, tracked.
fn run(stage: &Stage, job: &str, script: &str) {
    let mut shell = stage.command("/bin/sh");
    shell.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so")).env("OGRT_ACTIVE", "1").env("JOBID", job);
    for other in ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "JOB_ID", "OGRT_JOBID_VARS"] {
        shell.env_remove(other);
    }
    see(shell.args(["-c", script]));
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
    run(&stage, "good", "/bin/ls /nonexistent; /bin/true");
    run(&stage, "status", "/bin/true; exit 3");
    run(&stage, "signal", "/bin/true; kill -9 $$");
    // The shell goes on after its child was killed, and succeeds.
    run(&stage, "child", "/bin/sh -c '/bin/true; kill -9 $$'; exit 0");
    let ranks = "for r in 0 1 2; do OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=$r \
                 /bin/sh -c '/bin/true; exit '$r & done; wait; exit 0";
    run(&stage, "ranks", ranks);
    if !stage_tells_status(&stage) {
        println!("skipped: needs a kernel that tells the exit status");
        return;
    }
    let is_complete = |jobs: &[Value]| jobs.len() == 3 && row(jobs, "ranks")["failed"] == 2;
    let all = jobs(&stage, &[], is_complete);
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
    assert_eq!(jobs(&stage, &["--user", "root"], |_| true).len(), 3);
    assert!(jobs(&stage, &["--until", "yesterday"], |_| true).is_empty());
    // They are written together with what they were counted from: a restart loses none.
    stage.stop_server();
    stage.start_server();
    assert_eq!(jobs(&stage, &["--since", "today"], |_| true).len(), 3);
    let table = text(&see(stage.command("ogrt").args(["jobs", "--state", "failed"])).stdout);
    assert!(table.contains("exit 3") && !table.contains("signal"), "{table}");
}

fn stage_tells_status(stage: &Stage) -> bool {
    let server = stage.server.as_ref().expect("a running server");
    let tells = ogrt_end_to_end::http::get(&server.http, "/healthz")["follow"] == "exit status";
    assert!(tells || std::env::var_os("CI").is_none(), "in CI the kernel tells the exit status");
    tells
}
