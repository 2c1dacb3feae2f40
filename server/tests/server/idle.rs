//! A server to which nobody says anything: it sleeps, and wakes for whatever comes.

use super::{daemon::wait_for, follow::Stage, follow::how};
use serde_json::json;
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// Longer than the server's threads look at their sockets by a timer after the last event.
const SILENCE: Duration = Duration::from_secs(7);

/// The time over which wake-ups are counted.
const COUNTED: Duration = Duration::from_secs(3);

/// How often a thread of a process has gone to sleep.
fn sleeps(pid: u32, thread: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: std::io::Result<fs::DirEntry>| {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).ok()?;
        let status = fs::read_to_string(task.join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        (name.trim() == thread).then(|| count.trim().parse::<u64>().unwrap())
    };
    tasks.filter_map(of).sum()
}

#[test]
fn an_idle_server_sleeps() {
    for route in ["stream", "dgram"] {
        let Some(mut stage) = Stage::open(route, "") else { return };
        // One that lives meanwhile, and is looked at ever more rarely.
        let mut child = stage.speak("send start sleep 60000");
        wait_for("the start", || (stage.daemon.lines().len() == 1).then_some(()));
        sleep(SILENCE);
        let count = |thread: &str| sleeps(stage.daemon.pid(), thread);
        let before = ["drain", "follow"].map(count);
        assert!(before[0] > 100 && before[1] > 100, "these are not the threads: {before:?}");
        sleep(COUNTED);
        let [drain, follow] = ["drain", "follow"].map(count);
        let [drain, follow] = [drain - before[0], follow - before[1]];
        println!(
            "{route}: in {COUNTED:?} the thread that receives woke {drain} times, the one that follows {follow}"
        );
        // Forks are heard once a second, and the process is looked at.
        assert!(drain <= 2 && follow <= 20, "{drain} {follow}");

        // It wakes for an end, and for a start.
        let since = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        let ends =
            || stage.daemon.lines().into_iter().filter(|line| line["type"] == "end").collect::<Vec<_>>();
        let end = wait_for("the end", || ends().pop());
        assert_eq!(how(&end), json!(["signal", null, 9, null]));
        println!("{route}: the end was written after {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(3));

        sleep(SILENCE);
        let since = Instant::now();
        stage.speak("number 1 send start exit 3").wait().unwrap();
        wait_for("the second end", || (ends().len() == 2).then_some(()));
        println!("{route}: a start and its end were written after {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(3));

        // It wakes for a question, and to stop.
        sleep(SILENCE);
        let since = Instant::now();
        assert_eq!(stage.daemon.get("/v1/jobs/f").1["processes"].as_array().unwrap().len(), 2);
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        sleep(SILENCE);
        let since = Instant::now();
        assert!(stage.daemon.stop().success());
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    }
}
