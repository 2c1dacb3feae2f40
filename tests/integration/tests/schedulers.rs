//! The TaskProlog for Slurm that OGRT installs, and MPI programs of many ranks under it.

use ogrt_end_to_end::{Stage, http};
use ogrt_integration::{
    easybuild::success,
    needs,
    slurm::{self, Slurm},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, path::PathBuf, process::Command};

const RANKS: usize = 64;

/// Each launcher under Slurm: its compiler wrapper, how that is told which compiler to call, and
/// the line that starts the ranks.
const LAUNCHERS: [(&str, &str, &str); 2] = [
    ("mpicc.openmpi", "OMPI_CC", "mpirun.openmpi -n 64 --oversubscribe"),
    ("mpicc.mpich", "MPICH_CC", "mpirun.mpich -n 64"),
];

fn compile(stage: &Stage, compiler: &str, variable: &str) -> PathBuf {
    let program = stage.folder().join(format!("ranks-{compiler}"));
    let mut command = stage.command(compiler);
    command.env(variable, "ogrt-cc").env("OGRT_META_NAME", "ranks").arg(needs::file("sources/ranks.c"));
    success(command.arg("-o").arg(&program));
    program
}

/// The number of processes of one program, the number of them with an end, and their ranks.
fn count(document: &Value, program: &str) -> (usize, usize, BTreeSet<u64>) {
    let empty = Vec::new();
    let processes = document["processes"].as_array().unwrap_or(&empty);
    let of_program = || processes.iter().filter(|process| process["binpath"] == program);
    let ranks = of_program().filter_map(|process| process["mpi"]["rank"].as_u64()).collect();
    (of_program().count(), of_program().filter(|process| process["end"].is_object()).count(), ranks)
}

#[test]
fn ranks_of_a_launch_are_one_entry() {
    let tools: Vec<&str> = LAUNCHERS
        .iter()
        .flat_map(|(compiler, _, line)| [*compiler, line.split(' ').next().unwrap()])
        .collect();
    if !slurm::has_all() || !needs::has(&tools, true) {
        return;
    }
    let stage = Stage::new();
    let slurm = Slurm::start(&stage, RANKS);
    for (compiler, variable, launcher) in LAUNCHERS {
        let program = compile(&stage, compiler, variable);
        let path = program.to_str().unwrap();
        // OpenMPI wants two variables from root.
        let root = "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1";
        let job = slurm.batch(RANKS, &format!("{root}\n{launcher} {path}"));
        assert_eq!(job.output.trim(), "64 ranks, sum 2016", "{compiler}: {job:?}");

        let document = stage.job(&job.id, |document| count(document, path).1 == RANKS);
        let every_rank: BTreeSet<u64> = (0..RANKS as u64).collect();
        assert_eq!(count(&document, path), (RANKS, RANKS, every_rank), "{compiler}");
        let launches = document["launches"].as_array().unwrap();
        let mut of_program = launches.iter().filter(|launch| launch["binpath"] == path);
        let (launch, more) = (of_program.next().expect("a launch"), of_program.count());
        assert_eq!(
            (
                more,
                &launch["ranks"],
                &launch["ended"],
                &launch["size"],
                launch["hosts"].as_array().unwrap().len()
            ),
            (0, &RANKS.into(), &RANKS.into(), &RANKS.into(), 1),
            "{compiler}: {launch}"
        );
        assert_eq!(
            (&launch["build"]["name"], &launch["build"]["source"]),
            (&"ranks".into(), &"record".into())
        );
        assert_eq!(launch["processes"].as_array().unwrap().len(), RANKS);

        println!("{launcher}: {}", times(&slurm, root, &format!("{launcher} {path}")));
    }
}

