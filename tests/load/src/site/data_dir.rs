//! A data directory that holds a site: a server of its own fills it, and ends.

use super::{Addresses, FakeClock, Filling, Site};
use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The time until a server listens, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

const TOKEN: &str = "site";

/// Fills `data_dir` with the site. Any ogrt-server can start with it afterwards.
///
/// `program` is an ogrt-server that is linked with the dynamic loader: it is shown the time of
/// each event. `folder` is for its configuration and its socket.
pub fn fill_data_dir(program: &Path, data_dir: &Path, folder: &Path, site: &Site) -> Result<()> {
    fs::create_dir_all(data_dir).with_context(|| data_dir.display().to_string())?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let clock = FakeClock::new(&folder.join("clock"))?;
    let scopes = "register,relay,administer";
    let token = command(program, data_dir, &["token", "add", TOKEN, "--scope", scopes])?;
    Filling::begin(site, &clock)?;
    let mut server = Server::start(program, data_dir, folder, &clock)?;
    let filling = Filling { site, server: server.addresses.clone(), token, clock: &clock };
    filling.run().with_context(|| format!("the server's log: {}", server.log(folder)))?;
    server.stop()?;
    command(program, data_dir, &["token", "remove", TOKEN]).map(drop)
}

fn command(program: &Path, data_dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).arg("--data-dir").arg(data_dir).args(arguments).output();
    let output = output.with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A server that runs by a clock. It ends when this is dropped.
struct Server {
    child: Child,
    addresses: Addresses,
}

impl Server {
    fn start(program: &Path, data_dir: &Path, folder: &Path, clock: &FakeClock) -> Result<Self> {
        let (config, ready) = (folder.join("ogrt.conf"), folder.join("ready.json"));
        let text = format!(
            "listen = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nunix = {:?}\ndata_dir = {data_dir:?}\n\
             [outputs.nothing]\ntype = \"null\"\n",
            folder.join("s")
        );
        fs::write(&config, text).with_context(|| config.display().to_string())?;
        let _ = fs::remove_file(&ready);
        let log = File::create(folder.join("log"))?;
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .envs(clock.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut server = Server { child, addresses: Addresses { tcp: String::new(), http: String::new() } };
        let since = Instant::now();
        loop {
            // Half a file is not JSON; the next look finds the rest.
            let text = fs::read(&ready).unwrap_or_default();
            if let Ok(addresses) = serde_json::from_slice::<Value>(&text) {
                let of = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
                server.addresses = Addresses { tcp: of("tcp"), http: of("http") };
                return Ok(server);
            }
            if since.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                bail!("the server does not listen: {}", server.log(folder));
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn log(&self, folder: &Path) -> String {
        fs::read_to_string(folder.join("log")).unwrap_or_default()
    }

    /// Ends it as an operator would.
    fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM)?;
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(since.elapsed() < PATIENCE, "the server does not stop");
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
