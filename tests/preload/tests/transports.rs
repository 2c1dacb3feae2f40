//! How events travel, and what happens when they cannot: never a wait, never a signal, nothing lost
//! silently.

use bytes::BytesMut;
use ogrt_preload_tests::*;
use ogrt_proto::{FRAME_MAX, decode_frame};
use std::{
    fs,
    os::unix::net::{UnixDatagram, UnixListener},
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn udp_carries_events() {
    for address in ["127.0.0.1", "::1"] {
        let receiver = Receiver::udp(address);
        assert!(tracked_to_its_end("/bin/true", &receiver.server).status().unwrap().success());
        let process = receiver.ended(1).remove(0);
        assert!(process.start.unwrap().binpath().ends_with(b"/true"), "{address}");
    }
}

#[test]
fn the_datagram_twin_is_used_where_nobody_listens_on_the_stream() {
    let folder = Folder::new();
    let receiver = Receiver::unix_datagrams(&folder.join("ogrt.sock"));
    assert!(tracked_to_its_end("/bin/true", &receiver.server).status().unwrap().success());
    assert!(receiver.ended(1)[0].start.is_some());
}

#[test]
fn the_stream_takes_what_is_too_much_or_too_large_for_datagrams() {
    let folder = Folder::new();
    let said = |socket: &Path, argument: &str| {
        let mut command = tracked_to_its_end("/bin/true", &format!("unix:{}", socket.display()));
        // Two of them: with one alone it may be `--help`, and `true` closes its output.
        let output = command.args([argument, "."]).env("OGRT_SILENT", "0").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    // Nobody reads, so the datagram queue fills.
    let socket = folder.join("full.sock");
    let twin = format!("{}.dgram", socket.display());
    let (_stream, _twin) = (UnixListener::bind(&socket).unwrap(), UnixDatagram::bind(&twin).unwrap());
    assert!(said(&socket, "").contains("sent by datagram to"));
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", &twin).is_ok() {}
    let full = said(&socket, "");
    assert_eq!(full.matches("sent by stream to").count(), 2, "{full}");

    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let large = said(&folder.join("ogrt.sock"), &"x".repeat(100_000));
    assert!(large.contains("sent by stream to") && large.contains("sent by datagram to"), "{large}");
    receiver.ended(1);
}

#[test]
fn large_events_come_in_parts_and_whole() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let unix = Receiver::unix(&folder.join("ogrt.sock"));
    let datagrams = Receiver::unix_datagrams(&folder.join("twin.sock"));
    let udp = Receiver::udp("127.0.0.1");
    // 400 arguments of 500 bytes: 200 KB.
    let arguments: Vec<String> = (0..400).map(|at| format!("{at:0500}")).collect();
    for receiver in [&unix, &datagrams, &udp] {
        let mut command = tracked_to_its_end("/bin/true", &receiver.server);
        assert!(command.args(&arguments).env("OGRT_ENV", "all").status().unwrap().success());
        let process = receiver.starts(1).remove(0);
        let start = process.start.unwrap();
        assert!(process.start_parts >= 4, "{} parts", process.start_parts);
        assert_eq!(start.part_count(), process.start_parts as u32);
        assert_eq!(start.values_cut, None);
        let received: Vec<_> = start.arguments[1..].iter().map(|a| String::from_utf8_lossy(a)).collect();
        assert_eq!(received, arguments, "{}", receiver.server);
        assert!(start.environment_variables.iter().any(|entry| &entry[..] == b"OGRT_ENV=all"));
        assert!(start.shared_objects.iter().any(|object| object.path().ends_with(b"libc.so.6")));
    }
}

#[test]
fn an_argument_larger_than_a_datagram_is_cut_only_where_it_must_be() {
    let folder = Folder::new();
    let argument = "x".repeat(100_000);
    let run = |receiver: &Receiver| {
        let mut command = tracked_to_its_end("/bin/true", &receiver.server);
        assert!(command.args([&argument, "after"]).status().unwrap().success());
        receiver.start()
    };
    let start = run(&Receiver::unix(&folder.join("ogrt.sock")));
    assert_eq!((start.arguments[1].len(), start.values_cut), (100_000, None));
    let start = run(&Receiver::udp("127.0.0.1"));
    assert!((60_000..65_507).contains(&start.arguments[1].len()), "{}", start.arguments[1].len());
    assert_eq!(start.values_cut, Some(1));
    assert_eq!(start.arguments[2], &b"after"[..]);
}

/// The processes in the files of a spool, which hold whole frames.
fn spooled(directory: &Path) -> Vec<Process> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut frames = Vec::new();
    for name in names {
        assert_eq!(name.extension().unwrap(), "frames", "{}", name.display());
        let mut bytes = BytesMut::from(&fs::read(&name).unwrap()[..]);
        while let Some(frame) = decode_frame(&mut bytes, FRAME_MAX).unwrap() {
            frames.push(frame);
        }
        assert!(bytes.is_empty(), "{} bytes behind the last frame", bytes.len());
    }
    Process::from_frames(&frames)
}

