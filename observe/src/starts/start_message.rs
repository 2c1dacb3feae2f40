//! The start of a process as the event that libogrt.so would have sent.

use crate::{
    job_variables::{JobVariables, job_of_groups},
    process::{PidfdIdentity, pidfd_identity},
    process_directory::{ProcessDirectory, ProcessIdentity},
    program_file::{FileKind, ProgramFile},
    server_link::MESSAGE_MAX,
};
use ogrt_proto::{MessageType, Module, ProcessInfo, encode_frame};
use std::{os::fd::OwnedFd, sync::LazyLock};

/// Name and version of this program, as the event has them.
const CLIENT: &str = concat!("ogrt-observe ", env!("CARGO_PKG_VERSION"));

/// Most bytes of arguments that are told.
const ARGUMENTS_MAX: usize = 64 << 10;

/// Most bytes of the environment in which the job is looked for.
const ENVIRONMENT_MAX: usize = 1 << 20;

/// Most bytes of the list of control groups.
const GROUPS_MAX: usize = 16 << 10;

/// What is missing from an event, as `ogrt.proto` counts it.
mod missing {
    pub const ARGUMENTS: u32 = 1;
    pub const DIRECTORY: u32 = 8;
}

/// What is known of a process before it runs the program, and stays so.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its directory in /proc, unless it was gone before that could be opened.
    pub directory: Option<ProcessDirectory>,
    /// Who it is.
    pub identity: ProcessIdentity,
    /// The job whose control group it is in.
    pub job_of_group: Option<Vec<u8>>,
    /// The job that its environment names before the exec.
    pub job_before: Option<JobVariables>,
    /// The working directory in which it runs the program.
    pub working_directory: Option<Vec<u8>>,
}

impl Process {
    /// Looks at a process; `None` where it has gone, and nobody knows whose it was. `told`: what
    /// its descriptor told before.
    pub fn look(
        pid: u32,
        pidfd: Option<&OwnedFd>,
        told: Option<PidfdIdentity>,
        job_id_variables: &str,
    ) -> Option<Self> {
        let told = told.or_else(|| pidfd.and_then(pidfd_identity));
        let directory = ProcessDirectory::open(pid, pidfd);
        let working_directory = directory.as_ref().and_then(|directory| directory.link("cwd"));
        let identity = match told {
            Some(PidfdIdentity { parent_pid, uid, gid }) => ProcessIdentity { parent_pid, uid, gid },
            None => directory.as_ref()?.identity()?,
        };
        let groups = directory.as_ref().and_then(|directory| directory.read("cgroup", GROUPS_MAX));
        let job_of_group = groups.and_then(|(groups, _)| job_of_groups(&groups));
        let job_before = directory.as_ref().and_then(|directory| job(directory, job_id_variables));
        Some(Process { pid, directory, identity, job_of_group, job_before, working_directory })
    }

    /// True if it runs this file now.
    pub fn runs(&self, file: (u64, u64)) -> bool {
        self.directory.as_ref().is_some_and(|directory| directory.executable() == Some(file))
    }
}

/// What a program was given: read only while the process runs that very program.
#[derive(Debug, Default)]
pub struct ProgramInput {
    /// The arguments, where they are known.
    pub arguments: Option<Vec<Vec<u8>>>,
    /// The job, where the environment is known.
    pub job: Option<JobVariables>,
}

impl ProgramInput {
    /// Reads it. `is_running` looks whether the process still runs the program: what is read after
    /// it has become another program is the other's.
    pub fn read(process: &Process, job_id_variables: &str, is_running: impl Fn() -> bool) -> Self {
        let Some(directory) = process.directory.as_ref().filter(|_| is_running()) else {
            return ProgramInput::default();
        };
        let arguments = directory.read("cmdline", ARGUMENTS_MAX);
        let job = job(directory, job_id_variables);
        if !is_running() {
            return ProgramInput::default();
        }
        let arguments =
            arguments.filter(|(line, is_cut)| !line.is_empty() && !is_cut).map(|(mut line, _)| {
                line.pop_if(|last| *last == 0);
                line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
            });
        // A process that was started with an empty environment is in no job that it knows.
        let job = job.or_else(|| arguments.as_ref().map(|_| JobVariables::default()));
        ProgramInput { arguments, job }
    }
}

