//! Under a service manager: sockets that it opened, being ready, reading the configuration again.

use crate::daemon::{Daemon, OGRT_0_5, SERVER, needs, wait_for};
use nix::sys::signal::Signal::SIGHUP;
use std::{
    fs,
    io::Write,
    net::{TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Opens the sockets as systemd does, in another order than ours, and becomes the server.
const ACTIVATE: &str = r#"
import fcntl, os, socket, sys
folder, server = sys.argv[1], sys.argv[2:]
def make(family, kind, address):
    s = socket.socket(family, kind)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen(64)
    return s
unix = make(socket.AF_UNIX, socket.SOCK_STREAM, folder + "/passed")
http = make(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
udp = make(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
dgram = make(socket.AF_UNIX, socket.SOCK_DGRAM, folder + "/passed.dgram")
tcp = make(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
port = lambda s: s.getsockname()[1]
with open(folder + "/ogrt.conf", "w") as f:
    f.write(f'''listen = "127.0.0.1:{port(tcp)}"
http = "127.0.0.1:{port(http)}"
unix = "{folder}/passed"
data_dir = "{folder}/data"
[outputs.lines]
type = "file"
path = "{folder}/lines"
''')
with open(folder + "/ports", "w") as f:
    f.write(f"{port(tcp)} {port(http)} {port(udp)}\n")
# Out of the way first, so that none is overwritten before it has its place.
passed = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in (unix, http, udp, dgram, tcp)]
for at, fd in enumerate(passed):
    os.dup2(fd, 3 + at, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(passed))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["NOTIFY_SOCKET"] = folder + "/notify"
os.execv(server[0], server)
"#;

struct Activated(Child);

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn activate(folder: &Path) -> Activated {
    let config = folder.join("ogrt.conf");
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", ACTIVATE]).arg(folder).arg(env!("CARGO_BIN_EXE_ogrt-server"));
    python.arg("--config").arg(config).stdin(Stdio::null()).stderr(log);
    Activated(python.spawn().unwrap())
}

#[test]
fn sockets_of_the_service_manager_are_used_and_left_to_it() {
    if Command::new("python3").arg("-V").output().is_err() {
        return needs("python3");
    }
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let notify = UnixDatagram::bind(folder.join("notify")).unwrap();
    notify.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut server = activate(folder);
    let mut state = [0; 256];
    let length = notify.recv(&mut state).unwrap();
    assert_eq!(&state[..length], b"READY=1", "{}", fs::read_to_string(folder.join("log")).unwrap());

    let ports = fs::read_to_string(folder.join("ports")).unwrap();
    let ports: Vec<&str> = ports.split_whitespace().collect();
    let [tcp, http, udp] = [ports[0], ports[1], ports[2]].map(|port| format!("127.0.0.1:{port}"));
    TcpStream::connect(tcp).unwrap().write_all(OGRT_0_5).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(OGRT_0_5, udp).unwrap();
    UnixStream::connect(folder.join("passed")).unwrap().write_all(OGRT_0_5).unwrap();
    UnixDatagram::unbound().unwrap().send_to(OGRT_0_5, folder.join("passed.dgram")).unwrap();
    let lines = || fs::read_to_string(folder.join("lines/events.jsonl")).unwrap_or_default();
    wait_for("an event from each socket", || (lines().matches('\n').count() == 4).then_some(()));
    // The kernel tells who sent it, and that this is not the process of the event.
    assert_eq!(lines().matches("\"delivered_by\"").count(), 2);
    let mut stream = TcpStream::connect(http).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let pid = nix::unistd::Pid::from_raw(server.0.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let length = notify.recv(&mut state).unwrap();
    assert_eq!(&state[..length], b"STOPPING=1");
    assert!(server.0.wait().unwrap().success());
    // They are for the next server.
    assert!(folder.join("passed").exists() && folder.join("passed.dgram").exists());
}

#[test]
fn a_hangup_changes_what_can_change_and_names_what_cannot() {
    let daemon = Daemon::start("log_level = \"warn\"\n");
    let config = daemon.path().join("ogrt.conf");
    let text = fs::read_to_string(&config).unwrap();
    assert!(!daemon.log().contains("INFO"), "{}", daemon.log());

    fs::write(&config, text.replace("log_level = \"warn\"", "log_level = \"info\"\nstop_timeout = \"3s\""))
        .unwrap();
    daemon.signal(SIGHUP);
    wait_for("the log to say more", || daemon.log().contains("`log_level` has changed").then_some(()));
    wait_for("what needs a restart", || {
        daemon.log().contains("`stop_timeout` has changed, which needs").then_some(())
    });

    fs::write(&config, "nonsense = 1\n").unwrap();
    daemon.signal(SIGHUP);
    wait_for("the refusal", || daemon.log().contains("the configuration stays as it was").then_some(()));
    assert!(daemon.log().contains("nonsense"));
    daemon.datagram(OGRT_0_5);
    wait_for("an event", || (daemon.lines().len() == 1).then_some(()));
}

#[test]
fn a_log_for_programs_is_json() {
    let daemon = Daemon::start("log_format = \"json\"\n");
    let log = daemon.log();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"].is_string() && entry["message"].is_string(), "{line}");
    }
}

/// What `systemd-analyze` says of a unit, and whether it is content.
fn analyze(arguments: &[&str], folder: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).current_dir(folder).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return needs("systemd-analyze (Debian: systemd)");
    }
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    fs::create_dir(folder.join("bin")).unwrap();
    std::os::unix::fs::symlink(SERVER, folder.join("bin/ogrt-server")).unwrap();
    let put = |name: &str, text: &str| {
        fs::write(folder.join(name), text.replace("@PREFIX@", folder.to_str().unwrap())).unwrap();
    };
    let service = include_str!("../../systemd/ogrt-server.service");
    let socket = include_str!("../../systemd/ogrt-server.socket");
    put("ogrt-server.service", service);
    put("ogrt-server.socket", socket);
    put("ogrt-report.service", include_str!("../../systemd/ogrt-report.service"));
    put("ogrt-report.timer", include_str!("../../systemd/ogrt-report.timer"));
    let monthly = folder.join("share/ogrt/report");
    fs::create_dir_all(&monthly).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("report/monthly");
    fs::copy(script, monthly.join("monthly")).unwrap();
    let verify = || {
        let units =
            ["./ogrt-server.service", "./ogrt-server.socket", "./ogrt-report.service", "./ogrt-report.timer"];
        let (is_good, said) = analyze(&[&["verify", "--man=no"][..], &units].concat(), folder);
        // Of units that the machine itself has we say nothing.
        let said = said.lines().filter(|line| line.contains("ogrt")).collect::<Vec<_>>().join("\n");
        (is_good, said)
    };
    assert_eq!(verify(), (true, String::new()));
    // Exposure at most 1.5 of 10: who takes over the server has gained little.
    let sandbox = ["security", "--offline=true", "--threshold=15", "./ogrt-server.service"];
    assert!(analyze(&sandbox, folder).0, "the sandbox has become weaker");

    // Both would say so.
    put("ogrt-server.service", &service.replace("ProtectSystem=strict", "ProtectSystm=strict"));
    assert!(verify().1.contains("ProtectSystm"), "{:?}", verify());
    put("ogrt-server.service", &service.replace("CapabilityBoundingSet=\n", ""));
    assert!(!analyze(&sandbox, folder).0);
}

#[test]
fn the_socket_unit_opens_what_the_server_listens_on_by_default() {
    let config = Command::new(SERVER).arg("print-default-config").output().unwrap().stdout;
    let config = String::from_utf8(config).unwrap();
    let socket = include_str!("../../systemd/ogrt-server.socket");
    let addresses: Vec<&str> =
        socket.lines().filter_map(|line| line.strip_prefix("Listen")?.split_once('=')).map(|l| l.1).collect();
    assert_eq!(addresses.len(), 5);
    for address in addresses {
        let address = address.trim_end_matches(".dgram");
        assert!(config.contains(&format!("\"{address}\"")), "{address} is not in the default configuration");
    }
}

/// Everything below `path` that others may read, write or pass, sockets apart.
fn open_to_others(path: &Path, open: &mut Vec<String>) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let Ok(file) = fs::symlink_metadata(path) else { return };
    if !file.file_type().is_socket() && file.mode() & 0o077 != 0 {
        open.push(format!("{} {:o}", path.display(), file.mode() & 0o777));
    }
    if file.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| open_to_others(&entry.path(), open));
    }
}

