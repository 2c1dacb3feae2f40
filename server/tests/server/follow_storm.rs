//! Many short processes of many shells, while their server crashes: each start that is known has
//! one end, and none has two.
//!
//! 6,000 processes and two crashes, and some hundred after them; with OGRT_TEST_FULL=1 it is
//! 200,000 and three. Of ten processes one is killed, one ends by a segmentation fault, one becomes
//! another program, and the others exit.

use super::follow::{OWN_TIME, Stage, how, number, speaker};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

const SHELLS: u32 = 64;

/// The longest time until all ends are written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(300);

/// Added to the number of a process for the program that it becomes.
const NEXT: u32 = 1 << 30;

/// Added to it each time that it is tried again, because there was no server.
const AGAIN: u32 = 1_000_000;

/// The status of a process that found no server.
const NO_SERVER: u32 = 99;

/// A shell that runs so many processes, one after the other.
fn shell(stage: &Stage, first: u32, count: u32) -> Child {
    let script = format!(
        "n={first} last=$(({first} + {count}))\n\
         while [ $((n % {AGAIN})) -lt $last ]; do\n\
         case $((n % 10)) in\n\
         0) way='kill 9' ;;\n\
         1) way=segv ;;\n\
         2) way=\"exec stream $2 number $((n + {NEXT})) send start exit 6\" ;;\n\
         *) way=\"exit $((n % 10))\" ;;\n\
         esac\n\
         \"$1\" stream \"$2\" number $n send start $way\n\
         # No server: it is tried again.\n\
         if [ $? = {NO_SERVER} ]; then sleep 0.05; n=$((n + {AGAIN})); continue; fi\n\
         n=$((n % {AGAIN} + 1))\n\
         done 2>/dev/null"
    );
    Command::new("sh")
        .args(["-c", &script, "sh"])
        .args([speaker(), &stage.daemon.unix])
        .current_dir(stage.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

fn expected(number: u32) -> Value {
    match number % 10 {
        _ if number >= NEXT => json!(["exit", 6, null, null]),
        0 => json!(["signal", null, 9, null]),
        1 => json!(["signal", null, 11, null]),
        2 => json!(["exec", null, null, null]),
        other => json!(["exit", other, null, null]),
    }
}

/// Waits until nobody is followed any more, and the output has written all there is.
fn all_is_written(stage: &Stage) {
    let waiting = || {
        let metrics =
            ["ogrt_processes_followed", "ogrt_events_held", "ogrt_output_lag_batches{output=\"lines\"}"];
        metrics.map(|metric| stage.daemon.metric(metric))
    };
    let (mut quiet, since) = (0, Instant::now());
    while quiet < 5 {
        quiet = if waiting() == [0; 3] { quiet + 1 } else { 0 };
        assert!(since.elapsed() < WRITTEN_WITHIN, "followed, held, not written: {:?}", waiting());
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn each_start_has_one_end_whatever_its_process_and_its_server_do() {
    let is_full = std::env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let (processes, crashes): (u32, u32) = if is_full { (200_000, 3) } else { (6_000, 2) };
    let Some(mut stage) = Stage::open("stream", "") else { return };
    // Under load a start may come after that of the next program: the times tell which was first.
    stage.write_start(Some(OWN_TIME));
    let each = processes / SHELLS;
    let began = Instant::now();
    let mut shells: Vec<Child> = (0..SHELLS).map(|at| shell(&stage, at * each, each)).collect();
    let starts = |stage: &Stage| stage.daemon.metric("ogrt_events_joined_total");
    for crash in 1..=crashes {
        let enough = u64::from(if crash == 1 { processes / 8 } else { processes / 4 });
        // Counted since the last crash, with ends.
        while starts(&stage) < enough && shells.iter_mut().any(|shell| shell.try_wait().unwrap().is_none()) {
            sleep(Duration::from_millis(5));
        }
        stage.daemon = stage.daemon.crash_and_restart("");
    }
    // After the last crash nothing is lost any more.
    shells.extend((0..SHELLS).map(|at| shell(&stage, processes + at * 10, 10)));
    for shell in &mut shells {
        shell.wait().unwrap();
    }
    let stormed = began.elapsed();
    all_is_written(&stage);
    let mut events: BTreeMap<u32, (u32, Vec<Value>)> = BTreeMap::new();
    for line in stage.daemon.lines() {
        let known = events.entry(number(&line)).or_default();
        match line["type"].is_null() {
            true => known.0 += 1,
            false => known.1.push(line),
        }
    }
    let odd: Vec<_> = events.iter().filter(|(_, (starts, ends))| *starts != 1 || ends.len() != 1).collect();
    assert!(
        odd.is_empty(),
        "{} of {} have not one start and one end: {:?}; {} not followed; {}",
        odd.len(),
        events.len(),
        // With what it became, or what became it.
        odd.iter().take(5).map(|(id, of)| (id, of, events.get(&(*id ^ NEXT)))).collect::<Vec<_>>(),
        stage.daemon.metric("ogrt_processes_unfollowed_total"),
        stage.daemon.log()
    );
    let (mut unknown, mut lost_execs) = (0, 0);
    let mut wrong = Vec::new();
    for (number, (_, ends)) in &events {
        assert_eq!(ends.len(), 1, "{number}: {ends:?}");
        let how = how(&ends[0]);
        let has_next = events.contains_key(&(number ^ NEXT));
        if how == json!(["unknown", null, null, null]) {
            unknown += 1;
        } else if how == json!(["exit", NO_SERVER, null, null]) && number % 10 == 2 && !has_next {
            // What it became found no server.
            lost_execs += 1;
        } else if how == json!(["exit", 6, null, null]) && *number < NEXT && number % 10 == 2 && !has_next {
            // The start of what it became went with a server. It is the same file, so the next
            // server cannot tell the two apart, and saw this process end.
            lost_execs += 1;
        } else if how != expected(*number) {
            // What it became, or what became it, tells why.
            let other = events.get(&(number ^ NEXT)).map(|(_, ends)| &ends[0]);
            wrong.push(format!("{number}: {}, and {other:?}", ends[0]));
        }
    }
    assert!(wrong.is_empty(), "{} ends are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    let known = events.len();
    println!(
        "{known} starts of {processes}, {unknown} ends unknown, {lost_execs} of a next program that \
         is not known, {crashes} crashes, {stormed:.0?}, all written \
         after {:.0?}",
        began.elapsed()
    );
    // What a server had not made durable when it crashed is not known at all.
    let last =
        (processes..processes + SHELLS * 10).flat_map(|at| [Some(at), (at % 10 == 2).then_some(at + NEXT)]);
    let missing: Vec<u32> = last.flatten().filter(|number| !events.contains_key(number)).collect();
    assert!(missing.is_empty() && known > SHELLS as usize * 11, "{missing:?} of {known}");
}
