//! What ogrt-observe tells of ends: exact CPU time and memory, also of programs that nobody had the
//! time to look at.

use ogrt_end_to_end::{observer::ObservedStage, see, text};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the kernel tells the parent of a process: CPU time and largest memory.
struct Truth {
    cpu_us: u64,
    peak_kib: u64,
}

fn open(options: &[&str]) -> Option<ObservedStage> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|dir| dir.join("gcc").is_file()) {
        assert!(std::env::var_os("CI").is_none(), "in CI a missing gcc is a failure");
        println!("skipped: needs gcc");
        return None;
    }
    let observed = ObservedStage::open(options)?;
    let source = observed.stage.folder().join("ends.c");
    fs::write(source, include_str!("data/ends.c")).unwrap();
    for (name, options) in [("ends", &[][..]), ("static", &["-static"])] {
        let mut gcc = observed.stage.command("gcc");
        let output = see(gcc.args(["-O1", "-pthread", "ends.c", "-o", name]).args(options));
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    Some(observed)
}

/// Runs a program with these words in a job, and says what it used.
fn measure(observed: &ObservedStage, job: &str, program: &str, words: &str) -> Truth {
    let library = ogrt_end_to_end::prefix().join("lib/libogrt.so");
    let mut command: Command = observed.command(job, Path::new("./ends"));
    command.env("OGRT_ACTIVE", "1").env("OGRT_JOBID_VARS", &observed.job_variable);
    command.arg("measure").arg(library).arg(program).args(words.split(' '));
    let output = see(&mut command);
    let numbers: Vec<u64> =
        text(&output.stdout).split_whitespace().map(|number| number.parse().unwrap()).collect();
    Truth { cpu_us: numbers[0], peak_kib: numbers[1] }
}

fn number(end: &Value, key: &str) -> u64 {
    end["end"][key].as_u64().unwrap_or(0)
}

/// CPU time of a process with its workers.
fn cpu_us(end: &Value) -> u64 {
    ["user_time_us", "system_time_us", "worker_time_us"].map(|key| number(end, key)).iter().sum()
}

/// Asserts that both are the same, as far as anybody can tell.
fn assert_same_time(told: u64, truth: u64, what: &str) {
    let allowed = (truth / 50).max(10_000);
    assert!(told.abs_diff(truth) <= allowed, "{what}: told {told} us, and it was {truth} us");
}

#[test]
fn cpu_time_and_memory_are_those_that_the_parent_sees() {
    let Some(observed) = open(&[]) else { return };
    for (job, program, words, how) in [
        ("busy", "./ends", "burn 400", json!(["exit", 0, null])),
        ("short", "./ends", "burn 25 exit 3", json!(["exit", 3, null])),
        ("threads", "./ends", "threads 200", json!(["exit", 0, null])),
        ("leader", "./ends", "thread-exits 100", json!(["exit", 0, null])),
        ("workers", "./ends", "burn 50 workers 100", json!(["exit", 0, null])),
        ("killed", "./ends", "burn 150 kill 9", json!(["signal", null, 9])),
        ("static", "./static", "burn 60 exit 4", json!(["exit", 4, null])),
        ("large", "./ends", "memory 64", json!(["exit", 0, null])),
        ("large-threads", "./ends", "threads 10 memory 96 threads 10", json!(["exit", 0, null])),
    ] {
        let truth = measure(&observed, job, program, words);
        let [(_, end)] = &observed.processes(job, 1)[..] else { panic!("one process") };
        let told = &end["end"];
        assert_eq!(told["measured_by"], "accounting", "{job}: {end} {}", observed.logs());
        assert_eq!(json!([told["ended_by"], told["exit_status"], told["signal"]]), how, "{job}");
        assert_same_time(cpu_us(end), truth.cpu_us, job);
        if job == "workers" {
            assert_same_time(number(end, "worker_time_us"), 300_000, "workers");
        } else {
            assert!(told["worker_time_us"].is_null(), "{end}");
        }
        // The launcher's own memory counts for the kernel, before the exec.
        let allowed = (truth.peak_kib / 20).max(1024);
        let peak = number(end, "max_rss_kib");
        assert!(peak.abs_diff(truth.peak_kib) <= allowed, "{job}: {peak} {}", truth.peak_kib);
    }
    assert_eq!(observed.metric("ogrt_ends_unobserved_total"), Some(0), "{}", observed.logs());
}

/// A control group with so little memory; it is removed at the end.
struct SmallMemory(PathBuf);

impl SmallMemory {
    fn open(bytes: u64) -> Option<SmallMemory> {
        let name = format!("ogrt-test-{}", std::process::id());
        for (folder, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let group = Path::new(folder).join(&name);
            if fs::create_dir(&group).is_err() {
                continue;
            }
            let group = SmallMemory(group);
            if fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        assert!(std::env::var_os("CI").is_none(), "in CI a missing control group for memory is a failure");
        println!("skipped: needs a control group for memory");
        None
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_process_that_the_kernel_killed_for_its_memory_is_told_from_others() {
    let Some(observed) = open(&[]) else { return };
    let Some(group) = SmallMemory::open(24 << 20) else { return };
    let script = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.0.display());
    for (job, words, is_oom) in [("oom", "memory 64", json!(true)), ("killed", "kill 9", Value::Null)] {
        let mut shell = observed.command(job, "sh");
        shell.args(["-c", &script, "sh", "./static"]).args(words.split(' '));
        assert!(!see(&mut shell).status.success());
        let [(_, end)] = &observed.processes(job, 1)[..] else { panic!("one process") };
        assert_eq!((&end["end"]["signal"], &end["end"]["oom_killed"]), (&json!(9), &is_oom), "{end}");
    }
    let jobs = see(observed.stage.command("ogrt").args(["jobs", "--state", "oom", "--json"]));
    let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap();
    assert_eq!((&jobs["jobs"][0]["job_id"], &jobs["jobs"][1]), (&json!("oom"), &Value::Null), "{jobs}");
    let table = see(observed.stage.command("ogrt").args(["job", "oom", "--table"]));
    assert!(text(&table.stdout).contains("signal 9, out of memory"), "{}", text(&table.stdout));
}

#[test]
fn what_another_program_used_in_the_same_process_is_not_counted() {
    let Some(observed) = open(&[]) else { return };
    let truth = measure(&observed, "exec", "./ends", "burn 200 memory 80 exec x burn 90");
    let processes = observed.processes("exec", 2);
    let (first, second) = (&processes[0].1, &processes[1].1);
    assert_eq!((&first["end"]["ended_by"], &second["end"]["ended_by"]), (&json!("exec"), &json!("exit")));
    assert_eq!(second["end"]["measured_by"], "accounting", "{second}");
    assert!(truth.cpu_us > 280_000);
    assert_same_time(cpu_us(second), 90_000, "the second program");
    assert!(number(second, "max_rss_kib") < 40 << 10, "{second}");
}

#[test]
fn without_that_part_ends_are_as_they_were() {
    let Some(observed) = open(&["--no-ends"]) else { return };
    measure(&observed, "sampled", "./ends", "burn 30");
    let [(_, end)] = &observed.processes("sampled", 1)[..] else { panic!("one process") };
    assert_ne!(end["end"]["measured_by"], "accounting", "{end}");
    assert_eq!(end["end"]["ended_by"], "exit");
}
