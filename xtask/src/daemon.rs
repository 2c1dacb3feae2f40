//! A running ogrt-server of our own: free loopback ports, its data in a scratch folder, ended when dropped.

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

/// How long the server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// The server and where it listens.
#[derive(Debug)]
pub struct Daemon {
    group: Group,
    /// `unix:/path`, for OGRT_SERVER.
    pub unix: String,
    /// `127.0.0.1:port`, for OGRT_SERVER of libogrt.so.
    pub udp: String,
    /// `127.0.0.1:port`, for OGRT_SERVER of the wrappers.
    pub tcp: String,
    /// `http://127.0.0.1:port`, for OGRT_HTTP.
    pub http: String,
    /// Where the `file` output writes.
    pub output: PathBuf,
    log: PathBuf,
}

/// The ports of a server that is to be started; 0 for any.
#[derive(Clone, Debug)]
pub struct Ports {
    /// UDP and TCP.
    pub listen: String,
    /// The HTTP API.
    pub http: String,
}

impl Default for Ports {
    fn default() -> Self {
        Ports { listen: "127.0.0.1:0".into(), http: "127.0.0.1:0".into() }
    }
}

impl Ports {
    /// A port that is free for UDP and TCP alike, for clients that know only one address.
    pub fn one_for_both() -> Result<Ports> {
        loop {
            let tcp = TcpListener::bind("127.0.0.1:0").context("no free port")?;
            let address = tcp.local_addr().context("no free port")?;
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

    /// The same with further tables in its configuration.
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
                .with_context(|| format!("{}: no {key}", ready.display()))
        };
        Ok(Daemon {
            unix: format!("unix:{}", address("unix")?.trim_start_matches("unix:")),
            udp: address("udp")?,
            tcp: address("tcp")?,
            http: format!("http://{}", address("http")?.trim_start_matches("http://")),
            group,
            output,
            log,
        })
    }

    /// The ports in use, to start another server on them later.
    pub fn ports(&self) -> Ports {
        Ports { listen: self.tcp.clone(), http: self.http.trim_start_matches("http://").to_owned() }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.group.leader().try_wait().is_ok_and(|status| status.is_none())
    }

    /// Its process, for what /proc tells of it.
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
    let (unix, data) = (folder.join("ogrt.sock"), folder.join("data"));
    format!(
        "listen = {listen:?}\nunix = {unix:?}\nhttp = {http:?}\ndata_dir = {data:?}\n\
         [outputs.local]\ntype = \"file\"\nlayout = \"lines\"\npath = {output:?}\n"
    )
}

fn wait_until_ready(group: &mut Group, ready: &Path, log: &Path) -> Result<Value> {
    let deadline = Instant::now() + START;
    loop {
        // Half a file is not JSON yet; the next look finds the rest.
        if let Some(addresses) = fs::read(ready).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(addresses);
        }
        let ended = group.leader().try_wait().context("ogrt-server")?;
        if ended.is_some() || Instant::now() > deadline {
            let fate = ended.map_or("does not listen".to_owned(), |status| format!("ended: {status}"));
            bail!("ogrt-server {fate}\n{}", fs::read_to_string(log).unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
