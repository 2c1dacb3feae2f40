//! The command: reads its line, and observes until it is ended.

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use ogrt_observe::{JOB_ID_VARIABLES, Observer, ObserverConfig, Selection, UserRanges};
use std::{path::PathBuf, process::ExitCode};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt-observe                                     static programs in jobs, of all users\n\
\x20 ogrt-observe --processes all --uids 1000-60000   all processes of these users\n\
\x20 ogrt-observe --check                             what can this machine observe?";

/// Observes a machine's processes for the ogrt-server on it: programs that libogrt.so cannot see.
///
/// It is run by root, on the machine itself, beside the server. It needs CAP_SYS_ADMIN,
/// CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, and gives up every other right. Nothing
/// is changed in the processes. docs/observe.md says what is read of them.
#[derive(Parser)]
#[command(name = "ogrt-observe", version, after_help = EXAMPLES)]
struct Arguments {
    /// The socket of the server: the key `observe` of its configuration.
    #[arg(long, value_name = "PATH", default_value = "/run/ogrt/observe.sock")]
    server: PathBuf,
    /// The processes that are looked at.
    #[arg(long, value_enum, default_value_t = Processes::Jobs)]
    processes: Processes,
    /// The users whose processes are looked at, by number: 1000-60000,70001. All users without it.
    #[arg(long, value_name = "RANGES", default_value = "0-4294967295", hide_default_value = true)]
    uids: UserRanges,
    /// Names of the environment variables that hold a job's id. The first that is set counts.
    #[arg(long, value_name = "NAMES", default_value = JOB_ID_VARIABLES, env = "OGRT_JOBID_VARS")]
    job_variables: String,
    /// The processor time that observing may take, in percent of one processor.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    cpu_percent: u32,
    /// Do not use real-time scheduling. On a busy machine, programs that end within a millisecond
    /// are then missed, or their arguments and their job.
    #[arg(long)]
    no_real_time: bool,
    /// Do not tell starts of static and setuid programs.
    #[arg(long)]
    no_starts: bool,
    /// Do not tell what processes load after their start, and which GPUs they use.
    #[arg(long)]
    no_objects: bool,
    /// Do not tell what processes have used at their ends: CPU time and memory are then by samples.
    #[arg(long)]
    no_ends: bool,
    /// Say what can be observed here, and end. Exit status: 0 all that is asked for; 1 not all.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Processes {
    /// Processes in whose environment a variable names the job.
    Jobs,
    /// All processes.
    All,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("ogrt-observe: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let observer = Observer::open(ObserverConfig {
        server: arguments.server,
        selection: Selection { all: arguments.processes == Processes::All, users: arguments.uids },
        job_id_variables: arguments.job_variables,
        cpu_percent: arguments.cpu_percent,
        in_real_time: !arguments.no_real_time,
        tells_starts: !arguments.no_starts,
        tells_objects: !arguments.no_objects,
        tells_ends: !arguments.no_ends,
    })?;
    if arguments.check {
        let word = |is_off| if is_off { "off" } else { "yes" };
        println!("starts of static and setuid programs: {}", word(arguments.no_starts));
        println!("objects loaded later, and GPUs: {}", word(arguments.no_objects));
        match observer.ends_problem() {
            None => println!("exact CPU time and memory at the end: {}", word(arguments.no_ends)),
            Some(problem) => bail!("no exact CPU time and memory at the end: {problem}"),
        }
        return Ok(());
    }
    if let Some(problem) = observer.ends_problem() {
        eprintln!("ogrt-observe: CPU time and memory are by samples: {problem}");
    }
    observer.run()
}
