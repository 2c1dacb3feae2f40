//! The real server in a child process, with ports of its own and a directory that goes with it.

use bytes::BytesMut;
use ogrt_proto::{Ack, BuildRecord, FRAME_MAX, Hello, MessageType, decode_frame, encode_frame};
use prost::Message;
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The datagram of OGRT 0.5's own client.
pub const OGRT_0_5: &[u8] = include_bytes!("../../../proto/tests/data/ogrt-0.5-processinfo.bin");

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of an output that writes nothing.
pub const WITHOUT_FILES: &str = "[outputs.nothing]\ntype = \"null\"\n";

/// The program.
pub const SERVER: &str = env!("CARGO_BIN_EXE_ogrt-server");

pub struct Daemon {
    child: Child,
    pub directory: TempDir,
    pub udp: String,
    pub tcp: String,
    pub http: String,
    /// The address for TLS, where that is configured.
    pub tls: String,
    pub https: String,
    pub unix: PathBuf,
}

impl Daemon {
    /// Starts one with layout `jobs` and layout `lines`, and `more` at the end of the
    /// configuration.
    pub fn start(more: &str) -> Self {
        Daemon::start_in(tempfile::tempdir().unwrap(), more)
    }

    /// Starts one in a directory where another may have run before.
    pub fn start_in(directory: TempDir, more: &str) -> Self {
        Daemon::start_with(directory, more, &[])
    }

    /// Starts one with these further variables. OGRT_TEST_SERVER may name another program to test.
    pub fn start_with(directory: TempDir, more: &str, environment: &[(&str, &OsStr)]) -> Self {
        let mut command = Daemon::command();
        command.envs(environment.iter().copied());
        Daemon::start_by(command, directory, more)
    }

    /// Starts one that writes no files of outputs.
    pub fn start_without_files(more: &str) -> Self {
        let (mut command, directory) = (Daemon::command(), tempfile::tempdir().unwrap());
        Daemon::start_on(&mut command, directory, more, WITHOUT_FILES)
    }

    /// The command of the program that is tested.
    pub fn command() -> Command {
        Command::new(std::env::var_os("OGRT_TEST_SERVER").unwrap_or_else(|| SERVER.into()))
    }

    /// Starts one by a command that runs [`SERVER`] with the arguments that it gets. With
    /// [`WITHOUT_FILES`] in `more` it writes no files of outputs.
    pub fn start_by(mut command: Command, directory: TempDir, more: &str) -> Self {
        if more.contains(WITHOUT_FILES) {
            return Daemon::start_on(&mut command, directory, more, "");
        }
        let at = directory.path().display();
        let outputs = format!(
            "[outputs.jobs]\ntype = \"file\"\nlayout = \"jobs\"\npath = \"{at}/jobs\"\n\
             [outputs.lines]\ntype = \"file\"\nlayout = \"lines\"\npath = \"{at}/lines\"\n\
             [outputs.nothing]\ntype = \"null\"\n"
        );
        Daemon::start_on(&mut command, directory, more, &outputs)
    }

    fn start_on(command: &mut Command, directory: TempDir, more: &str, outputs: &str) -> Self {
        let at = directory.path();
        let config = at.join("ogrt.conf");
        // Top-level keys stand in front of the first table.
        let first_table = if more.starts_with('[') { Some(0) } else { more.find("\n[").map(|at| at + 1) };
        let (top, tables) = more.split_at(first_table.unwrap_or(more.len()));
        let listen = if top.contains("listen =") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        let text = format!(
            "{listen}http = \"127.0.0.1:0\"\nunix = \"{0}/s\"\ndata_dir = \"{0}/data\"\n{top}\n{tables}\n\
             {outputs}",
            at.display()
        );
        fs::write(&config, text).unwrap();
        let ready = at.join("ready.json");
        let _ = fs::remove_file(&ready);
        let log = fs::OpenOptions::new().create(true).append(true).open(at.join("log")).unwrap();
        let child = command
            .args(["--config".as_ref(), config.as_os_str(), "--ready-file".as_ref(), ready.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Daemon {
            child,
            directory,
            udp: String::new(),
            tcp: String::new(),
            http: String::new(),
            tls: String::new(),
            https: String::new(),
            unix: PathBuf::new(),
        };
        let addresses = wait_for("the server to be ready", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", daemon.log());
            }
            serde_json::from_str::<Value>(&fs::read_to_string(&ready).ok()?).ok()
        });
        let address = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
        (daemon.tls, daemon.https) = (address("tls"), address("https"));
        (daemon.udp, daemon.tcp, daemon.http) = (address("udp"), address("tcp"), address("http"));
        daemon.unix = address("unix").into();
        daemon
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Waits until no registration waits for the registry's database.
    pub fn registrations_are_settled(&self) {
        wait_for("registrations", || (self.metric("ogrt_registrations_waiting") == 0).then_some(()));
    }

    /// Sends one datagram.
    pub fn datagram(&self, bytes: &[u8]) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(bytes, &self.udp).unwrap();
    }

    /// A stream without Hello, closed when everything is sent.
    pub fn short_tcp(&self, bytes: &[u8]) {
        TcpStream::connect(&self.tcp).unwrap().write_all(bytes).unwrap();
    }

