//! A server with a site in a box that stays: it is filled, started, and runs until it is
//! interrupted.

use crate::{
    child,
    cleanup::Scratch,
    daemon::{Daemon, Ports},
    machine::{SITE_TOOLS, install_tools},
    programs::Built,
    site::Site,
    site_in_a_box::{Filler, JOBS},
    stack,
    steps::Steps,
    workspace::Workspace,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// The port where `ogrt` asks if OGRT_HTTP is not set.
const USUAL_PORT: u16 = 7972;

/// The job in which the programs of docs/questions.md run.
const STACK_JOB: &str = "4700";

/// Options of the server that stays.
#[derive(Args)]
pub struct KeptSite {
    /// The port of its HTTP API: 7972, or any free one if that is in use.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// How many jobs the site has. Each has seven processes on average.
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: u64,
    /// Keep the site in DIR. If DIR holds one already, it is started as it is.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl KeptSite {
    /// The steps of [`KeptSite::run`].
    pub const STEPS: usize = 4;

    /// Fills a server and runs it until this process is interrupted.
    pub fn run(
        &self,
        workspace: &Workspace,
        scratch: &Scratch,
        prefix: &Path,
        built: &Built,
        steps: &mut Steps,
    ) -> Result<()> {
        let folder = match &self.folder {
            Some(folder) => std::path::absolute(folder).with_context(|| folder.display().to_string())?,
            None => scratch.folder("site")?,
        };
        let server_folder = folder.join("server");
        fs::create_dir_all(&server_folder).with_context(|| server_folder.display().to_string())?;
        let (data, facts) = (server_folder.join("data"), folder.join("site.json"));
        steps.step("tools of the site in a box", |step| install_tools(step, SITE_TOOLS))?;
        let filler = steps.step("build what fills the server", |step| {
            Filler::build(workspace, built.profile(), |command| step.run(command))
        })?;
        let title = format!("14 months of a site: {} jobs", self.jobs);
        let told: Value = steps.step(&title, |step| match fs::read(&facts) {
            Ok(known) => {
                step.say(&format!("{} holds a site already", folder.display()));
                serde_json::from_slice(&known).with_context(|| facts.display().to_string())
            }
            Err(_) if data.exists() => {
                bail!("{} has data of a server, and no whole site. Name an empty folder", folder.display())
            }
            Err(_) => {
                let told = filler.fill(&data, self.jobs)?;
                fs::write(&facts, told.to_string()).with_context(|| facts.display().to_string())?;
                Ok(told)
            }
        })?;
        let program = prefix.join("bin/ogrt-server");
        let token = folder.join("operator.token");
        if !token.exists() {
            let mut add = Command::new(&program);
            add.arg("--data-dir").arg(&data);
            add.args(["token", "add", "operator", "--scope", "register,read,administer"]);
            fs::write(&token, child::capture(&mut add)?).with_context(|| token.display().to_string())?;
        }
        let ports = Ports { http: format!("127.0.0.1:{}", self.port()), ..Ports::default() };
        let mut server = Daemon::start(&program, &server_folder, &ports)?;
        let site = Site::new(prefix, &server, &scratch.folder("site-spool")?)?;
        let stack = folder.join("stack");
        steps.step("build the programs of docs/questions.md", |_| {
            match stack.join("patched/solver").exists() {
                true => Ok(()),
                false => stack::build_and_run(&site, &stack, STACK_JOB),
            }
        })?;
        print!("{}", self.welcome(&server, &folder, prefix, &told));
        while server.is_running() {
            thread::sleep(Duration::from_millis(200));
        }
        bail!("the server ended by itself:\n{}", server.log())
    }

    fn port(&self) -> u16 {
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        self.port.unwrap_or_else(|| Some(USUAL_PORT).filter(is_free).unwrap_or(0))
    }

    /// What a person needs, to ask the server.
    fn welcome(&self, server: &Daemon, folder: &Path, prefix: &Path, told: &Value) -> String {
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        let (http, folder_text, bin) = (&server.http, folder.display(), prefix.join("bin"));
        let end = if self.folder.is_some() { "it stays" } else { "it is deleted at the end" };
        let [old, new] = [0, 1].map(|index| told["two_builds"][index].as_str().unwrap_or_default());
        format!(
            "\nA site in a box runs: {} processes of {} jobs in 14 months, until now.\n\n\
             \x20 address   {http}\n\
             \x20 folder    {folder_text} ({end})\n\n\
             In another terminal:\n\n\
             \x20 export OGRT_HTTP={http} PATH={}:$PATH\n\
             \x20 export OGRT_TOKEN_FILE={folder_text}/operator.token\n\
             \x20 cd {folder_text}/stack\n\n\
             Then, for example:\n\n\
             \x20 ogrt report --by software --since 30d\n\
             \x20 ogrt report --by user,account --where software=GROMACS\n\
             \x20 ogrt job alpha/{}        # rank 3 of GROMACS was ended by a signal\n\
             \x20 ogrt job {}              # memory was short\n\
             \x20 ogrt job {}              # {} ranks\n\
             \x20 ogrt job {}_7              # task 7 of an array\n\
             \x20 ogrt jobs --state failed,killed,oom --since 7d\n\
             \x20 ogrt uses {} --version '<{}'\n\
             \x20 ogrt dependents {}\n\
             \x20 ogrt diff {old} {new}\n\
             \x20 ogrt unregistered --under /home/\n\
             \x20 ogrt uses libsum.a         # of docs/questions.md, whose programs are in this folder\n\n\
             Ctrl-C ends it, or: kill {}\n",
            told["processes"],
            told["jobs"],
            bin.display(),
            text("failed_job"),
            text("out_of_memory_job"),
            text("large_job"),
            told["large_job_ranks"],
            text("array"),
            text("old_library"),
            text("old_library_version_below"),
            text("contained_library"),
            std::process::id(),
        )
    }
}
