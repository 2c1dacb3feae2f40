//! All installed programs together: a prefix, a server, jobs, and questions about them.
//!
//! Each test has a site of its own: a scratch folder, a server on free loopback ports, and a spool.
//! All share one installation.

pub mod bare_machine;
pub mod document_lines;
pub mod documented_machine;
pub mod http;
pub mod observer;
pub mod validators;

use anyhow::Result;
use serde_json::Value;
use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};
use xtask::{
    child,
    cleanup::{self, Scratch},
    daemon::{Daemon, Ports},
    site::Site,
    suite::PREFIX_VARIABLE,
    workspace::Workspace,
};

/// The longest wait for an answer: the join waits up to 5 s, and a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// The prefix of the installed programs: given by `cargo xtask test`, or made here by
/// `cargo xtask install`.
static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os(PREFIX_VARIABLE) {
    Some(prefix) => prefix.into(),
    None => install().unwrap_or_else(|error| panic!("cargo xtask install: {error:#}")),
});

/// The prefix that all tests share.
pub fn prefix() -> &'static Path {
    &PREFIX
}

fn install() -> Result<PathBuf> {
    let workspace = Workspace::find()?;
    // It is kept between runs, in cargo's folder: only what has changed is built again.
    let prefix = workspace.target.join("end-to-end");
    child::run(workspace.cargo(&["xtask", "install", "--prefix"]).arg(&prefix), &mut |_| {})?;
    Ok(prefix)
}

/// One test's site.
pub struct Stage {
    /// Its commands.
    pub site: Site,
    /// Its server; `None` while it is stopped.
    pub server: Option<Daemon>,
    ports: Ports,
    tables: &'static str,
    scratch: Scratch,
}

impl Stage {
    /// A site with a running server.
    pub fn new() -> Stage {
        Stage::with_tables("")
    }

    /// A site with `more` at the end of its server's configuration.
    pub fn with_tables(tables: &'static str) -> Stage {
        Stage::begin(tables, |_| {})
    }

    /// A site whose server starts with a data directory that is filled before.
    pub fn filled(fill: impl FnOnce(&Path)) -> Stage {
        Stage::begin("", fill)
    }

    fn begin(tables: &'static str, fill: impl FnOnce(&Path)) -> Stage {
        static SIGNALS: LazyLock<()> = LazyLock::new(|| cleanup::on_interrupt().expect("signals"));
        LazyLock::force(&SIGNALS);
        let scratch = Scratch::new().unwrap();
        fill(&scratch.path().join("server/data"));
        let server = start(&scratch, &Ports::default(), tables);
        let site = Site::new(&PREFIX, &server, &scratch.path().join("spool")).unwrap();
        Stage { site, ports: server.ports(), tables, server: Some(server), scratch }
    }

    /// Stops the server.
    pub fn stop_server(&mut self) {
        self.server.take().expect("a running server").stop();
    }

    /// Starts the server again with the same ports, socket and data.
    pub fn start_server(&mut self) {
        self.server = Some(start(&self.scratch, &self.ports, self.tables));
    }

    /// A new token with these options of `ogrt-server token add`, in a file for OGRT_TOKEN_FILE.
    pub fn token_file(&self, options: &[&str]) -> PathBuf {
        let mut command = self.command("ogrt-server");
        command.arg("--data-dir").arg(self.folder().join("server/data"));
        let made = see(command.args(["token", "add", "operator"]).args(options));
        assert!(made.status.success(), "{}", text(&made.stderr));
        let file = self.folder().join("token");
        fs::write(&file, made.stdout).unwrap();
        file
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// The prefix of the installed programs.
    pub fn prefix(&self) -> &Path {
        &PREFIX
    }

    /// Files that wait in the spool.
    pub fn spooled(&self) -> usize {
        let files = fs::read_dir(self.scratch.path().join("spool")).into_iter().flatten();
        files
            .filter(|file| {
                file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|e| e == "frames"))
            })
            .count()
    }

    /// Writes a C program that prints `text`, and returns the name of its source.
    pub fn source(&self, name: &str, text: &str) -> String {
        let source = format!("{name}.c");
        let program = format!("#include <stdio.h>\nint main(void) {{ puts(\"{text}\"); return 0; }}\n");
        fs::write(self.folder().join(&source), program).unwrap();
        source
    }

    /// Links a program by the wrapper and returns its path.
    pub fn link(&self, name: &str) -> PathBuf {
        let source = self.source(name, name);
        let output = see(self.command("ogrt-cc").args(["gcc", &source, "-o", name]));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "linking {name}");
        self.folder().join(name)
    }

    /// A command in the test's folder.
    pub fn command(&self, program: &str) -> Command {
        // The path is found here: Command would search this process's PATH.
        let installed = PREFIX.join("bin").join(program);
        let program =
            if installed.exists() { installed.to_string_lossy().into_owned() } else { program.to_owned() };
        self.site.command(&program, self.folder())
    }

    /// Runs a program tracked, as part of a job.
    pub fn run_in_job(&self, job_id: &str, program: &Path) {
        let mut command = self.site.ogrt(&["run", "--"]);
        let output = see(command.arg(program).current_dir(self.folder()).env("JOBID", job_id));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }

    /// The first signature in a file.
    pub fn signature(&self, file: &Path) -> String {
        let output = see(self.site.ogrt(&["show", "--json"]).arg(file));
        let files: Value = serde_json::from_slice(&output.stdout).unwrap();
        files[0]["watermarks"][0]["signature"]
            .as_str()
            .unwrap_or_else(|| panic!("no signature: {files}"))
            .to_owned()
    }

    /// The job's document, as soon as `complete` accepts it.
    pub fn job(&self, job_id: &str, complete: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = see(&mut self.site.ogrt(&["job", "--json", job_id]));
            let job = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            if complete(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "job {job_id}: {job}\n{}", text(&output.stderr));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Stage::new()
    }
}

fn start(scratch: &Scratch, ports: &Ports, tables: &str) -> Daemon {
    Daemon::start_with(&PREFIX.join("bin/ogrt-server"), &scratch.path().join("server"), ports, tables)
        .unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs a command to its end.
///
/// A program that a test has just written may be busy for a moment: a process that another test
/// forks meanwhile has the file open until its own exec.
pub fn see(command: &mut Command) -> Output {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < patience => {
                thread::sleep(Duration::from_millis(10));
            }
            output => return output.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    }
}

/// The output of a command.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
