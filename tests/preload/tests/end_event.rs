//! The end event: when it is sent, when it must not be, and what it says.

use ogrt_preload_tests::*;
use ogrt_proto::ProcessEnd;
use std::time::Duration;

#[test]
fn a_process_that_returns_from_main_says_what_it_used() {
    if !has_all(&["gcc", "musl-gcc"]) {
        return;
    }
    let source = "#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n#include <unistd.h>\n\
        int main(void) { char *p = malloc(20 << 20); memset(p, 1, 20 << 20); usleep(50000);\n\
        clock_t end = clock() + CLOCKS_PER_SEC / 20; while (clock() < end) {} return p[5] - 1; }\n";
    for compiler in [Compiler::Gcc, Compiler::Musl] {
        let folder = Folder::new();
        let program = folder.compile(compiler, "used", source, &[]);
        let receiver = Receiver::unix(&folder.join("ogrt.sock"));
        let mut command = tracked_to_its_end(&program, &receiver.server);
        assert!(command.env("JOBID", "j1").status().unwrap().success());
        let process = receiver.ended(1).remove(0);
        let (start, end) = (process.start.unwrap(), process.end.unwrap());
        assert_eq!((end.pid(), end.job_id(), end.hostname()), (start.pid(), &b"j1"[..], start.hostname()));
        let duration = Duration::from_nanos(end.duration_ns());
        assert!(duration > Duration::from_millis(100) && duration < Duration::from_secs(20), "{duration:?}");
        assert_eq!(end.time_ns() as u64, start.start_time_ns() as u64 + end.duration_ns());
        assert!(end.user_time_us() + end.system_time_us() > 40_000, "{end:?}");
        assert!(end.max_rss_kib() > 20_000, "{end:?}");
        assert_eq!(end.events_lost(), 0);
        assert!(end.shared_objects.is_empty(), "{end:?}");
    }
}

const LIBRARY: &str = "int later(void) { return 0; }\n";
const LOADS_LATER: &str = "#include <dlfcn.h>\n\
    int main(int c, char **v) { for (int i = 1; i < c; i++) if (!dlopen(v[i], RTLD_NOW)) return 9; return 0; }\n";