#[test]
fn what_nobody_takes_waits_in_the_spool() {
    let folder = Folder::new();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let servers =
        [format!("unix:{}", folder.join("absent.sock").display()), nobody, "not an address".to_owned()];
    for (at, server) in servers.iter().enumerate() {
        let spool = folder.join(&format!("spool{at}"));
        let arguments: Vec<String> = (0..400).map(|at| format!("{at:0500}")).collect();
        let output = tracked_to_its_end("/bin/true", server)
            .args(&arguments)
            .env("OGRT_SPOOL_DIR", &spool)
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        let processes = spooled(&spool);
        assert_eq!(processes.len(), 1, "{server}");
        let start = processes[0].start.as_ref().unwrap();
        assert_eq!(start.arguments.len(), 401);
        assert!(processes[0].end.is_some());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&spool).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[test]
fn a_spool_that_another_process_makes_meanwhile_is_used() {
    if !has("strace") {
        return;
    }
    let folder = Folder::new();
    let absent = format!("unix:{}", folder.join("absent.sock").display());
    let all_kept = |attempt: u32| {
        let (spool, log) =
            (folder.join(&format!("spool{attempt}")), folder.join(&format!("strace{attempt}")));
        let mut command = Command::new("strace");
        // The process stands still in front of its mkdir, while we make the directory.
        command
            .args(["-f", "-e", "trace=mkdirat", "-e", "inject=mkdirat:delay_enter=1000000", "-o"])
            .arg(&log);
        command.args(["-E", &format!("LD_PRELOAD={}", library().display()), "-E", "OGRT_ACTIVE=1"]);
        command.args(["-E", "OGRT_END=1", "-E", &format!("OGRT_SERVER={absent}")]).arg("-E");
        command.arg(format!("OGRT_SPOOL_DIR={}", spool.display()));
        let mut traced = command.arg("/bin/true").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        fs::create_dir(&spool).unwrap();
        assert!(traced.wait().unwrap().success());
        let processes = spooled(&spool);
        assert!(processes.len() == 1 && processes[0].start.is_some() && processes[0].end.is_some());
        fs::read_to_string(log).unwrap().contains("EEXIST")
    };
    // On a busy machine the process may come to its mkdir too late.
    assert!((0..10).any(all_kept), "nobody came upon a directory made meanwhile");
}

#[test]
fn nothing_is_spooled_when_somebody_took_it() {
    let folder = Folder::new();
    let spool = folder.join("spool");
    fs::create_dir(&spool).unwrap();
    for receiver in [Receiver::unix(&folder.join("ogrt.sock")), Receiver::udp("127.0.0.1")] {
        let mut command = tracked_to_its_end("/bin/true", &receiver.server);
        assert!(command.env("OGRT_SPOOL_DIR", &spool).status().unwrap().success());
        receiver.ended(1);
    }
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
}

#[test]
fn a_file_size_limit_is_never_run_into() {
    let folder = Folder::new();
    let spool = folder.join("spool");
    let absent = format!("unix:{}", folder.join("absent.sock").display());
    let run = |limit: &str| {
        let mut command = tracked_to_its_end("/bin/sh", &absent);
        command.args(["-c", &format!("ulimit -f {limit}; /bin/true; echo $?")]);
        // The shell itself is left out; what it starts has the limit.
        let output = command.env("OGRT_SKIP", "*sh").env("OGRT_SPOOL_DIR", &spool).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "limit {limit}");
        fs::read_dir(&spool).map_or(0, |entries| entries.count())
    };
    assert_eq!(run("0"), 0, "nothing could be written");
    assert_eq!(run("unlimited"), 2);
}

#[test]
fn a_spool_that_cannot_be_written_is_no_trouble() {
    let folder = Folder::new();
    let absent = format!("unix:{}", folder.join("absent.sock").display());
    let file = folder.write("file", "");
    for spool in [file.as_path(), Path::new("/proc/self/nothing"), Path::new("relative"), Path::new("")] {
        let output =
            tracked_to_its_end("/bin/echo", &absent).arg("ok").env("OGRT_SPOOL_DIR", spool).output().unwrap();
        assert_eq!(
            (output.status.code(), &*output.stdout, &*output.stderr),
            (Some(0), &b"ok\n"[..], &b""[..])
        );
    }
}

