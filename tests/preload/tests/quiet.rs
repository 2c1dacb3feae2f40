//! Processes that are not tracked, and how few system calls the others cost.

use ogrt_preload_tests::*;
use std::{collections::BTreeMap, path::Path, process::Command};

#[test]
fn inactive_processes_send_nothing() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for value in [None, Some("0"), Some(""), Some("yes"), Some("11")] {
        let mut command = tracked("/bin/true", &receiver.server);
        match value {
            Some(value) => command.env("OGRT_ACTIVE", value),
            None => command.env_remove("OGRT_ACTIVE"),
        };
        assert!(command.status().unwrap().success());
    }
    assert_eq!(receiver.frames_after_a_while(), 0);
    assert!(tracked("/bin/true", &receiver.server).status().unwrap().success());
    assert_eq!(receiver.starts(1).len(), 1, "and the receiver does hear");
}

#[test]
fn globs_leave_out_and_let_in() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/bin/true", folder.join("linked")).unwrap();
    let linked = folder.join("linked").display().to_string();
    let cases = [
        ("/bin/true", "OGRT_SKIP", "/bin/*", false),
        ("/bin/true", "OGRT_SKIP", "/usr/bin/*", false),
        ("/bin/true", "OGRT_SKIP", "/x/*:*/tr?e", false),
        ("/bin/true", "OGRT_SKIP", "/opt/*", true),
        (&linked, "OGRT_SKIP", "/usr/bin/true", false),
        ("/bin/true", "OGRT_ONLY", "/opt/*:/bin/true", true),
        ("/bin/true", "OGRT_ONLY", "/usr/bin/*", true),
        ("/bin/true", "OGRT_ONLY", "/opt/*", false),
        (&linked, "OGRT_ONLY", "/usr/bin/*", true),
        (&linked, "OGRT_ONLY", "/opt/*", false),
    ];
    for (at, (program, variable, globs, sent)) in cases.into_iter().enumerate() {
        let receiver = Receiver::unix(&folder.join(&format!("{at}.sock")));
        assert!(tracked(program, &receiver.server).env(variable, globs).status().unwrap().success());
        let frames = receiver.frames_after_a_while();
        assert_eq!(frames, usize::from(sent), "{program} with {variable}={globs}");
    }
}

