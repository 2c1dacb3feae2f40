//! CPU time and memory of followed processes, as far as they are seen while the processes live.

use super::{
    daemon::wait_for,
    follow::{Stage, number},
};
use serde_json::Value;

/// Time that a process keeps its last state for: it is looked at meanwhile.
const REST: &str = "sleep 1500";

fn ends(stage: &Stage, count: usize) -> Vec<Value> {
    let mut ends = wait_for("the ends", || {
        let ends: Vec<_> = stage.daemon.lines().into_iter().filter(|line| line["type"] == "end").collect();
        (ends.len() >= count).then_some(ends)
    });
    ends.sort_by_key(number);
    ends.into_iter().map(|end| end["end"].clone()).collect()
}

/// CPU time in milliseconds.
fn cpu_ms(end: &Value) -> Option<u64> {
    Some((end["user_time_us"].as_u64()? + end["system_time_us"].as_u64()?) / 1000)
}

#[test]
fn an_end_tells_the_cpu_time_and_the_memory_of_its_program() {
    let Some(stage) = Stage::open("stream", "") else { return };
    // Each start is when it is sent, not when the stage was set.
    stage.write_start(None);
    let mut children = [
        stage.speak(&format!("number 1 send start burn 900 {REST} exit 0")),
        // The second program of a process has its own time only, and its own memory.
        stage.speak(&format!(
            "number 2 send start hold 200 burn 700 exec number 3 send start burn 1100 {REST} exit 0"
        )),
        stage.speak("number 4 send start hold 64 exit 0"),
        // It ends soon, and is looked at before its parent asks for it.
        stage.speak("number 5 send start burn 60 exit 0"),
    ];
    let mut reaped = stage.speak("number 6 send start exit 0");
    assert!(reaped.wait().unwrap().success());
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    let ends = ends(&stage, 6);
    // The clock of procfs has ticks of ten milliseconds, in user and in system time.
    for (end, expected) in ends.iter().zip([900, 700]) {
        let cpu_ms = cpu_ms(end).unwrap_or_else(|| panic!("{end}"));
        assert!(cpu_ms.abs_diff(expected) <= 60 + expected / 10, "{expected}: {end}");
    }
    // `burn` counts what the process used before.
    let second = cpu_ms(&ends[2]).unwrap_or_else(|| panic!("{}", ends[2]));
    assert!((250..=650).contains(&second), "{}", ends[2]);
    let peak_mib = |end: &Value| end["max_rss_kib"].as_u64().unwrap_or(0) / 1024;
    assert!((64..80).contains(&peak_mib(&ends[3])), "{}", ends[3]);
    assert!(peak_mib(&ends[2]) < 50, "{}", ends[2]);
    assert!((30..=100).contains(&cpu_ms(&ends[4]).unwrap()), "{}", ends[4]);
    assert!(cpu_ms(&ends[5]).is_none_or(|cpu_ms| cpu_ms < 30), "{}", ends[5]);
    assert_eq!(ends[0]["measured_by"], "samples");
}

#[test]
fn an_end_tells_how_many_cpus_its_process_was_allowed() {
    use nix::{sched, unistd::Pid};
    let Some(stage) = Stage::open("stream", "") else { return };
    stage.write_start(None);
    let all = sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
    let allowed = |set: &sched::CpuSet| {
        (0..sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap()).collect::<Vec<_>>()
    };
    let free = stage.speak(&format!("number 1 send start {REST} exit 0"));
    let bound = stage.speak(&format!("number 2 send start {REST} exit 0"));
    let mut one = sched::CpuSet::new();
    one.set(allowed(&all)[0]).unwrap();
    sched::sched_setaffinity(Pid::from_raw(bound.id().cast_signed()), &one).unwrap();
    for mut child in [free, bound] {
        assert!(child.wait().unwrap().success());
    }
    let told: Vec<Value> = ends(&stage, 2).iter().map(|end| end["cpus_allowed"].clone()).collect();
    assert_eq!(told, [allowed(&all).len(), 1]);
}

#[test]
fn the_workers_that_a_process_forks_are_counted_apart() {
    let Some(stage) = Stage::open("dgram", "") else { return };
    stage.write_start(None);
    let mut child = stage.speak(&format!("number 1 send start pool 3 1500 {REST} exit 0"));
    assert!(child.wait().unwrap().success());
    let end = ends(&stage, 1).remove(0);
    let workers_ms = end["worker_time_us"].as_u64().unwrap_or(0) / 1000;
    // A look every twentieth of the age; three workers on a machine that may have more to do.
    assert!((3600..=4700).contains(&workers_ms), "{end}");
    assert!(cpu_ms(&end).unwrap_or(u64::MAX) < 300, "{end}");
}

#[test]
fn a_site_that_wants_no_looks_has_none() {
    let Some(stage) = Stage::open("stream", "[follow]\nsamples_per_second = 0\n") else { return };
    stage.speak("number 1 send start burn 100 sleep 1500 exit 0").wait().unwrap();
    let end = ends(&stage, 1).remove(0);
    assert_eq!((cpu_ms(&end), &end["measured_by"]), (None, &Value::Null));
}
