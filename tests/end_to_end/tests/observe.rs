//! ogrt-observe with real programs: each start that libogrt.so cannot tell is told once, with its
//! end.

use ogrt_end_to_end::{observer::ObservedStage, see, text};
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// A user who is not root, and owns nothing.
const OTHER_USER: &str = "61234";

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// What an end says of how it came about.
fn how(end: &Value) -> Value {
    let end = &end["end"];
    assert_eq!(end["told_by"], "kernel", "{end}");
    json!([end["ended_by"], end["exit_status"], end["signal"]])
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

/// The build-id of a file, as `readelf` says it.
fn build_id(file: &Path) -> Option<String> {
    let notes = text(&see(Command::new("readelf").arg("-n").arg(file)).stdout);
    Some(notes.split_once("Build ID: ")?.1.lines().next()?.trim().to_owned())
}

#[test]
fn a_static_program_has_a_start_and_an_end_with_its_build() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") || !has("readelf") {
        return;
    }
    let stage = &observed.stage;
    assert!(observed.compile("ordinary", &[]));
    let marked = see(stage.command("ogrt-cc").args(["gcc", "-static", "probe.c", "-o", "marked"]));
    assert_eq!((status(&marked), text(&marked.stderr)), (Some(0), String::new()));
    let program = stage.folder().join("marked").canonicalize().unwrap();
    for (words, expected) in [
        (["sleep", "30", "exit", "3"], json!(["exit", 3, null])),
        (["sleep", "30", "kill", "9"], json!(["signal", null, 9])),
        (["sleep", "30", "kill", "11"], json!(["signal", null, 11])),
    ] {
        let job = format!("static-{}-{}", words[2], words[3]);
        see(observed.command(&job, "./marked").args(words));
        let [(start, end)] = &observed.processes(&job, 1)[..] else { panic!("one process") };
        assert_eq!(how(end), expected, "{words:?}");
        assert_eq!(start["arguments"], json!([&["./marked"], &words[..]].concat()));
        assert_eq!(start["binpath"], program.to_string_lossy().as_ref());
        assert_eq!((&start["is_static"], &start["identity"]), (&json!(true), &json!("kernel")));
        assert_eq!((&start["via"], &start["uid"]), (&json!("observe"), &json!(0)));
        assert_eq!(start["parent_pid"], std::process::id());
        assert_eq!(start["working_directory"], program.parent().unwrap().to_string_lossy().as_ref());
        assert_eq!(start["build_id"].as_str().map(str::to_owned), build_id(&program));
        assert_eq!(start["signature"], stage.signature(&program));
        assert_eq!(start["build"]["source"], "record", "{start}");
        assert_eq!(start["client"].as_str().unwrap().split(' ').next(), Some("ogrt-observe"));
        assert!(start["environment_variables"].is_null(), "{start}");
    }
    // That one would be told by libogrt.so, where it is active.
    see(observed.command("ordinary", "./ordinary").args(["exit", "0"]));
    observed.nothing_of("ordinary");
}

const GO: &str = "\
package main
import (\"os\"; \"time\")
func main() { time.Sleep(30 * time.Millisecond); os.Exit(4) }
";

const RUST: &str = "\
fn main() {
    std::thread::sleep(std::time::Duration::from_millis(30));
    std::process::exit(4)
}
";

