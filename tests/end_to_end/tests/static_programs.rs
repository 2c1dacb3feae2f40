//! Static programs from the link to the answer: no library is loaded into them, and they are
//! followed like all others.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::{Value, json};
use std::{fs, process::Output};
use xtask::{static_object::Machine, workspace::Workspace};

const PROGRAM: &str = "#include <signal.h>\n#include <stdio.h>\n\
    int main(int c, char **v) { puts(v[0]); fflush(stdout); if (c > 1) raise(SIGKILL); return 3; }\n";

/// Runs a program in a job, with nothing but variables.
fn run(stage: &Stage, job_id: &str, program: &str, arguments: &[&str]) -> Output {
    let mut command = stage.site.command(program, stage.folder());
    see(command.args(arguments).env("OGRT_ACTIVE", "1").env("JOBID", job_id))
}

/// How the only process of a job has ended.
fn end_of(process: &Value) -> Value {
    let end = &process["end"];
    json!([end["ended_by"], end["exit_status"], end["signal"]])
}

#[test]
fn a_static_program_is_known_from_its_link_to_its_end() {
    let host = Workspace::find().unwrap().host;
    if Machine::of_target(&host).is_none() {
        println!("skipped: there is no code for static programs on {host}");
        return;
    }
    let stage = Stage::new();
    fs::write(stage.folder().join("lone.c"), PROGRAM).unwrap();
    let mut link = stage.command("ogrt-cc");
    link.args(["gcc", "-static", "lone.c", "-o", "lone"]).env("OGRT_STATIC", "1");
    let linked = see(&mut link);
    assert_eq!((linked.status.code(), text(&linked.stderr)), (Some(0), String::new()));
    let signature = stage.signature(&stage.folder().join("lone"));

    let returned = run(&stage, "returned", "./lone", &[]);
    assert_eq!((returned.status.code(), text(&returned.stdout)), (Some(3), "./lone\n".into()));
    assert_eq!(text(&returned.stderr), "");
    let killed = run(&stage, "killed", "./lone", &["now"]);
    assert_eq!((killed.status.code(), text(&killed.stdout)), (None, "./lone\n".into()));

    for (job_id, end) in [("returned", json!(["exit", 3, null])), ("killed", json!(["signal", null, 9]))] {
        let job = stage.job(job_id, |job| job["processes"][0]["end"]["duration_ns"].is_u64());
        let process = &job["processes"][0];
        assert_eq!(process["binpath"], stage.folder().join("lone").to_str().unwrap(), "{job_id}");
        assert_eq!(process["signature"], *signature, "{job_id}");
        assert_eq!(process["build"]["source"], "record", "{job_id}");
        // Older kernels tell the time of an end alone.
        assert!(process["end"]["ended_by"].is_null() || end_of(process) == end, "{job_id}: {process}");
    }
    let used = text(&see(&mut stage.site.ogrt(&["uses", &signature])).stdout);
    assert!(used.contains('2'), "{used}");
}
