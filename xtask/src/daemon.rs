//! A running ogrt-server of our own, on free loopback ports, with its data in a scratch folder.

use crate::cleanup::Group;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    fs::{self, File},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The longest time until the server listens.
const START: Duration = Duration::from_secs(20);

/// The server and its addresses. It ends when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    group: Group,
    /// Its Unix socket, as OGRT_SERVER takes it: `unix:/path`.
    pub unix: String,
    /// Its UDP port, for OGRT_SERVER of libogrt.so: `127.0.0.1:port`.
    pub udp: String,
    /// Its TCP port, for OGRT_SERVER of the wrappers: `127.0.0.1:port`.
    pub tcp: String,
    /// Its HTTP API, for OGRT_HTTP: `http://127.0.0.1:port`.
    pub http: String,
    /// Its socket for ogrt-observe.
    pub observe: PathBuf,
    /// The folder that the `file` output writes to.
    pub output: PathBuf,
    log: PathBuf,
}

/// The addresses that a server is to listen on; port 0 takes any free port.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The address for UDP and TCP.
    pub listen: String,
    /// The address of the HTTP API.
    pub http: String,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { listen: "127.0.0.1:0".into(), http: "127.0.0.1:0".into() }
    }
}

impl Ports {
    /// A port that is free for UDP and TCP alike, for clients that are given one address.
    pub fn one_for_both() -> Result<Ports> {
        loop {
            let tcp = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
            let address = tcp.local_addr().context("no free port on 127.0.0.1")?;
            if UdpSocket::bind(address).is_ok() {
                return Ok(Ports { listen: address.to_string(), ..Ports::default() });
            }
        }
    }
}

impl Daemon {
    /// Starts `program` with all of its files in `folder`, and waits until it listens.
    pub fn start(program: &Path, folder: &Path, ports: &Ports) -> Result<Daemon> {
        Daemon::start_with(program, folder, ports, "")
    }

    /// Does the same with `more` at the end of its configuration.
    pub fn start_with(program: &Path, folder: &Path, ports: &Ports, more: &str) -> Result<Daemon> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let (config, ready, log) =
            (folder.join("ogrt.conf"), folder.join("ready.json"), folder.join("server.log"));
        let output = folder.join("output");
        fs::write(&config, configuration(folder, &output, ports) + more)
            .with_context(|| config.display().to_string())?;
        let _ = fs::remove_file(&ready);
        let log_file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).arg("--ready-file").arg(&ready);
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
        let mut group = Group::spawn(&mut command)?;
        let addresses = wait_until_ready(&mut group, &ready, &log)?;
        let address = |key: &str| {
            addresses[key]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("{}: the address `{key}` is missing", ready.display()))
        };
        Ok(Daemon {
            unix: format!("unix:{}", address("unix")?.trim_start_matches("unix:")),
            udp: address("udp")?,
            tcp: address("tcp")?,
            http: format!("http://{}", address("http")?.trim_start_matches("http://")),
            observe: observe_socket(folder),
            group,
            output,
            log,
        })
    }

    /// The ports in use, so that another server can be started on them later.
    pub fn ports(&self) -> Ports {
        Ports { listen: self.tcp.clone(), http: self.http.trim_start_matches("http://").to_owned() }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.group.leader().try_wait().is_ok_and(|status| status.is_none())
    }

    /// Its process id.
    pub fn pid(&mut self) -> u32 {
        self.group.leader().id()
    }

    /// Stops it, as dropping it does.
    pub fn stop(self) {
        self.group.end();
    }
}

fn configuration(folder: &Path, output: &Path, ports: &Ports) -> String {
    let Ports { listen, http } = ports;
    let (unix, observe, data) = (folder.join("ogrt.sock"), observe_socket(folder), folder.join("data"));
    format!(
        "listen = {listen:?}\nunix = {unix:?}\nobserve = {observe:?}\nhttp = {http:?}\ndata_dir = {data:?}\n\
         [outputs.local]\ntype = \"file\"\nlayout = \"lines\"\npath = {output:?}\n"
    )
}

fn observe_socket(folder: &Path) -> PathBuf {
    folder.join("observe.sock")
}

fn wait_until_ready(group: &mut Group, ready: &Path, log: &Path) -> Result<Value> {
    let deadline = Instant::now() + START;
    loop {
        // Half a file is not JSON; the next look finds the rest.
        if let Some(addresses) = fs::read(ready).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(addresses);
        }
        let ended = group.leader().try_wait().context("cannot wait for ogrt-server")?;
        if ended.is_some() || Instant::now() > deadline {
            let fate = ended.map_or(format!("does not listen after {} s", START.as_secs()), |status| {
                format!("ended: {status}")
            });
            bail!("ogrt-server {fate}\n{}", fs::read_to_string(log).unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