    /// A stream that opened with a Hello.
    pub fn acknowledged(&self) -> Acknowledged<TcpStream> {
        Acknowledged::new(TcpStream::connect(&self.tcp).unwrap())
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.http("GET", path, &[]);
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub fn http(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.http_with(method, path, "", body)
    }

    /// Makes a request with further header lines, each with its end.
    pub fn http_with(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        self.raw_http(&[head.as_bytes(), body].concat())
    }

    /// Sends a whole request as it stands.
    pub fn raw_http(&self, request: &[u8]) -> (u16, Vec<u8>) {
        let answer = self.raw_answer(request);
        let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..head_end]).into_owned();
        let mut body = answer[head_end + 4..].to_vec();
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            body = without_chunks(&body);
        }
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    /// The whole answer to a request, head and body.
    pub fn raw_answer(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// The value of a line of `/metrics`.
    pub fn metric(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.http("GET", "/metrics", &[]).1).unwrap();
        let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {line} in {text}")).parse().unwrap()
    }

    /// Documents of the `lines` output.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join("lines/events.jsonl")).unwrap_or_default();
        // The last line may be on its way.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A file of the `jobs` output; `None` if it does not exist. It is valid except at the very
    /// moment of a write, which has a second to pass.
    pub fn job_file(&self, name: &str) -> Option<Value> {
        let since = Instant::now();
        loop {
            let text = fs::read(self.path().join("jobs").join(name)).ok()?;
            match serde_json::from_slice(&text) {
                // The file is there, empty, a moment before its first process.
                Ok(job) => return Some(job).filter(|job: &Value| job["processes"] != Value::Array(vec![])),
                Err(problem) => assert!(since.elapsed() < Duration::from_secs(1), "{name}: {problem}"),
            }
        }
    }

    /// Kills the server; what it had on its disk is what this returns.
    pub fn crash(mut self) -> TempDir {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }

    /// Ends the server as a crash would, and starts it in the same place.
    pub fn crash_and_restart(self, more: &str) -> Self {
        self.crash_and_restart_with(more, &[])
    }

    /// The same, with these variables.
    pub fn crash_and_restart_with(mut self, more: &str, environment: &[(&str, &OsStr)]) -> Self {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        drop(self);
        Daemon::start_with(directory, more, environment)
    }

    /// Ends the server as a crash does, and starts another when this is done.
    pub fn crash_after(mut self, more: &str, done: impl FnOnce()) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        done();
        self.crash_and_restart(more)
    }

    /// Ends the server as an operator would; its exit status.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        wait_for("the server to stop", || self.child.try_wait().unwrap())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A body that came in chunks (RFC 9112, 7.1), put together. One that broke off is a failure.
fn without_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("the length of a chunk");
        let len = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[end + 2..end + 2 + len]);
        rest = &rest[end + 2 + len + 2..];
        if len == 0 {
            return body;
        }
    }
}

/// A stream that is told what is durable.
pub struct Acknowledged<S> {
    stream: S,
    received: BytesMut,
    durable: u64,
}

impl Acknowledged<UnixStream> {
    pub fn unix(path: &Path) -> Self {
        Acknowledged::new(UnixStream::connect(path).unwrap())
    }
}

impl<S: Read + Write> Acknowledged<S> {
    pub fn new(stream: S) -> Self {
        Acknowledged::greet(stream, &Hello::default()).unwrap()
    }

    pub fn greet(mut stream: S, hello: &Hello) -> std::io::Result<Self> {
        stream.write_all(&encode_frame(MessageType::Hello, hello))?;
        Ok(Acknowledged { stream, received: BytesMut::new(), durable: 0 })
    }

    pub fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(frame)
    }

    /// Frames that are known to be durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Waits until at least this many frames are durable, and returns their number. It fails when
    /// the server goes away.
    pub fn wait_for(&mut self, frames: u64) -> std::io::Result<u64> {
        while self.durable < frames {
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&bytes[..read]);
            while let Some(frame) = decode_frame(&mut self.received, FRAME_MAX).unwrap() {
                assert_eq!(frame.message_type(), Some(MessageType::Ack));
                self.durable = Ack::decode(frame.message).unwrap().durable_frames();
            }
        }
        Ok(self.durable)
    }
}

/// A test that cannot run says what it needs; in CI that is a failure.
pub fn needs(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this machine has no {what}");
    println!("skipped: needs {what}");
}

/// Asks again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10));
    }
}

/// A frame with a build of this name.
pub fn build(signature: u8, name: &str) -> BuildRecord {
    BuildRecord {
        signature: Some(vec![signature; 16].into()),
        metadata: Some(ogrt_proto::BuildMetadata {
            name: Some(name.into()),
            version: Some("1.2.3".into()),
            ..Default::default()
        }),
        time_ns: Some(1_700_000_000_000_000_000 + i64::from(signature)),
        hostname: Some("builder".into()),
        username: Some("easybuild".into()),
        ..Default::default()
    }
}

/// The record of [`build`] in a frame.
pub fn build_frame(signature: u8, name: &str) -> bytes::Bytes {
    encode_frame(MessageType::BuildRecord, &build(signature, name))
}