#[test]
fn static_programs_of_each_language_are_seen() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    let folder = observed.stage.folder();
    let mut programs = Vec::new();
    if has("gcc") {
        assert!(observed.compile("pie", &["-static-pie"]));
        programs.push(("pie", &["sleep", "30", "exit", "4"][..]));
    }
    if has("musl-gcc") {
        fs::copy(folder.join("probe.c"), folder.join("musl.c")).unwrap();
        let built = see(observed.stage.command("musl-gcc").args(["-static", "-o", "musl", "musl.c"]));
        assert!(built.status.success(), "{}", text(&built.stderr));
        programs.push(("musl", &["sleep", "30", "exit", "4"]));
    }
    if has("go") {
        fs::write(folder.join("go.go"), GO).unwrap();
        let mut go = observed.stage.command("go");
        go.env("CGO_ENABLED", "0").env("GOCACHE", folder.join("go-cache")).env("GOFLAGS", "-mod=mod");
        let built = see(go.args(["build", "-o", "go", "go.go"]));
        assert!(built.status.success(), "{}", text(&built.stderr));
        programs.push(("go", &[]));
    }
    if has("rustc") {
        fs::write(folder.join("r.rs"), RUST).unwrap();
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let built = see(observed.stage.command("rustc").args(["--target", &target, "-o", "rust", "r.rs"]));
        if built.status.success() {
            programs.push(("rust", &[]));
        } else {
            println!("skipped: needs the Rust target {target}");
        }
    }
    for (name, words) in programs {
        let output = see(observed.command(name, format!("./{name}")).args(words));
        assert_eq!(status(&output), Some(4), "{name}");
        let [(start, end)] = &observed.processes(name, 1)[..] else { panic!("one process") };
        assert_eq!(how(end), json!(["exit", 4, null]), "{name}");
        assert_eq!(start["is_static"], true, "{name}");
        let expected = build_id(&folder.join(name));
        assert_eq!(start["build_id"].as_str().map(str::to_owned), expected, "{name}");
    }
}

#[test]
fn a_setuid_program_is_told_once_for_its_caller() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") || !has("setpriv") {
        return;
    }
    let library = ogrt_end_to_end::prefix().join("lib/libogrt.so");
    assert!(observed.compile("setuid", &[]));
    let program = observed.stage.folder().join("setuid");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let server = observed.stage.server.as_ref().unwrap().unix.clone();
    let run = |job: &str, user: &str| {
        let mut command = observed.command(job, "setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "env", "OGRT_ACTIVE=1"]);
        command.arg(format!("LD_PRELOAD={}", library.display())).arg(format!("OGRT_SERVER={server}"));
        command.env("OGRT_JOBID_VARS", &observed.job_variable);
        command.args(["./setuid", "sleep", "30", "exit", "5"]);
        assert_eq!(status(&see(&mut command)), Some(5));
    };
    // The program runs as root, and its caller is another user: the loader leaves libogrt.so out.
    run("setuid", OTHER_USER);
    let [(start, end)] = &observed.processes("setuid", 1)[..] else { panic!("one process") };
    assert_eq!((&start["uid"], &start["via"]), (&json!(61234), &json!("observe")));
    assert!(start["is_static"].is_null(), "{start}");
    assert_eq!(how(end), json!(["exit", 5, null]));
    // Of root it gives nobody more rights, and libogrt.so tells of it.
    run("root", "0");
    let [(start, _)] = &observed.processes("root", 1)[..] else { panic!("one process") };
    assert_eq!((&start["uid"], &start["via"]), (&json!(0), &Value::Null));
}

#[test]
fn a_program_that_has_no_file_any_more_is_told() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") || !has("python3") || !has("unshare") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    let script = |of: &str| {
        format!(
            "import os\n{of}\nos.execve(program, ['name', 'sleep', '50', 'exit', '6'], dict(os.environ))\n"
        )
    };
    let memory = "program = os.memfd_create('in-memory')\nos.write(program, open('program', 'rb').read())";
    let deleted = "os.link('program', 'gone')\nprogram = os.open('gone', os.O_RDONLY)\nos.unlink('gone')";
    for (job, of, path) in
        [("memory", memory, "/memfd:in-memory (deleted)"), ("deleted", deleted, "/gone (deleted)")]
    {
        let output = see(observed.command(job, "python3").args(["-c", &script(of)]));
        assert_eq!((status(&output), text(&output.stderr)), (Some(6), String::new()), "{job}");
        let [(start, end)] = &observed.processes(job, 1)[..] else { panic!("one process") };
        assert!(start["binpath"].as_str().unwrap().ends_with(path), "{start}");
        assert_eq!(start["arguments"], json!(["name", "sleep", "50", "exit", "6"]));
        assert_eq!(how(end), json!(["exit", 6, null]), "{job}");
    }
    // A filesystem that is mounted later, and in a namespace of its own.
    let mount = "mkdir -p new && mount -t tmpfs none new && cp program new && \
                 new/program sleep 50 exit 7; new/program sleep 30 exit 7; test $? = 7";
    let output = see(observed.command("mounted", "unshare").args(["--mount", "sh", "-c", mount]));
    assert_eq!((status(&output), text(&output.stderr)), (Some(0), String::new()));
    for (_, end) in observed.processes("mounted", 2) {
        assert_eq!(how(&end), json!(["exit", 7, null]));
    }
}