/// The wall time of one run.
fn run_time(command: &mut Command) -> Duration {
    let before = Instant::now();
    assert!(command.status().unwrap().success());
    before.elapsed()
}

/// The quickest run of each, taken in turn: a busy machine delays some runs, a wait of ours would
/// be in all.
fn quickest(ours: impl Fn() -> Command, base: impl Fn() -> Command) -> (Duration, Duration) {
    let pairs: Vec<_> = (0..25).map(|_| (run_time(&mut ours()), run_time(&mut base()))).collect();
    let ours = pairs.iter().map(|(ours, _)| *ours).min().unwrap();
    let base = pairs.iter().map(|(_, base)| *base).min().unwrap();
    (ours, base)
}

/// A listener that never accepts and whose backlog is full, and a datagram socket that is never
/// read.
struct Hung {
    _listener: UnixListener,
    _twin: UnixDatagram,
    _sender: UnixDatagram,
}

fn hang(folder: &Folder, path: &Path) -> Hung {
    let listener = UnixListener::bind(path).unwrap();
    let twin = UnixDatagram::bind(format!("{}.dgram", path.display())).unwrap();
    // A process of its own may have as many descriptors as that takes. Its connections stay in the
    // backlog when it has ended. std asks for a backlog of 4096 at most.
    let filled = folder.compile(
        Compiler::Gcc,
        "fill",
        "#include <sys/socket.h>\n#include <sys/un.h>\n#include <stdio.h>\n#include <string.h>\n\
         #include <sys/resource.h>\n#include <unistd.h>\n\
         int main(int c, char **v) { struct rlimit r; getrlimit(RLIMIT_NOFILE, &r); r.rlim_cur = r.rlim_max;\n\
         setrlimit(RLIMIT_NOFILE, &r); struct sockaddr_un a = {AF_UNIX}; strcpy(a.sun_path, v[c - 1]);\n\
         for (int i = 0; i < 9000; i++) { int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);\n\
         if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a)) { printf(\"%d\\n\", i); return 0; } }\n\
         return 1; }\n",
        &[],
    );
    let output = Command::new(filled).arg(path).output().unwrap();
    assert!(output.status.success(), "the backlog did not fill");
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(&[0; 1000], format!("{}.dgram", path.display())).is_ok() {}
    Hung { _listener: listener, _twin: twin, _sender: sender }
}

#[test]
fn a_hung_full_or_absent_server_costs_nothing() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let path = folder.join("hung.sock");
    let _hung = hang(&folder, &path);
    let empty = empty_library(folder.path());
    let with_empty = || {
        let mut command = Command::new("/bin/true");
        command.env_clear().env("LD_PRELOAD", &empty);
        command
    };
    let bound = Duration::from_millis(2);
    // Its buffer fills, and nobody reads.
    let full = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    full.set_nonblocking(true).unwrap();
    for _ in 0..2000 {
        full.send_to(&[0; 1000], full.local_addr().unwrap()).unwrap();
    }
    for server in [
        format!("unix:{}", path.display()),
        format!("unix:{}", folder.join("absent.sock").display()),
        full.local_addr().unwrap().to_string(),
        // Nobody listens there.
        "127.0.0.1:1".to_owned(),
    ] {
        let (ours, base) = quickest(|| tracked_to_its_end("/bin/true", &server), with_empty);
        assert!(ours < base + bound, "{server}: {ours:?} where an empty library takes {base:?}");
    }
}

#[test]
fn closed_standard_descriptors_are_never_ours() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    // Says on descriptor 9 which of its first ten are open.
    let source = "#include <fcntl.h>\n#include <unistd.h>\n#include <stdio.h>\n\
        int main(void) { char text[99]; int n = 0; for (int i = 0; i < 9; i++)\n\
        n += sprintf(text + n, \"%d\", fcntl(i, F_GETFD) >= 0); return write(9, text, n) != n; }\n";
    let program = folder.compile(Compiler::Gcc, "lists", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let run = |ours: bool| {
        let out = folder.join(if ours { "with" } else { "without" });
        let mut command = Command::new("/bin/sh");
        let preload = if ours { library().display().to_string() } else { String::new() };
        command
            .arg0("sh")
            .args(["-c", "exec 9>\"$1\" <&- >&- 2>&-; LD_PRELOAD=\"$2\" exec \"$3\"", "sh"])
            .arg(&out)
            .arg(preload)
            .arg(&program)
            .env("OGRT_ACTIVE", "1")
            .env("OGRT_SILENT", "0")
            .env("OGRT_END", "1")
            .env("OGRT_SERVER", &receiver.server);
        assert!(command.status().unwrap().success());
        fs::read_to_string(out).unwrap()
    };
    assert_eq!(run(true), run(false));
    receiver.ended(1);
}
