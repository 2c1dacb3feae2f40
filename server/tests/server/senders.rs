//! Senders of events that are processes of other users, so that the kernel says who they are.
//!
//! A sender is a small script, which sends what it is told to and says when that is done.

use bytes::Bytes;
use ogrt_proto::{Hello, MessageType, encode_frame};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const SCRIPT: &str = r#"
import os, socket, sys
print(os.getpid(), flush=True)
for line in sys.stdin:
    way, path, data = line.split()
    data = bytes.fromhex(data)
    if way == "datagram":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.sendto(data, path + ".dgram")
    else:
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.sendall(data)
        if way == "greeted":
            while s.recv(4096): pass
    s.close()
    print("done", flush=True)
"#;

/// The way in which frames go to a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One datagram.
    Datagram,
    /// A stream that is closed at once.
    Stream,
    /// A stream with a Hello.
    Greeted,
    /// A stream whose Hello says that the events are others'.
    PassedOn,
}

/// See the module.
pub struct UserProcess {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub pid: u32,
}

impl UserProcess {
    /// A process of this user; `None` where we may not make one, or there is no python3.
    pub fn start(uid: u32) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        if uid != nix::unistd::geteuid().as_raw() {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().ok()?;
        let (to, mut from) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let pid = line.trim().parse().ok()?;
        Some(UserProcess { child, to, from, pid })
    }

    /// Sends frames to the server at this socket.
    pub fn send(&mut self, socket: &Path, way: Way, frames: &[Bytes]) {
        let hello = |passes_on: bool| {
            let hello = Hello {
                frames: Some(frames.len() as u64),
                passes_on: passes_on.then_some(true),
                ..Hello::default()
            };
            encode_frame(MessageType::Hello, &hello)
        };
        let (name, hello) = match way {
            Way::Datagram => ("datagram", Bytes::new()),
            Way::Stream => ("stream", Bytes::new()),
            Way::Greeted => ("greeted", hello(false)),
            Way::PassedOn => ("greeted", hello(true)),
        };
        let data: String = [&hello]
            .into_iter()
            .chain(frames)
            .flat_map(|frame| frame.iter())
            .map(|b| format!("{b:02x}"))
            .collect();
        writeln!(self.to, "{name} {} {data}", socket.display()).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }
}

impl Drop for UserProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets all users reach the sockets of a server.
pub fn open_to_all(directory: &Path, socket: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [socket.to_owned(), format!("{}.dgram", socket.display()).into()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    }
}