#[test]
fn nothing_is_said_unless_asked_for() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let stderr = |variables: &[(&str, &str)]| {
        let output = tracked("/bin/true", &receiver.server).envs(variables.iter().copied()).output().unwrap();
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(stderr(&[]), "");
    assert_eq!(stderr(&[("OGRT_SCHLEICHFAHRT", "1"), ("OGRT_SILENT", "1")]), "");
    for variable in ["OGRT_SCHLEICHFAHRT", "OGRT_SILENT"] {
        let said = stderr(&[(variable, "0")]);
        assert!(
            said.starts_with("ogrt: start of /") && said.contains("sent by datagram to unix:/"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let said = stderr(&[("OGRT_DEBUG_INFO", "1")]);
    assert!(said.contains(&format!("OGRT_SERVER={}", receiver.server)), "{said}");
    assert!(
        said.contains("OGRT_JOBID_VARS=SLURM_JOB_ID:PBS_JOBID:LSB_JOBID:FLUX_JOB_ID:JOB_ID:JOBID"),
        "{said}"
    );
}

/// The system calls of the whole process, as strace's lines.
fn trace(folder: &Folder, configure: impl Fn(&mut Command)) -> Vec<String> {
    let log = folder.join("strace");
    let mut command = Command::new("strace");
    command.env_clear().arg("-o").arg(&log);
    configure(&mut command);
    command.arg("/bin/true");
    assert!(command.status().unwrap().success());
    std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
}

/// The system calls for the events of a usual process. docs/preload.md names them for authors of
/// seccomp filters.
const CALLS: [&str; 12] = [
    "clock_gettime",
    "close",
    "getcwd",
    "getpgid",
    "getpid",
    "getppid",
    "getrandom",
    "readlinkat",
    "sendmsg",
    "socket",
    "statx",
    "uname",
];

/// A call of another kind fails the test: one that forks, executes, opens, reads, maps, installs a
/// signal handler, or asks a name service.
#[test]
fn no_system_call_is_made_but_these() {
    if !has_all(&["strace", "gcc"]) {
        return;
    }
    let folder = Folder::new();
    let empty = empty_library(folder.path());
    let names = |library: &Path, variables: &[&str]| {
        let calls = trace(&folder, |command| {
            command.arg("-f").arg("-E").arg(format!("LD_PRELOAD={}", library.display()));
            variables.iter().for_each(|variable| {
                command.args(["-E", variable]);
            });
        });
        let mut counts = BTreeMap::<String, usize>::new();
        for name in calls.iter().filter_map(|call| Some(call.split_once('(')?.0)) {
            // With -f, the process may stand in front.
            *counts.entry(name.rsplit(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        counts
    };
    let unix = Receiver::unix(&folder.join("ogrt.sock"));
    let udp = Receiver::udp("127.0.0.1");
    let base = names(&empty, &[]);
    for receiver in [unix, udp] {
        let server = format!("OGRT_SERVER={}", receiver.server);
        let ours = names(library(), &["OGRT_ACTIVE=1", "JOBID=1", &server]);
        let more = ours.iter().filter(|(name, count)| **count > base.get(*name).copied().unwrap_or_default());
        let more: Vec<&str> = more.map(|(name, _)| name.as_str()).collect();
        assert!(more.iter().all(|name| CALLS.contains(name)), "{server}: {more:?}");
        assert!(more.contains(&"sendmsg"), "{server}: nothing was sent");
        receiver.starts(1);
    }
    let manual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/preload.md")).unwrap();
    let named = manual.split("**Seccomp.**").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(CALLS.iter().all(|name| named.contains(name)), "{named}");
}

#[test]
fn system_calls_stay_within_the_budget() {
    if !has_all(&["strace", "gcc"]) {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let udp = Receiver::udp("127.0.0.1");
    let empty = empty_library(folder.path());
    let base = trace(&folder, |command| {
        command.arg("-E").arg(format!("LD_PRELOAD={}", empty.display()));
    });
    let ours = |variables: &[&str]| {
        trace(&folder, |command| {
            command.arg("-E").arg(format!("LD_PRELOAD={}", library().display()));
            variables.iter().for_each(|variable| {
                command.args(["-E", variable]);
            });
        })
    };
    let [unix, udp] = [&receiver, &udp].map(|receiver| format!("OGRT_SERVER={}", receiver.server));
    let active = "OGRT_ACTIVE=1";
    for (what, calls, budget) in [
        ("inactive", ours(&[]), 2),
        ("skipped", ours(&[active, &unix, "OGRT_SKIP=/bin/*"]), 2),
        ("not among the only", ours(&[active, &unix, "OGRT_ONLY=/opt/*"]), 2),
        ("Unix socket", ours(&[active, &unix]), 16),
        ("UDP", ours(&[active, &udp]), 17),
    ] {
        let more = calls.len() as i64 - base.len() as i64;
        println!("{what}: {more} system calls over an empty library");
        assert!(
            more <= budget,
            "{what}: {more} over an empty library, budget {budget}:\n{}",
            calls.join("\n")
        );
        let procfs: Vec<_> = calls.iter().filter(|call| call.contains("/proc")).collect();
        assert!(procfs.is_empty(), "{procfs:?}");
    }
}

/// Programs that end in every way, in both modes: after the close of our socket nothing happens
/// that does not happen under an empty library. No thread's call is left to chance: the one that
/// exits waits until `pthread_create` has returned, and the other one makes no call after it.
#[test]
fn after_the_start_there_is_no_call() {
    if !has_all(&["strace", "gcc"]) {
        return;
    }
    let source = "#include <dlfcn.h>\n#include <pthread.h>\n#include <signal.h>\n#include <stdlib.h>\n\
        #include <unistd.h>\nstatic volatile int begun;\n\
        static void *leave(void *unused) { while (!begun); exit(3); return unused; }\n\
        int main(int c, char **v) { pthread_t t; if (c < 2) return 1; write(1, \"main\", 4); switch (v[1][0]) {\n\
        case 'e': exit(3); case '_': _exit(3); case 'k': raise(SIGKILL); break; case 'a': abort();\n\
        case 's': *(volatile int *)8 = 1; break; case 't': pthread_create(&t, 0, leave, 0); begun = 1; for (;;);\n\
        case 'd': if (!dlopen(\"libm.so.6\", RTLD_NOW)) return 9; exit(0);\n\
        case 'f': if (!fork()) exit(0); return 0; case 'q': at_quick_exit(0); quick_exit(2);\n\
        case 'x': unsetenv(\"LD_PRELOAD\"); unsetenv(\"LD_AUDIT\"); execl(\"/bin/true\", \"true\", (char *)0); }\n\
        return 0; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "ends", source, &["-ldl", "-lpthread"]);
    let empty = empty_library(folder.path());
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let names = |variable: &str, library: &Path, way: &str| -> Vec<String> {
        let log = folder.join("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(&log).args(["-E", "OGRT_ACTIVE=1"]);
        command.arg("-E").arg(format!("OGRT_SERVER={}", receiver.server));
        command.arg("-E").arg(format!("{variable}={}", library.display())).arg(&program).arg(way);
        let _ = command.output().unwrap();
        let log = std::fs::read_to_string(log).unwrap();
        // A call that another thread's cuts in two is named where it begins.
        let calls = log.lines().filter(|line| !line.contains(" resumed>"));
        let names = calls.filter_map(|line| line.split_once('(')?.0.split(' ').next_back());
        names.map(str::to_owned).collect()
    };
    let mut ways = 0;
    for way in
        ["return", "exit", "_exit", "kill", "abort", "segv", "thread", "dlopen", "fork", "quick_exit", "xec"]
    {
        let bare = names("LD_PRELOAD", &empty, way);
        for variable in ["LD_PRELOAD", "LD_AUDIT"] {
            let all = names(variable, library(), way);
            let sent = all.iter().rposition(|name| name == "sendmsg").expect("an event");
            let closed = all[sent..].iter().position(|name| name == "close").expect("a close");
            let mut with = all[sent + closed + 1..].to_vec();
            assert!(with.contains(&"write".to_owned()), "{way} by {variable}: {all:?}");
            let mut without = bare[bare.len().saturating_sub(with.len())..].to_vec();
            if way == "fork" || way == "thread" {
                // Two processes, or threads, write their lines as they come.
                with.sort();
                without.sort();
            }
            assert_eq!(with, without, "{way} by {variable}");
            ways += 1;
        }
    }
    receiver.starts(ways);
}