#[test]
fn each_program_of_a_chain_of_execs_has_its_own_end() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("first", &["-static"]) && observed.compile("second", &["-static"]));
    assert!(observed.compile("ordinary", &[]));
    let chain = ["./second", "./ordinary", "./first", "./first"];
    let words = chain.iter().flat_map(|next| ["sleep", "30", "exec", next]);
    let chain: Vec<&str> = words.chain(["sleep", "30", "exit", "8"]).collect();
    let output = see(observed.command("chain", "./first").args(chain));
    assert_eq!(status(&output), Some(8));
    let processes = observed.processes("chain", 4);
    let names: Vec<_> = processes.iter().map(|(start, _)| name(start)).collect();
    assert_eq!(names, ["first", "second", "first", "first"]);
    let hows: Vec<_> = processes.iter().map(|(_, end)| how(end)[0].clone()).collect();
    assert_eq!(hows, ["exec", "exec", "exec", "exit"]);
    // An exec that fails is none: the file is no program of this machine.
    fs::write(observed.stage.folder().join("broken"), b"\x7FELF broken").unwrap();
    let broken = observed.stage.folder().join("broken");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let output = see(observed.command("failed", "./first").args(["sleep", "30", "exec", "./broken"]));
    assert_eq!(status(&output), Some(126));
    assert_eq!(observed.processes("failed", 1).len(), 1);
}

fn name(start: &Value) -> String {
    start["binpath"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[test]
fn a_thousand_short_programs_have_one_start_and_one_end_each() {
    let Some(observed) = ObservedStage::open(&["--cpu-percent", "50"]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("short", &["-static"]) && observed.compile("parent", &["-O1"]));
    let output = see(observed.command("storm", "./parent").args(["many", "1000", "./short", "exit", "9"]));
    assert!(output.status.success());
    // On a machine that is busy with other tests some end before the observer has its turn. Those
    // are counted.
    let missed = || observed.metric("ogrt_starts_unobserved_total").unwrap();
    let told = || observed.documents("storm", "").len() as u64;
    observed.wait_for("a thousand starts", || told() + missed() >= 1000);
    println!("{} starts were told", told());
    assert!(told() >= 950, "{} starts, {} missed", told(), missed());
    for (start, end) in observed.processes("storm", told() as usize) {
        assert_eq!((name(&start), how(&end)), ("short".to_owned(), json!(["exit", 9, null])));
    }
}

#[test]
fn a_program_that_tells_of_itself_has_one_start() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    let folder = observed.stage.folder();
    let socket = observed.stage.server.as_ref().unwrap().unix.trim_start_matches("unix:").to_owned();
    fs::write(folder.join("speaker.c"), include_str!("../../../server/tests/data/speaker.c")).unwrap();
    let link = ["-static", "-pthread", "-Wl,--build-id=0x0123456789abcdef", "speaker.c", "-o", "speaker"];
    let built = see(observed.stage.command("gcc").args(link));
    assert!(built.status.success(), "{}", text(&built.stderr));
    let info = |build_id: &[u8]| ProcessInfo {
        event_id: Some(vec![0xEE; 16].into()),
        binpath: Some("/speaker".into()),
        job_id: Some("twice".into()),
        build_id: Some(build_id.to_vec().into()),
        is_static: Some(true),
        ..ProcessInfo::default()
    };
    let speak = |frame: &ProcessInfo, route: &str, words: &[&str]| {
        fs::write(folder.join("start"), encode_frame(MessageType::ProcessInfo, frame)).unwrap();
        let path = if route == "dgram" { format!("{socket}.dgram") } else { socket.clone() };
        let output = see(observed.command("twice", "./speaker").args([route, &path]).args(words));
        assert_eq!(status(&output), Some(3), "{}", text(&output.stderr));
    };
    let own = info(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]);
    // It speaks at once, and late.
    speak(&own, "stream", &["number", "1", "send", "start", "exit", "3"]);
    speak(&own, "dgram", &["number", "2", "send", "start", "exit", "3"]);
    speak(&own, "stream", &["number", "3", "sleep", "300", "send", "start", "sleep", "100", "exit", "3"]);
    for (_, end) in observed.processes("twice", 3) {
        assert_eq!(how(&end), json!(["exit", 3, null]));
    }
    assert_eq!(observed.metric("ogrt_starts_twice_total"), Some(3));
}

