//! What `ogrt job`, `ogrt jobs` and `ogrt report` say of jobs of a real Slurm: two accounts, an
//! array, steps, ranks of MPI, and a job that is killed at its time limit.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_integration::{
    mpi::OPEN_MPI,
    needs,
    slurm::{self, Slurm},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

/// The shortest time limit that Slurm has is a minute.
const PATIENCE: Duration = Duration::from_secs(30);

fn json(stage: &Stage, arguments: &[&str]) -> Value {
    let output = see(stage.command("ogrt").args(arguments).arg("--json"));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The list of jobs, once nothing of them is open.
fn jobs(stage: &Stage, options: &[&str], count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = json(stage, &[&["jobs"], options].concat());
        let jobs = answer["jobs"].as_array().cloned().unwrap_or_default();
        if jobs.len() == count && jobs.iter().all(|job| job["open"] == 0) {
            return jobs;
        }
        assert!(Instant::now() < deadline, "{options:?}: {answer:#}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn ids(jobs: &[Value]) -> BTreeSet<&str> {
    jobs.iter().map(|job| job["job_id"].as_str().unwrap()).collect()
}

/// The lines of `ogrt job`, each with one space between its words.
fn sheet(stage: &Stage, job: &str) -> Vec<String> {
    let output = see(stage.command("ogrt").args(["job", job]));
    assert_eq!(output.status.code(), Some(0), "{job}: {}", text(&output.stderr));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text(&output.stdout).lines().map(words).collect()
}

#[test]
fn sheet_list_and_report_are_right_for_jobs_of_a_real_slurm() {
    if !slurm::has_all() || !needs::has(&[OPEN_MPI.compiler, OPEN_MPI.launcher], true) {
        return;
    }
    let stage = Stage::new();
    if ogrt_end_to_end::http::get(&stage.server.as_ref().unwrap().http, "/healthz")["follow"] != "exit status"
    {
        assert!(std::env::var_os("CI").is_none(), "in CI the kernel tells the exit status");
        println!("skipped: needs a kernel that tells the exit status");
        return;
    }
    let program = stage.link("program");
    let ranks = OPEN_MPI.compile(&stage, "ranks.c");
    let slurm = Slurm::start(&stage, 8);
    // It runs while the others do.
    let limited = slurm.submit(&["--account=bio", "--time=1"], "while :; do sleep 1; done");
    let array = slurm.submit(
        &["--account=bio", "--array=1-3"],
        &format!("{}\n[ $SLURM_ARRAY_TASK_ID != 2 ] || exit 4\nexit 0", program.display()),
    );
    let root = "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 SLURM_OVERLAP=1";
    let script = format!(
        "{root}\n{} -n 4 --oversubscribe {}\nsrun -n 2 {}\n/bin/false\nexit 0",
        OPEN_MPI.launcher,
        ranks.display(),
        program.display()
    );
    let mpi = slurm.submit(&["--account=chem", "--ntasks=4"], &script);
    let expected = [(&*mpi, "COMPLETED"), (&*format!("{array}_2"), "FAILED"), (&*limited, "TIMEOUT")];
    for (job, state) in expected {
        assert_eq!(slurm.state_at_end(job), state, "{job}");
    }

    // The list.
    let all = jobs(&stage, &[], 5);
    let tasks = jobs(&stage, &["--account", "bio", "--state", "completed,failed"], 3);
    let by_task: BTreeMap<u64, &Value> =
        tasks.iter().map(|job| (job["array_task"].as_u64().unwrap(), job)).collect();
    let array_job: u64 = array.parse().unwrap();
    assert_eq!(by_task.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(tasks.iter().all(|job| job["array_job"] == array_job), "{tasks:#?}");
    assert_eq!([1, 2, 3].map(|task| &by_task[&task]["state"]), ["completed", "failed", "completed"]);
    assert_eq!(by_task[&2]["exit_status"], 4);
    let of_chem = jobs(&stage, &["--account", "chem"], 1);
    assert_eq!((ids(&of_chem), &of_chem[0]["state"]), (BTreeSet::from([&*mpi]), &"completed".into()));
    let killed = jobs(&stage, &["--state", "killed"], 1);
    assert_eq!((ids(&killed), &killed[0]["account"]), (BTreeSet::from([&*limited]), &"bio".into()));
    // Slurm sends 15 first, to one process after the other.
    let signal = killed[0]["signal"].as_u64().unwrap();
    assert!([9, 15].contains(&signal), "{killed:#?}");
    let keys = ["username", "identity", "partition", "cluster", "nodes"];
    for job in &all {
        let told = keys.map(|key| job[key].to_string());
        assert_eq!(told, ["\"root\"", "\"kernel\"", "\"all\"", "\"ogrt\"", "1"], "{job:#}");
    }

    // The sheet of each.
    for (job, words) in [
        (&*mpi, vec!["account chem", "partition all", "user root"]),
        (&*limited, vec!["account bio", &*format!("slurm_script signal {signal} 1")]),
        (&*format!("{array}_2"), vec!["array task 2", "account bio", "slurm_script exit 4 1"]),
        (&*format!("{mpi}.0"), vec!["step 0", "account chem"]),
    ] {
        let lines = sheet(&stage, job);
        for word in words {
            assert!(lines.iter().any(|line| line == word), "{job}: no {word:?} in {lines:#?}");
        }
    }
    // The step has two ranks of one program, and what Slurm runs before them.
    for (job, program, ranks) in [
        (&*mpi, &ranks, " 4 ranks "),
        (&*mpi, &program, " 2 ranks "),
        (&*format!("{mpi}.0"), &program, " 2 ranks "),
    ] {
        let lines = sheet(&stage, job);
        let path = program.to_str().unwrap();
        assert!(lines.iter().any(|line| line.contains(ranks) && line.ends_with(path)), "{job}: {lines:#?}");
    }
    assert_eq!(json(&stage, &["job", &format!("{array}_2")])["job_id"], by_task[&2]["job_id"]);

    // The report.
    let report = json(&stage, &["report", "--by", "account"]);
    for account in ["bio", "chem"] {
        let lines = report["lines"].as_array().unwrap();
        let line =
            lines.iter().find(|line| line["account"] == account).unwrap_or_else(|| panic!("{report:#}"));
        let of_account = || all.iter().filter(|job| job["account"] == account);
        let sum = |key: &str| of_account().map(|job| job[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!(line["jobs"], of_account().count(), "{report:#}");
        assert_eq!((&line["processes"], &line["cpu_us"]), (&sum("processes").into(), &sum("cpu_us").into()));
    }
    let processes: usize = all
        .iter()
        .map(|job| {
            json(&stage, &["job", job["job_id"].as_str().unwrap()])["processes"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!(report["total"]["processes"], processes, "as many as the jobs have, one by one");
}