/// Prints how long a launch takes tracked and untracked, in turns, without a limit. On an
/// oversubscribed machine two runs of the same launch differ by some tenths. So the untracked
/// launch runs twice: a difference to the tracked one counts only when it is larger than the
/// difference between those two.
fn times(slurm: &Slurm, root: &str, launch: &str) -> String {
    const KINDS: [&str; 3] = ["tracked", "untracked", "again"];
    let rounds = if env::var_os("OGRT_TEST_FULL").is_some() { 10 } else { 2 };
    // Seconds on the clock, and of all processors in user mode and in the kernel. MPICH's ranks are
    // not among them: its launcher does not wait for them.
    let timed = "{ time $L >/dev/null; } 2>&1";
    let untracked = format!("$(export OGRT_ACTIVE=0; unset LD_PRELOAD; {timed})");
    let script = format!(
        "{root}\nTIMEFORMAT='%R %U %S' L=\"{launch}\"\nfor i in $(seq {rounds}); do\n\
         echo tracked $({timed})\necho untracked {untracked}\necho again {untracked}\ndone"
    );
    let output = slurm.batch(RANKS, &script).output;
    let of = |kind: &str| {
        let lines = output.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
        let seconds = lines.map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect());
        let (mut clock, mut processor): (Vec<f64>, Vec<f64>) =
            seconds.map(|times: Vec<f64>| (times[0], times[1] + times[2])).unzip();
        assert_eq!(clock.len(), rounds, "{output}");
        clock.sort_by(f64::total_cmp);
        processor.sort_by(f64::total_cmp);
        let ms = |seconds: f64| (seconds * 1000.0).round();
        format!(
            "{kind} {} ms at best, {} in the middle (processors {}, {})",
            ms(clock[0]),
            ms(clock[rounds / 2]),
            ms(processor[0]),
            ms(processor[rounds / 2])
        )
    };
    KINDS.map(of).join("; ")
}

#[test]
fn the_task_prolog_tracks_batch_scripts_and_steps_and_nobody_who_objects() {
    if !slurm::has_all() {
        return;
    }
    let stage = Stage::new();
    let program = stage.link("program");
    let slurm = Slurm::start(&stage, 2);
    let path = program.display();
    let job = slurm.batch(2, &format!("{path}\nsrun {path}\nOGRT_ACTIVE=0 {path}"));
    let document = stage.job(&job.id, |document| count(document, program.to_str().unwrap()).1 == 3);
    let (runs, ..) = count(&document, program.to_str().unwrap());
    assert_eq!((runs, job.output.lines().count()), (3, 4), "one in the script, two in the step: {document}");
    let steps: BTreeSet<&str> = document["processes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|process| process["binpath"] == program.to_str().unwrap())
        .filter_map(|process| process["job_step"].as_str())
        .collect();
    assert!(steps.contains("0"), "{steps:?}");
}

#[test]
fn the_epilog_closes_what_a_job_has_left_and_names_what_still_runs() {
    if !slurm::has_all() || !needs::has(&["setsid", "sleep"], true) {
        return;
    }
    // Of four places one user has three: the script, the process that leaves it, and one in it.
    let stage = Stage::with_tables("[follow]\nprocesses_max = 4\n");
    let program = stage.link("program");
    let slurm = Slurm::start(&stage, 2);
    let path = program.to_str().unwrap();
    let leaves = "(setsid sleep 600 </dev/null >/dev/null 2>&1 &)";
    let job = slurm
        .batch(1, &format!("{leaves}\nOGRT_ACTIVE=0 sleep 1\nsleep 700 &\nsleep 1\n{path}\nkill $!\nwait"));
    let find = |document: &Value, is: &dyn Fn(&Value) -> bool| {
        document["processes"].as_array()?.iter().find(|process| is(process)).cloned()
    };
    let escapes = |process: &Value| process["arguments"] == json!(["sleep", "600"]);
    let document = stage.job(&job.id, |document| count(document, path).1 == 1);
    let end = &find(&document, &|process| process["binpath"] == path).unwrap()["end"];
    assert_eq!((&end["ended_by"], &end["told_by"]), (&"unknown".into(), &"kernel".into()), "{end}");
    assert!(end["gone_by_ns"].is_i64() && end["end_time_ns"].is_null(), "{end}");
    let escaped = find(&document, &escapes).expect("the process that left the script");
    assert!(escaped["end"].is_null(), "{escaped}");
    let metrics = http::get_text(&stage.server.as_ref().unwrap().http, "/metrics");
    let metric = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse::<u64>().ok())
    };
    let told = ["ogrt_ends_by_job_total", "ogrt_processes_after_job_total"].map(metric);
    assert_eq!(told, [Some(2), Some(1)], "{document}");

    success(Command::new("sh").args(["-c", &format!("kill -TERM {}", escaped["pid"])]));
    let is_over =
        |document: &Value| find(document, &escapes).is_some_and(|process| process["end"].is_object());
    let document = stage.job(&job.id, is_over);
    assert_eq!(find(&document, &escapes).unwrap()["end"]["signal"], 15, "{document}");
}