#[test]
fn a_program_with_our_code_linked_in_has_one_start() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("program", &[]));
    let mut link = observed.stage.command("ogrt-cc");
    let linked = see(link.env("OGRT_STATIC", "1").args(["gcc", "-static", "probe.c", "-o", "telling"]));
    assert_eq!((status(&linked), text(&linked.stderr)), (Some(0), String::new()));
    let run = |job: &str, active: &str| {
        let mut command = observed.command(job, "./telling");
        command.env("OGRT_ACTIVE", active).env("OGRT_JOBID_VARS", &observed.job_variable);
        assert_eq!(status(&see(command.args(["sleep", "300", "exit", "4"]))), Some(4));
        let [(start, end)] = &observed.processes(job, 1)[..] else { panic!("one process") };
        assert_eq!((how(end), &start["is_static"]), (json!(["exit", 4, null]), &json!(true)));
    };
    run("both", "1");
    assert_eq!(observed.metric("ogrt_starts_twice_total"), Some(1));
    // Where it is not active, the observer alone tells of it.
    run("observer", "0");
    assert_eq!(observed.metric("ogrt_starts_twice_total"), Some(1));
}

#[test]
fn only_the_chosen_processes_are_told() {
    let Some(mut observed) = ObservedStage::open(&["--uids", "61000-62000"]) else { return };
    if !has("gcc") || !has("setpriv") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    let run = |observed: &ObservedStage, job: &str| {
        let other =
            [&format!("--reuid={OTHER_USER}"), "--clear-groups", "./program", "sleep", "30", "exit", "0"];
        assert!(see(observed.command(job, "setpriv").args(other)).status.success());
        assert!(see(observed.command(job, "./program").args(["sleep", "30", "exit", "0"])).status.success());
    };
    run(&observed, "chosen");
    let [(start, _)] = &observed.processes("chosen", 1)[..] else { panic!("one process") };
    assert_eq!(start["uid"], 61234);
    // Outside of jobs nothing is told: the variable is not the one of this observer.
    let before = observed.metric("ogrt_starts_observed_total");
    run(&observed, "");
    observed.nothing_of("");
    assert_eq!(observed.metric("ogrt_starts_observed_total"), before);
    observed.stop_observer();
    observed.start_observer(&["--no-starts"]);
    run(&observed, "off");
    observed.nothing_of("off");
}