#[test]
fn nobody_else_reads_what_the_server_writes_whatever_the_umask() {
    for (more, group) in [("", false), ("[access]\nfiles = \"group\"\n", true)] {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0; exec \"$0\" \"$@\"", SERVER]);
        let daemon = Daemon::start_by(command, tempfile::tempdir().unwrap(), more);
        daemon.datagram(OGRT_0_5);
        wait_for("an event", || (daemon.lines().len() == 1).then_some(()));
        let mut open = Vec::new();
        for written in ["data", "jobs", "lines"] {
            open_to_others(&daemon.path().join(written), &mut open);
        }
        assert!(open.iter().all(|file| file.ends_with('0')), "{open:?}");
        assert_eq!(open.is_empty(), !group, "{open:?}");
    }
}

#[test]
fn nobody_else_reads_a_closed_file_a_token_or_a_backup_whatever_the_umask() {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", SERVER]);
    let directory = tempfile::tempdir().unwrap();
    let rotated = directory.path().join("rotated");
    let more = format!(
        "[outputs.rotated]\ntype = \"file\"\npath = \"{}\"\nrotate_every = \"1s\"\n",
        rotated.display()
    );
    let daemon = Daemon::start_by(command, directory, &more);
    let closed = |extension: &str| {
        let files = fs::read_dir(&rotated).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|end| end == extension)).count()
    };
    wait_for("a packed file", || {
        daemon.datagram(OGRT_0_5);
        (closed("gz") >= 1).then_some(())
    });
    let config = daemon.path().join("ogrt.conf");
    let run = |arguments: &str| {
        let command = format!("umask 0; exec \"$0\" --config \"$1\" {arguments}");
        let done = Command::new("sh").args(["-c", &command, SERVER]).arg(&config).output().unwrap();
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run("token add somebody");
    run(&format!("backup {}", daemon.path().join("backup").display()));
    let mut open = Vec::new();
    for written in ["data", "rotated", "backup"] {
        assert!(daemon.path().join(written).exists(), "{written}");
        open_to_others(&daemon.path().join(written), &mut open);
    }
    assert!(open.is_empty(), "{open:?}");
}
