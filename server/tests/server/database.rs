//! A real PostgreSQL in a folder of its own, without network, as an unprivileged user. It ends with
//! its last user.

use crate::daemon::wait_for;
use nix::sys::signal::Signal;
use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
};
use tempfile::TempDir;

/// `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

/// One database of a cluster.
pub struct Database {
    cluster: Arc<Cluster>,
    name: String,
}

/// The processes, and the folder.
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// Address that it listens on besides its Unix socket.
    listen: &'static str,
    running: Mutex<Option<Child>>,
}

impl Database {
    /// A database in a cluster that tests share while any of them runs. Without PostgreSQL it is
    /// `None`, and a line is printed.
    pub fn new() -> Option<Database> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let cluster = {
            let mut shared = SHARED.lock().unwrap();
            match shared.upgrade() {
                Some(cluster) => cluster,
                None => {
                    let cluster = Arc::new(Cluster::new()?);
                    *shared = Arc::downgrade(&cluster);
                    cluster
                }
            }
        };
        Some(Database::within(cluster))
    }

    /// A database in a cluster of its own, which may be stopped.
    pub fn alone() -> Option<Database> {
        Some(Database::within(Arc::new(Cluster::new()?)))
    }

    fn within(cluster: Arc<Cluster>) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ogrt{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let host = cluster.folder.path().to_str().unwrap();
        let made = cluster.program("createdb").args(["-h", host, "-U", "ogrt", &name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Database { cluster, name }
    }

    /// A database that also listens on loopback for clients with TLS. Its certificate is `ca.pem`
    /// in its folder.
    pub fn encrypted() -> Option<Database> {
        let mut cluster = Cluster::make()?;
        cluster.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        cluster.listen = "127.0.0.1";
        let folder = cluster.folder.path();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
        fs::write(folder.join("data/server.crt"), made.cert.pem()).unwrap();
        let key = folder.join("data/server.key");
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(&key, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        fs::write(folder.join("data/pg_hba.conf"), access).unwrap();
        fs::write(folder.join("data/postgresql.auto.conf"), "ssl = on\n").unwrap();
        cluster.start();
        Some(Database::within(Arc::new(cluster)))
    }

    /// A value for `registry.url` that leads over TCP.
    pub fn url_over_tcp(&self, sslmode: &str) -> String {
        format!("postgresql://ogrt@127.0.0.1:{}/{}?sslmode={sslmode}", self.cluster.port, self.name)
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.cluster.folder.path()
    }

    /// Runs statements and returns their output.
    pub fn execute(&self, sql: &str) -> String {
        let host = self.cluster.folder.path().to_str().unwrap();
        let mut psql = self.cluster.program("psql");
        psql.args(["-h", host, "-U", "ogrt", "-d", &self.name, "-v", "ON_ERROR_STOP=1", "-qtAc", sql]);
        let said = psql.output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    /// A value for `registry.url`.
    pub fn url(&self) -> String {
        format!("host={} user=ogrt dbname={}", self.cluster.folder.path().display(), self.name)
    }

    /// Ends all its processes at once, as when its machine goes down.
    pub fn goes_away(&self) {
        if let Some(mut child) = self.cluster.running.lock().unwrap().take() {
            self.cluster.signal(&child, Signal::SIGKILL);
            child.wait().unwrap();
        }
    }

    /// Starts it again.
    pub fn comes_back(&self) {
        self.cluster.start();
    }

    /// Stops all its processes, or lets them go on.
    pub fn hangs(&self, does: bool) {
        let running = self.cluster.running.lock().unwrap();
        let signal = if does { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.cluster.signal(running.as_ref().expect("it runs"), signal);
    }
}

impl Cluster {
    fn new() -> Option<Cluster> {
        let cluster = Cluster::make()?;
        cluster.start();
        Some(cluster)
    }

    /// A cluster that is not started yet.
    fn make() -> Option<Cluster> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "needs initdb (Debian: postgresql)");
            eprintln!("skipped: needs initdb (Debian: postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let cluster = Cluster { programs, folder, port: 5432, listen: "", running: Mutex::new(None) };
        let made = cluster
            .program("initdb")
            .args(["--auth=trust", "--username=ogrt", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.folder.path().join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(cluster)
    }

    fn start(&self) {
        let folder = self.folder.path();
        // What was killed leaves its marks, and the next would believe that it still runs.
        let _ = fs::remove_file(folder.join("data/postmaster.pid"));
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-c", &format!("listen_addresses={}", self.listen), "-c", &format!("port={}", self.port)])
            .args(["-c", "fsync=off", "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        *self.running.lock().unwrap() = Some(child);
        wait_for("PostgreSQL to be ready", || {
            let ready = self.program("pg_isready").arg("-q").arg("-h").arg(folder).status().unwrap();
            ready.success().then_some(())
        });
    }

    fn signal(&self, child: &Child, signal: Signal) {
        // Its processes make groups of their own, so each is told.
        for pid in with_children(child.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.folder.path()).env("LC_ALL", "C").env("PGPORT", self.port.to_string());
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.lock().unwrap().take() {
            self.signal(&child, Signal::SIGCONT);
            // An immediate shutdown: it ends its own processes.
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            let _ = nix::sys::signal::kill(pid, Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}

/// A process and those that it started.
fn with_children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
}

/// The folder of PostgreSQL's programs. Debian has one for each version, none of them on PATH.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    versions.extend(std::env::split_paths(&on_path));
    versions.into_iter().find(|folder| is_complete(folder))
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres", "createdb", "pg_isready", "psql"].iter().all(|name| folder.join(name).exists())
}
