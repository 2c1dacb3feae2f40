//! `ogrt job`: the sheet and the tree of a real job, and parts of a job.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{fs, process::Command};

/// A tracked command in a job.
fn in_job(stage: &Stage, job: &str, variables: &[(&str, &str)], line: &[&str]) {
    let mut command: Command = stage.command(line[0]);
    command.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so"));
    for other in ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "JOB_ID", "OGRT_JOBID_VARS"] {
        command.env_remove(other);
    }
    command.env("OGRT_ACTIVE", "1").env("JOBID", job).envs(variables.iter().copied());
    see(command.args(&line[1..]).current_dir(stage.folder()));
}

/// The number of processes that have ended.
fn ended(job: &Value) -> usize {
    let processes = job["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
    processes.iter().filter(|process| process["end"]["end_time_ns"].is_number()).count()
}

/// The words of each line that `ogrt job` prints.
fn lines(stage: &Stage, arguments: &[&str]) -> Vec<String> {
    let output = see(stage.command("ogrt").arg("job").args(arguments));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text(&output.stdout).lines().map(words).collect()
}

#[test]
fn a_sheet_says_what_a_job_was_and_what_repeats_is_one_line() {
    let stage = Stage::new();
    fs::write(stage.folder().join("tool.sh"), "/bin/true\nexit 3\n").unwrap();
    let script = "i=0\nwhile [ $i -lt 40 ]; do /bin/sed s/x/y/ /dev/null; i=$((i + 1)); done\n\
                  /bin/sh tool.sh\nSLURM_STEP_ID=4 /bin/ls / >/dev/null\nexit 0\n";
    fs::write(stage.folder().join("job.sh"), script).unwrap();
    let variables =
        [("SLURM_JOB_ACCOUNT", "chem"), ("SLURM_JOB_PARTITION", "batch"), ("SLURM_JOB_NUM_NODES", "1")];
    in_job(&stage, "sheet", &variables, &["/bin/sh", "job.sh"]);
    let document = stage.job("sheet", |job| ended(job) == 44);

    let sheet = lines(&stage, &["sheet"]);
    let has = |start: &str| {
        sheet.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {sheet:#?}"))
    };
    assert_eq!(has("job "), "job sheet");
    assert_eq!(has("user "), "user root");
    assert_eq!(has("account "), "account chem");
    assert_eq!(has("partition "), "partition batch");
    assert!(has("nodes ").starts_with("nodes 1 ("), "{sheet:#?}");
    assert_eq!(has("processes "), "processes 44");
    assert_eq!(has("(unknown) "), format!("(unknown) 44 {}", cpu_time(&document)).trim_end());
    for label in ["first ", "last ", "wall "] {
        has(label);
    }
    has("job.sh ");
    has("├─ sed x 40 ");
    has("├─ tool.sh ");
    let tells_status = document["processes"][0]["end"]["ended_by"] == "exit";
    assert!(tells_status || std::env::var_os("CI").is_none(), "in CI the kernel tells the exit status");
    if tells_status {
        assert_eq!(has("tool.sh exit"), "tool.sh exit 3 1");
    }
    let tree = lines(&stage, &["sheet", "--tree"]);
    assert_eq!(tree.len(), 6, "{tree:#?}");
    let all = lines(&stage, &["sheet", "--tree", "--all"]);
    assert_eq!(all.iter().filter(|line| line.starts_with("├─ sed ")).count(), 40, "{all:#?}");

    let step = lines(&stage, &["sheet.4"]);
    assert!(step.contains(&"processes 1".to_owned()), "{step:#?}");
    let batch = lines(&stage, &["sheet.batch"]);
    assert!(batch.contains(&"processes 43".to_owned()), "{batch:#?}");
    let json = see(stage.command("ogrt").args(["job", "sheet.4", "--json"]));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["processes"].as_array().unwrap().len(), 1);
    assert_eq!(see(stage.command("ogrt").args(["job", "sheet.5"])).status.code(), Some(1));
}

/// What the sheet says of all CPU time, by the job's document: nothing where none is known.
fn cpu_time(document: &Value) -> String {
    let processes = document["processes"].as_array().unwrap().iter();
    let keys = ["user_time_us", "system_time_us", "worker_time_us"];
    if processes.clone().all(|process| process["end"]["user_time_us"].is_null()) {
        return String::new();
    }
    let us = processes.flat_map(|process| keys.map(|key| process["end"][key].as_u64().unwrap_or(0)));
    format!("{:.2} s", us.sum::<u64>() as f64 / 1e6)
}

#[test]
fn a_task_of_an_array_is_a_part_of_the_job_with_its_number() {
    let stage = Stage::new();
    for task in ["7", "8"] {
        in_job(&stage, "array", &[("LSB_JOBINDEX", task)], &["/bin/ls", "/"]);
    }
    stage.job("array", |job| ended(job) == 2);
    let task = lines(&stage, &["array_7"]);
    assert!(
        task.contains(&"array task 7".to_owned()) && task.contains(&"processes 1".to_owned()),
        "{task:#?}"
    );
    assert_eq!(see(stage.command("ogrt").args(["job", "array_9"])).status.code(), Some(1));
}