fn objects_loaded_later(audit: bool) -> ProcessEnd {
    let folder = Folder::new();
    let note = folder.note("mark", ogrt_note::Signature::from_bytes([3; 16]), b"");
    folder.compile(Compiler::Gcc, "liblater.so", LIBRARY, &["-shared", "-fPIC", &note]);
    let program = folder.compile(Compiler::Gcc, "loads", LOADS_LATER, &["-ldl"]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut command = tracked_to_its_end(&program, &receiver.server);
    if audit {
        command.env_remove("LD_PRELOAD").env("LD_AUDIT", library());
    }
    let status = command.arg(folder.join("liblater.so")).arg("libm.so.6").status().unwrap();
    assert!(status.success(), "{status}");
    let process = receiver.ended(1).remove(0);
    let start = process.start.unwrap();
    assert!(!start.shared_objects.iter().any(|object| object.path().ends_with(b"liblater.so")));
    process.end.unwrap()
}

#[test]
fn objects_loaded_since_the_start_are_named() {
    if !has("gcc") {
        return;
    }
    for audit in [false, true] {
        let end = objects_loaded_later(audit);
        let names: Vec<_> = end
            .shared_objects
            .iter()
            .map(|object| String::from_utf8_lossy(object.path().rsplit(|b| *b == b'/').next().unwrap()))
            .collect();
        assert_eq!(names, ["liblater.so", "libm.so.6"], "under LD_AUDIT: {audit}");
        assert_eq!(end.shared_objects[0].notes[0].signature(), [3; 16]);
        assert!(!end.shared_objects[1].build_id().is_empty());
    }
}

#[test]
fn one_record_for_each_exec_and_none_for_each_fork() {
    if !has("gcc") {
        return;
    }
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <sys/wait.h>\n\
        int main(void) { printf(\"buffered\");\n\
        for (int i = 0; i < 5; i++) if (fork() == 0) exit(0); while (wait(0) > 0) {}\n\
        if (vfork() == 0) { execl(\"/bin/true\", \"true\", (char *)0); _exit(9); }\n\
        wait(0); if (vfork() == 0) _exit(0); wait(0); return 0; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "forks", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let output = tracked_to_its_end(&program, &receiver.server).output().unwrap();
    assert_eq!(output.stdout, b"buffered".repeat(6), "as without us: each child flushes its copy");
    let ended = receiver.ended(2);
    assert_eq!(receiver.frames_after_a_while(), 4, "two starts and two ends: {ended:?}");
    let names: Vec<_> = ended.iter().map(|p| p.start.as_ref().unwrap().binpath().to_vec()).collect();
    assert!(names[0].ends_with(b"/forks") && names[1].ends_with(b"/true"));
}

#[test]
fn what_does_not_end_normally_has_its_start() {
    if !has("gcc") {
        return;
    }
    let source = "#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
        int main(int c, char **v) { if (c > 9) return 1; switch (v[1][0]) { case '_': _exit(3);\n\
        case 'k': raise(SIGKILL); break; case 'a': abort();\n\
        case 'x': execl(\"/bin/true\", \"true\", (char *)0); } return 9; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "stops", source, &[]);
    for (way, starts) in [("_exit", 1), ("kill", 1), ("abort", 1), ("xec", 2)] {
        let socket = folder.join(&format!("{way}.sock"));
        let receiver = Receiver::unix(&socket);
        let _ = tracked_to_its_end(&program, &receiver.server).arg(way).output().unwrap();
        let processes = receiver.starts(starts);
        receiver.frames_after_a_while();
        assert!(processes[0].end.is_none(), "{way}");
    }
}

#[test]
fn a_program_that_may_lock_itself_in_is_left_alone_at_its_end() {
    if !has("gcc") {
        return;
    }
    // Strict mode permits read, write and exit, and kills at anything else; leaving by exit would
    // need exit_group, so the program ends by the plain system call after its destructors have run.
    let source = "#include <sys/prctl.h>\n#include <linux/seccomp.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
        #include <sys/syscall.h>\n__attribute__((destructor(101))) static void last(void) { syscall(SYS_exit, 0); }\n\
        int main(void) { if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) return 9; exit(0); }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "locked", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for (count, how) in ["LD_PRELOAD", "LD_AUDIT"].into_iter().enumerate() {
        let mut command = tracked_to_its_end(&program, &receiver.server);
        command.env_remove("LD_PRELOAD").env(how, library());
        assert_eq!(command.status().unwrap().code(), Some(0), "{how}");
        receiver.starts(count + 1);
    }
    receiver.frames_after_a_while();
    assert!(receiver.processes().iter().all(|process| process.end.is_none()));
}

#[test]
fn a_start_that_was_lost_is_counted_at_the_end() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let source =
        "#include <stdio.h>\nint main(void) { puts(\"up\"); fflush(stdout); getchar(); return 0; }\n";
    let program = folder.compile(Compiler::Gcc, "waits", source, &[]);
    let socket = folder.join("late.sock");
    let mut child = tracked_to_its_end(&program, &format!("unix:{}", socket.display()))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    let receiver = Receiver::unix(&socket);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    receiver.frames_after_a_while();
    let processes = receiver.processes();
    assert_eq!(processes.len(), 1);
    assert!(processes[0].start.is_none());
    assert_eq!(processes[0].end.as_ref().unwrap().events_lost(), 1);
}

#[test]
fn nothing_is_said_at_the_end_unless_asked_for() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for value in [None, Some("0"), Some("yes"), Some("")] {
        let mut command = tracked("/bin/true", &receiver.server);
        value.map(|value| command.env("OGRT_END", value));
        assert!(command.status().unwrap().success());
    }
    receiver.starts(4);
    assert_eq!(receiver.frames_after_a_while(), 4);
}

#[test]
fn a_long_job_id_is_in_the_end_too() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for (count, len) in [64, 65, 90, 5000].into_iter().enumerate() {
        let job = "j".repeat(len);
        let mut command = tracked_to_its_end("/bin/true", &receiver.server);
        assert!(command.env("JOBID", &job).status().unwrap().success());
        let process = receiver.ended(count + 1).remove(count);
        assert_eq!(process.start.unwrap().job_id(), job.as_bytes());
        assert_eq!(process.end.unwrap().job_id(), job.as_bytes());
    }
}

#[test]
fn a_process_names_its_cluster_from_start_to_end() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let [slurms_longest, long] = [40, 5000].map(|len| "c".repeat(len));
    for (count, (slurm, own, cluster)) in [
        (Some("alpha"), None, "alpha"),
        (Some("alpha"), Some("site"), "site"),
        (Some(&*slurms_longest), None, &*slurms_longest),
        (None, Some(&*long), &*long),
        (None, None, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut command = tracked_to_its_end("/bin/true", &receiver.server);
        command.env("JOBID", "900");
        command.envs(slurm.map(|name| ("SLURM_CLUSTER_NAME", name)));
        command.envs(own.map(|name| ("OGRT_CLUSTER", name)));
        assert!(command.status().unwrap().success());
        let process = receiver.ended(count + 1).remove(count);
        assert_eq!(process.start.unwrap().cluster(), cluster.as_bytes());
        assert_eq!(process.end.unwrap().cluster(), cluster.as_bytes());
    }
}

/// getrusage is kept by exec: what another program has used is not this one's.
#[test]
fn resources_of_the_program_before_exec_are_not_ours() {
    if !has("gcc") {
        return;
    }
    let source = "#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n#include <unistd.h>\n\
        int main(void) { char *p = malloc(100 << 20); if (!p) return 2; memset(p, 1, 100 << 20);\n\
        clock_t end = clock() + CLOCKS_PER_SEC / 4; while (clock() < end) {}\n\
        execl(\"/bin/true\", \"true\", (char *)0); return p[5]; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "heavy", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert!(tracked_to_its_end(&program, &receiver.server).status().unwrap().success());
    let end = receiver.ended(1).remove(0).end.unwrap();
    assert!(end.user_time_us() + end.system_time_us() < 100_000, "{end:?}");
    assert!(end.max_rss_kib.is_none(), "{end:?}");
}
