//! Real programs, each as a job: what the server says of their processes is what happened.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_integration::{
    exec_log::{self, Ending, STRACE},
    mpi::whole_job,
    needs, session,
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write};

/// What the server has to say of a process: its programs' ends, in order.
type Ends = BTreeMap<i64, Vec<String>>;

/// The name of a signal, without SIG, by its number.
fn signal_name(signal: &Value) -> String {
    let names = [
        (6, "ABRT"),
        (9, "KILL"),
        (10, "USR1"),
        (11, "SEGV"),
        (13, "PIPE"),
        (14, "ALRM"),
        (15, "TERM"),
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
    ];
    let number = signal.as_i64().unwrap_or_default();
    names
        .iter()
        .find(|(known, _)| *known == number)
        .map_or(number.to_string(), |(_, name)| (*name).to_owned())
}

fn ends_of(document: &Value) -> Ends {
    let mut processes: Vec<&Value> = document["processes"].as_array().unwrap().iter().collect();
    processes.sort_by_key(|process| process["start_time_ns"].as_i64());
    let mut ends = Ends::new();
    for process in processes {
        let end = &process["end"];
        let how = match end["ended_by"].as_str() {
            Some("exit") => format!("exit {}", end["exit_status"]),
            Some("signal") => format!("SIG{}", signal_name(&end["signal"])),
            other => other.unwrap_or("nothing").to_owned(),
        };
        ends.entry(process["pid"].as_i64().unwrap()).or_default().push(how);
    }
    ends
}

/// What strace saw, in the same form. A program without the loader has no start, nor has
/// `ogrt run`, which switches tracking on.
fn expected(log: &std::path::Path) -> Ends {
    let mut all = Ends::new();
    for (pid, process) in exec_log::read(log) {
        let count = process.programs.len();
        let ends = process
            .programs
            .iter()
            .enumerate()
            .filter(|(_, program)| program.is_dynamic && !program.path.ends_with("/bin/ogrt"));
        let ends = ends.map(|(index, _)| match &process.ending {
            _ if index + 1 < count => "exec".to_owned(),
            Some(Ending::Exited(status)) => format!("exit {status}"),
            Some(Ending::Killed(signal)) => format!("SIG{signal}"),
            None => "nothing".to_owned(),
        });
        let ends: Vec<String> = ends.collect();
        if !ends.is_empty() {
            all.insert(pid, ends);
        }
    }
    all
}

#[test]
fn every_process_of_a_session_has_its_start_and_its_end() {
    if needs::has(&["strace"], true) {
        starts_and_ends_are_whole(session::rows("programs.txt"));
    }
}

/// Codes that are too large for each machine: what is there of them is run at full size.
#[test]
fn every_process_of_a_real_code_has_its_start_and_its_end() {
    if needs::is_full() && needs::has(&["strace"], true) {
        starts_and_ends_are_whole(session::rows_that_are_here("codes.txt"));
    }
}

fn starts_and_ends_are_whole(table: Vec<session::Row>) {
    let stage = Stage::new();
    let mut complaints = String::new();
    let (mut rows, mut programs) = (0, 0);
    for row in table {
        let folder = session::folder(stage.folder(), &row);
        let log = stage.folder().join(format!("{}.strace", row.name));
        let ogrt = stage.prefix().join("bin/ogrt");
        let mut command = match row.is_traceable {
            true => {
                let mut command = stage.command("strace");
                command.args(STRACE).arg("-o").arg(&log).arg(ogrt);
                command
            }
            false => stage.command("ogrt"),
        };
        command.args(["run", "--", "sh", "-c", &row.command]).current_dir(folder).env("JOBID", &row.name);
        let output = see(&mut command);
        let document = whole_job(&stage, &row.name);
        let ends = ends_of(&document);
        (rows, programs) = (rows + 1, programs + ends.values().map(Vec::len).sum::<usize>());
        let unknown = ends.values().flatten().any(|end| end == "unknown" || end == "nothing");
        if row.is_traceable && ends != expected(&log) {
            let expected = expected(&log);
            let differ = |(pid, ends): &(&i64, &Vec<String>)| expected.get(pid) != Some(ends);
            let ours: Vec<_> = ends.iter().filter(differ).collect();
            let missing: Vec<_> = expected.iter().filter(|(pid, _)| !ends.contains_key(pid)).collect();
            writeln!(complaints, "{}: {ours:?}, strace {missing:?}", row.name).unwrap();
        } else if unknown {
            writeln!(complaints, "{}: {ends:?}", row.name).unwrap();
        }
        println!("{}: {} processes, {:?}", row.name, ends.len(), output.status.code());
    }
    println!("{rows} commands, {programs} programs: each with a start and an end");
    assert!(complaints.is_empty(), "{complaints}");
}

/// Seconds of CPU time that the ends of a job tell, and the seconds that those lived that tell
/// none: a process that is gone within a second is not looked at.
fn told(document: &Value) -> (f64, f64) {
    let (mut cpu, mut lived) = (0.0, 0.0);
    for process in document["processes"].as_array().unwrap() {
        let end = &process["end"];
        let times = ["user_time_us", "system_time_us", "worker_time_us"];
        match end["user_time_us"].is_null() {
            true => lived += end["duration_ns"].as_f64().unwrap() / 1e9,
            false => cpu += times.iter().filter_map(|key| end[key].as_f64()).sum::<f64>() / 1e6,
        }
    }
    (cpu, lived)
}

#[test]
fn cpu_time_is_that_of_the_processes() {
    if !needs::has(&["bash"], true) {
        return;
    }
    let stage = Stage::new();
    let mut complaints = String::new();
    // A program with several threads uses more than one.
    let processors = std::thread::available_parallelism().unwrap().get() as f64;
    for row in session::rows("busy.txt") {
        let folder = session::folder(stage.folder(), &row);
        let timed = "TIMEFORMAT='%3R %3U %3S'; time sh -c \"$0\"";
        let mut command = stage.site.ogrt(&["run", "--", "bash", "-c", timed, &row.command]);
        let output = see(command.current_dir(folder).env("JOBID", &row.name));
        let said = text(&output.stderr);
        let times: Vec<f64> =
            said.lines().last().unwrap_or_default().split(' ').map(|time| time.parse().unwrap()).collect();
        let (elapsed, cpu) = (times[0], times[1] + times[2]);
        let (told, short) = told(&whole_job(&stage, &row.name));
        println!(
            "{}: {told:.2} of {cpu:.2} s of CPU time, in {elapsed:.2} s; {short:.2} s in short processes",
            row.name
        );
        // Clock ticks, and the start of each process before its program, come on top.
        let error = 0.05 * cpu.max(elapsed) + 0.1;
        if told > cpu + error || told + short * processors < cpu - error {
            writeln!(complaints, "{}: {told:.2} s, and bash says {cpu:.2} s", row.name).unwrap();
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}