/// The job that a process's environment names. `None` where there is no environment to read, as in
/// a process that has just ended.
fn job(directory: &ProcessDirectory, job_id_variables: &str) -> Option<JobVariables> {
    let (environment, _) = directory.read("environ", ENVIRONMENT_MAX)?;
    (!environment.is_empty()).then(|| JobVariables::read(&environment, job_id_variables))
}

/// A start.
pub struct Start<'a> {
    /// The process.
    pub process: &'a Process,
    /// The path of its program.
    pub path: Vec<u8>,
    /// What the program's file says.
    pub file: &'a ProgramFile,
    /// What the program was given.
    pub input: ProgramInput,
    /// The moment of the exec, Unix time in nanoseconds.
    pub time_ns: i64,
}

impl Start<'_> {
    /// The frame.
    pub fn frame(self) -> Vec<u8> {
        let mut info = self.message();
        let mut frame = encode_frame(MessageType::ProcessInfo, &info);
        if frame.len() > MESSAGE_MAX {
            info.arguments.clear();
            info.loaded_modules.clear();
            info.incomplete = Some(info.incomplete.unwrap_or(0) | missing::ARGUMENTS);
            frame = encode_frame(MessageType::ProcessInfo, &info);
        }
        frame.to_vec()
    }

    fn message(self) -> ProcessInfo {
        let Start { process, path, file, input, time_ns } = self;
        let ProcessIdentity { parent_pid, uid, gid } = process.identity;
        let directory = process.directory.as_ref();
        let namespace_pid = directory.and_then(ProcessDirectory::namespace_pid);
        let (has_arguments, job) = (input.arguments.is_some(), input.job.or(process.job_before.clone()));
        let mut job = job.unwrap_or_default();
        if let (true, Some(id)) = (job.job_id.is_empty(), &process.job_of_group) {
            job.job_id.clone_from(id);
        }
        let incomplete = if has_arguments { 0 } else { missing::ARGUMENTS }
            | if process.working_directory.is_some() { 0 } else { missing::DIRECTORY };
        let text = |bytes: Vec<u8>| (!bytes.is_empty()).then(|| bytes.into());
        let namespace = |name| directory.filter(|_| namespace_pid.is_some())?.namespace(name);
        let modules =
            job.modules.into_iter().map(|(name, file)| Module { name: text(name), file: text(file) });
        ProcessInfo {
            event_id: Some(uuid::Uuid::now_v7().into_bytes().to_vec().into()),
            binpath: text(path),
            pid: Some(process.pid.cast_signed()),
            parent_pid: Some(parent_pid.cast_signed()),
            time: Some(time_ns.div_euclid(1_000_000_000)),
            start_time_ns: Some(time_ns),
            uid: Some(uid),
            gid: Some(gid),
            hostname: text(HOST_NAME.clone()),
            working_directory: process.working_directory.clone().and_then(text),
            build_id: file.build_id.clone().map(Into::into),
            notes: file.notes.clone(),
            job_id: text(job.job_id),
            cluster: text(job.cluster),
            job_step: text(job.job_step),
            array_index: text(job.array_index),
            array_job: text(job.array_job),
            account: text(job.account),
            partition: text(job.partition),
            nodes: job.nodes,
            tasks: job.tasks,
            cpus_per_task: job.cpus_per_task,
            visible_gpus: text(job.visible_gpus),
            threads: text(job.threads),
            conda_prefix: text(job.conda_prefix),
            virtual_environment: text(job.virtual_environment),
            container: text(job.container),
            mpi_rank: job.mpi_rank,
            mpi_size: job.mpi_size,
            launch: text(job.launch),
            loaded_modules: modules.collect(),
            arguments: input.arguments.unwrap_or_default().into_iter().map(Into::into).collect(),
            client: Some(CLIENT.to_owned()),
            incomplete: Some(incomplete).filter(|missing| *missing != 0),
            namespace_pid: namespace_pid.map(u32::cast_signed),
            pid_namespace: namespace("pid"),
            user_namespace: namespace("user"),
            uts_namespace: namespace("uts"),
            mount_namespace: namespace("mnt"),
            is_static: (file.kind == FileKind::Static).then_some(true),
            ..ProcessInfo::default()
        }
    }
}

/// The name of this machine.
static HOST_NAME: LazyLock<Vec<u8>> =
    LazyLock::new(|| rustix::system::uname().nodename().to_bytes().to_vec());
