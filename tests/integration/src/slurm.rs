//! A real Slurm of one node, in a folder of its own: munged, slurmctld and slurmd as root, without
//! systemd or cgroups.

use crate::needs;
use ogrt_end_to_end::{Stage, see, text};
use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use xtask::cleanup::Group;

const MUNGED: &str = "/usr/sbin/munged";
const SLURMCTLD: &str = "/usr/sbin/slurmctld";
const SLURMD: &str = "/usr/sbin/slurmd";

/// The longest wait until the node is idle, or until a job has ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// The programs that Slurm needs.
pub fn has_all() -> bool {
    needs::has(&["bash", "sbatch", MUNGED, SLURMCTLD, SLURMD], true)
}

/// The cluster. Its daemons end when this is dropped.
pub struct Slurm<'a> {
    stage: &'a Stage,
    folder: PathBuf,
    configuration: PathBuf,
    /// The daemons, in the order in which they end.
    _daemons: [Group; 3],
}

/// A job that has ended.
#[derive(Debug)]
pub struct Job {
    /// Its id, as Slurm prints it.
    pub id: String,
    /// Its output and errors.
    pub output: String,
}

impl<'a> Slurm<'a> {
    /// Starts one node with this many processors, whether the machine has them or not, and with the
    /// TaskProlog and the Epilog that OGRT installs.
    pub fn start(stage: &'a Stage, processors: usize) -> Self {
        let folder = stage.folder().join("slurm");
        for name in ["", "state", "spool"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut key = vec![0; 1024];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut key).unwrap();
        fs::write(folder.join("munge.key"), key).unwrap();
        fs::set_permissions(folder.join("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        write_epilog(&folder, stage);
        let configuration = folder.join("slurm.conf");
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let node = node.split('.').next().unwrap_or_default().to_owned();
        fs::write(&configuration, slurm_conf(&folder, &node, processors)).unwrap();

        let at = |name: &str| folder.join(name).display().to_string();
        let daemon = |program: &str, arguments: &[String]| {
            let log =
                fs::File::create(folder.join(Path::new(program).file_name().unwrap()).with_extension("out"));
            let log = log.unwrap();
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&folder).env_remove("LD_PRELOAD").stdin(Stdio::null());
            command.stdout(log.try_clone().unwrap()).stderr(log);
            Group::spawn(&mut command).unwrap_or_else(|error| panic!("{error:#}"))
        };
        let munged = daemon(
            MUNGED,
            &[
                // The folders above are the test's own, which munged calls insecure.
                "--force".into(),
                "--foreground".into(),
                format!("--key-file={}", at("munge.key")),
                format!("--socket={}", at("munge.socket")),
                format!("--pid-file={}", at("munged.pid")),
                format!("--seed-file={}", at("munged.seed")),
                format!("--log-file={}", at("munged.log")),
            ],
        );
        wait_for("munged", || folder.join("munge.socket").exists().then_some(()));
        let conf = configuration.display().to_string();
        let slurmctld = daemon(SLURMCTLD, &["-D".into(), "-f".into(), conf.clone()]);
        let slurmd = daemon(SLURMD, &["-D".into(), "-N".into(), node, "-f".into(), conf]);
        let slurm = Slurm { stage, folder, configuration, _daemons: [slurmd, slurmctld, munged] };
        wait_for("the node to be idle", || {
            let seen = see(slurm.command("sinfo").args(["--noheader", "--format=%T"]));
            (text(&seen.stdout).trim() == "idle").then_some(())
        });
        slurm
    }

    /// One of Slurm's commands, or any other command that must find this cluster.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.stage.command(program);
        command.env("SLURM_CONF", &self.configuration);
        command
    }

    /// Runs a batch script for this many tasks to its end.
    pub fn batch(&self, tasks: usize, script: &str) -> Job {
        let id = self.submit(&["--ntasks", &tasks.to_string()], script);
        let output = self.folder.join(format!("job-{id}.out"));
        let read = || fs::read_to_string(&output).unwrap_or_default();
        let state = self.state_at_end(&id);
        assert_eq!(state, "COMPLETED", "job {id}: {}", read());
        Job { id, output: read() }
    }

    /// Submits a batch script with these options of sbatch, and returns the job's id.
    pub fn submit(&self, options: &[&str], script: &str) -> String {
        let file = self.folder.join("job.sh");
        fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        let mut sbatch = self.command("sbatch");
        sbatch.args(["--parsable", "--output", "job-%j.out"]).args(options);
        let submitted = see(sbatch.arg(&file).current_dir(&self.folder));
        let id = text(&submitted.stdout).trim().to_owned();
        assert!(!id.is_empty(), "sbatch: {}", text(&submitted.stderr));
        id
    }

    /// What Slurm says of a job, or a task of an array, once it has ended: `COMPLETED`, `TIMEOUT`.
    pub fn state_at_end(&self, id: &str) -> String {
        wait_for(&format!("job {id}"), || {
            let seen = text(&see(self.command("scontrol").args(["--oneliner", "show", "job", id])).stdout);
            let state = seen.split("JobState=").nth(1)?.split(' ').next()?.to_owned();
            (!matches!(&*state, "PENDING" | "CONFIGURING" | "RUNNING" | "COMPLETING")).then_some(state)
        })
    }
}

/// Writes the Epilog: the one that OGRT installs, which Slurm runs without the variables of the
/// test, with the server of the test.
fn write_epilog(folder: &Path, stage: &Stage) {
    let (epilog, server) = (folder.join("epilog"), stage.server.as_ref().expect("a running server"));
    let installed = stage.prefix().join("share/ogrt/slurm/epilog");
    let script = format!("#!/bin/sh\nexport OGRT_SERVER={}\nexec {}\n", server.unix, installed.display());
    fs::write(&epilog, script).unwrap();
    fs::set_permissions(&epilog, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The node talks to nobody: all addresses are loopback, all files in the folder.
fn slurm_conf(folder: &Path, node: &str, processors: usize) -> String {
    // Two ports that were free a moment ago.
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [controller, slurmd] = listeners.map(|listener| listener.local_addr().unwrap().port());
    let folder = folder.display();
    let prolog = ogrt_end_to_end::prefix().join("share/ogrt/slurm/task_prolog");
    format!(
        "ClusterName=ogrt\n\
         SlurmctldHost={node}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={slurmd}\n\
         AuthType=auth/munge\nAuthInfo=socket={folder}/munge.socket\nCredType=cred/munge\n\
         SlurmUser=root\nSlurmdUser=root\n\
         StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n\
         SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
         SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
         AccountingStorageType=accounting_storage/none\nSelectType=select/cons_tres\n\
         SelectTypeParameters=CR_CPU\nReturnToService=2\nMpiDefault=none\nMailProg=/bin/true\nKillWait=3\n\
         SlurmdParameters=config_overrides\nTaskProlog={}\nEpilog={folder}/epilog\n\
         NodeName={node} NodeAddr=127.0.0.1 CPUs={processors} State=UNKNOWN\n\
         PartitionName=all Nodes={node} Default=YES MaxTime=INFINITE State=UP\n",
        prolog.display()
    )
}

fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
