//! What the process that is read notices of it: nothing.

use crate::interpreter::{Interpreter, Process};
use ogrt_observe::python::pythons;
use std::{
    env, fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// CPU time in ticks, and how often the process waited and was made to wait.
fn traces(process: &Process) -> Vec<String> {
    let stat = process.stat_file("stat");
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split_whitespace().skip(11).take(2).map(str::to_owned);
    let status = process.stat_file("status");
    let switches = status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned);
    times.chain(switches).collect()
}

#[test]
fn no_cpu_time_and_no_switch() {
    for interpreter in Interpreter::all() {
        let process = interpreter.run(&[], "import json");
        // It goes to sleep after it has said what it has imported.
        while !process.stat_file("stat").contains(") S ") {
            thread::sleep(Duration::from_millis(1));
        }
        let before = traces(&process);
        for _ in 0..1000 {
            process.assert_read_whole();
        }
        assert_eq!(traces(&process), before, "{interpreter}");
    }
}

#[test]
fn no_system_call() {
    for interpreter in Interpreter::all() {
        let process = interpreter.run(&[], "import json");
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("calls");
        let pid = process.pid().to_string();
        let strace =
            Command::new("strace").args(["-f", "-p", &pid, "-o"]).arg(&output).stderr(Stdio::null()).spawn();
        let Ok(mut strace) = strace else {
            assert!(env::var_os("CI").is_none(), "needs strace");
            return println!("skipped: needs strace");
        };
        while !process.stat_file("status").contains(&format!("TracerPid:\t{}", strace.id())) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(50));
        let before = fs::read_to_string(&output).unwrap();
        for _ in 0..200 {
            assert_eq!(pythons(process.pid()).unwrap()[0].modules, process.modules);
        }
        let after = fs::read_to_string(&output).unwrap();
        assert_eq!(after, before, "{interpreter}");
        // The trace does see what the process does.
        drop(process);
        strace.wait().unwrap();
        assert_ne!(fs::read_to_string(&output).unwrap(), before);
    }
}

/// The process that `a_process_of_another_user_is_an_error` asks about.
const OTHER_PROCESS: &str = "OGRT_TEST_OTHER_PROCESS";

/// What may not be read is an error, and never a process without a Python. The question is asked by
/// this program itself, as another user.
#[test]
fn a_process_of_another_user_is_an_error() {
    if let Ok(pid) = env::var(OTHER_PROCESS) {
        let problem = pythons(pid.parse().unwrap()).unwrap_err();
        assert_eq!(problem.kind(), std::io::ErrorKind::PermissionDenied);
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let Some(interpreter) = Interpreter::all().into_iter().next() else { return };
    let process = interpreter.run(&[], "");
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("test");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    let asked = Command::new(&copy)
        .args(["--exact", "quiet::a_process_of_another_user_is_an_error"])
        .env(OTHER_PROCESS, process.pid().to_string())
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success() && text.contains("1 passed"), "{text}");
}