#[test]
fn what_starts_while_the_server_is_away_is_told_later() {
    let Some(mut observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    observed.stage.stop_server();
    for number in ["1", "2"] {
        let output = see(observed.command("away", "./program").args(["sleep", "20", "exit", number]));
        assert!(status(&output).is_some());
    }
    observed.stage.start_server();
    let processes = observed.processes("away", 2);
    let hows: Vec<_> = processes.iter().map(|(_, end)| how(end)).collect();
    assert_eq!(hows, [json!(["exit", 1, null]), json!(["exit", 2, null])]);
}

#[test]
fn a_program_that_outlives_the_server_has_its_end() {
    let Some(mut observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    let mut command = observed.command("outlives", "./program");
    let mut child = command.args(["sleep", "6000", "exit", "5"]).spawn().unwrap();
    observed.wait_for("the start", || observed.documents("outlives", "").len() == 1);
    // What has no end is on disk after two seconds.
    std::thread::sleep(std::time::Duration::from_secs(3));
    observed.stage.stop_server();
    observed.stage.start_server();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let [(start, end)] = &observed.processes("outlives", 1)[..] else { panic!("one process") };
    assert_eq!((how(end), &start["via"]), (json!(["exit", 5, null]), &json!("observe")));
}

#[test]
fn hostile_arguments_and_names_are_told_within_bounds() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    let folder = observed.stage.folder();
    let odd = "a \n\u{1b}[31m\"{}";
    fs::rename(folder.join("program"), folder.join(odd)).unwrap();
    let output =
        see(observed.command("odd", format!("./{odd}")).args(["sleep", "30", "exit", "1", "\n\"", ""]));
    assert_eq!(status(&output), Some(1));
    let [(start, _)] = &observed.processes("odd", 1)[..] else { panic!("one process") };
    assert_eq!(name(start), odd);
    assert_eq!(start["arguments"], json!([format!("./{odd}"), "sleep", "30", "exit", "1", "\n\"", ""]));
    // More than is told: the start says that its arguments are missing.
    let long = "x".repeat(100_000);
    let output = see(observed.command("long", format!("./{odd}")).args(["sleep", "30", "exit", "2", &long]));
    assert_eq!(status(&output), Some(2));
    let [(start, _)] = &observed.processes("long", 1)[..] else { panic!("one process") };
    assert_eq!((&start["arguments"], &start["incomplete"]), (&Value::Null, &json!(["arguments"])));
}

#[test]
fn the_program_itself_notices_nothing() {
    let Some(mut observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") || !has("strace") {
        return;
    }
    assert!(observed.compile("program", &["-static"]));
    let calls = |observed: &ObservedStage, job: &str| -> Vec<String> {
        let mut command = observed.command(job, "strace");
        let trace = text(&see(command.args(["-f", "./program", "sleep", "50", "exit", "0"])).stderr);
        trace.lines().map(|line| line.split('(').next().unwrap_or_default().to_owned()).collect()
    };
    let seen = calls(&observed, "traced");
    assert_eq!(observed.processes("traced", 1).len(), 1);
    observed.stop_observer();
    assert!(seen.len() > 5, "{seen:?}");
    assert_eq!(seen, calls(&observed, "alone"));
}

#[test]
fn the_observer_gives_up_its_rights_and_the_doctor_knows_it() {
    let Some(mut observed) = ObservedStage::open(&[]) else { return };
    let status = fs::read_to_string(format!("/proc/{}/status", observed.observer_pid())).unwrap();
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    let kept = u64::from_str_radix(&line("CapEff:"), 16).unwrap();
    // CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN.
    assert_eq!(kept, 1 << 2 | 1 << 19 | 1 << 21, "{kept:x}");
    assert_eq!((line("CapPrm:"), line("NoNewPrivs:")), (line("CapEff:"), "1".to_owned()));
    let doctor = |stage: &ogrt_end_to_end::Stage| -> Value {
        let output = see(stage.site.ogrt(&["doctor", "--json"]).env("PATH", "/nonexistent"));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(doctor(&observed.stage)["observe"], true);
    assert_eq!(doctor(&observed.stage)["accounting"], true, "{}", observed.logs());
    // Nobody else may tell the server anything that way.
    let socket = observed.stage.server.as_ref().unwrap().observe.clone();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    observed.stop_observer();
    observed.wait_for("the end of the observer", || observed.metric("ogrt_observers") == Some(0));
    assert_eq!(doctor(&observed.stage)["observe"], false);
    assert_eq!(doctor(&observed.stage)["accounting"], false);
}
