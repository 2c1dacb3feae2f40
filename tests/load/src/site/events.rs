//! What is told of a process: its start, and its end as the server of its node tells it.

use super::{End, Site, SiteProcess, people, programs::digest_of};
use bytes::Bytes;
use ogrt_proto::{
    EndedBy, Measured, MessageType, Module, Package, ProcessEnd, ProcessInfo, Provenance, SharedObject,
    ToldBy, encode_frame,
};

/// The frame of a start.
pub fn start(site: &Site, process: &SiteProcess) -> Bytes {
    let program = site.program(process);
    let module = |name: String| Module { name: Some(name.into()), ..Module::default() };
    let arguments = program.code.arguments.split(' ');
    let pid = pid(process.number);
    let home = format!("/home/{}", people::user(process.user.into()));
    let is_gpu = people::PARTITIONS[usize::from(process.cluster)][usize::from(process.partition)] == "gpu";
    let info = ProcessInfo {
        pid: Some(pid),
        parent_pid: Some(process.parent.map_or(1, self::pid)),
        event_id: Some(event_id(process)),
        job_id: job_id(process),
        cluster: Some(cluster(process)),
        hostname: Some(host(process).into()),
        arguments: arguments.map(|word| word.to_owned().into()).collect(),
        shared_objects: program.objects.clone(),
        loaded_modules: site.modules(process).into_iter().map(module).collect(),
        working_directory: Some(format!("{home}/run").into()),
        visible_gpus: is_gpu.then(|| "0,1".into()),
        client: Some("1.0.0".into()),
        ..facts(site, process)
    };
    encode_frame(MessageType::ProcessInfo, &info)
}

/// The frame of an end; `None` where there is none.
pub fn end(site: &Site, process: &SiteProcess) -> Option<Bytes> {
    let (ended_by, exit_status, signal) = match process.end {
        End::Exit(status) => (EndedBy::Exit, Some(status.into()), None),
        End::Signal(number) => (EndedBy::Signal, None, Some(number.into())),
        End::OutOfMemory => (EndedBy::Signal, None, Some(9)),
        End::Exec => (EndedBy::Exec, None, None),
        End::Unseen => (EndedBy::Unknown, None, None),
        End::Open => return None,
    };
    let program = site.program(process);
    let mut modules = site.modules(process);
    modules.sort();
    let modules: String = modules.iter().map(|name| format!("{name}\0")).collect();
    let told = ProcessInfo {
        program_digest: Some(program.digest.clone()),
        modules_digest: Some(digest_of(&modules).slice(..16)),
        ..facts(site, process)
    };
    let end = ProcessEnd {
        event_id: Some(event_id(process)),
        pid: Some(pid(process.number)),
        job_id: job_id(process),
        cluster: Some(cluster(process)),
        hostname: Some(host(process).into()),
        time_ns: Some(process.end_ns),
        duration_ns: Some((process.end_ns - process.start_ns) as u64),
        user_time_us: Some(process.cpu_us - process.cpu_us / 20),
        system_time_us: Some(process.cpu_us / 20),
        max_rss_kib: Some(20_000 + process.cpu_us % 900_000),
        measured: Some(Measured::ByAccounting as i32),
        ended_by: Some(ended_by as i32),
        exit_status,
        signal,
        core_dumped: (process.end == End::Signal(11)).then_some(true),
        oom_killed: (process.end == End::OutOfMemory).then_some(true),
        told_by: Some(ToldBy::Kernel as i32),
        start: Some(told),
        shared_objects: later_libraries(site, process)
            .into_iter()
            .map(|name| package_object(&name))
            .collect(),
        packages: packages(site, process),
        provenance: provenance(process),
        ..ProcessEnd::default()
    };
    Some(encode_frame(MessageType::ProcessEnd, &end))
}

/// Libraries that packages of Python bring along, by the names of their files.
pub fn later_libraries(site: &Site, process: &SiteProcess) -> Vec<String> {
    let packages = site.program(process).code.packages;
    packages.iter().map(|(name, _)| format!("_{name}_core.cpython-311-x86_64-linux-gnu.so")).collect()
}

fn package_object(file: &str) -> SharedObject {
    let name = file.trim_start_matches('_').split('_').next().unwrap_or_default();
    SharedObject {
        path: Some(format!("/usr/lib/python3/dist-packages/{name}/{file}").into()),
        build_id: Some(digest_of(file).slice(..20)),
        ..SharedObject::default()
    }
}

fn packages(site: &Site, process: &SiteProcess) -> Vec<Package> {
    let package = |(name, version): &(&str, &str)| Package {
        language: Some("python".into()),
        name: Some((*name).to_owned().into()),
        version: Some((*version).to_owned()),
        ..Package::default()
    };
    site.program(process).code.packages.iter().map(package).collect()
}

/// What the start tells, and the end repeats.
fn facts(site: &Site, process: &SiteProcess) -> ProcessInfo {
    let user = usize::from(process.user);
    let launch = process.rank.zip(process.job).map(|_| "slurm:0".into());
    let partition = people::PARTITIONS[usize::from(process.cluster)][usize::from(process.partition)];
    let has_job = process.job.is_some();
    let is_main = process.program == process.main && process.parent.is_some();
    ProcessInfo {
        uid: Some(people::uid(user)),
        gid: Some(people::uid(user)),
        username: Some(people::user(user).into()),
        account: Some(people::account(process.account.into()).into()),
        partition: Some(partition.into()),
        nodes: Some(process.nodes),
        tasks: Some(process.tasks),
        cpus_per_task: Some(2),
        start_time_ns: Some(process.start_ns),
        job_step: (has_job && is_main && process.rank.is_some()).then(|| "0".into()),
        array_job: process.array.map(|(array, _)| array.to_string().into()),
        array_index: process.array.map(|(_, task)| task.to_string().into()),
        mpi_rank: process.rank.map(|(rank, _)| rank),
        mpi_size: process.rank.map(|(_, size)| size),
        launch,
        is_outermost: process.parent.is_none().then_some(true),
        provenance: provenance(process),
        ..site.program(process).facts.clone()
    }
}

/// The user, as the kernel of the node has proved it.
fn provenance(process: &SiteProcess) -> Option<Provenance> {
    let uid = Some(people::uid(process.user.into()));
    let pid = Some(pid(process.number) as u32);
    (!process.is_claimed).then(|| Provenance { pid, uid, gid: uid, ..Provenance::default() })
}

fn pid(number: u64) -> i32 {
    1000 + (number % 4_000_000) as i32
}

fn event_id(process: &SiteProcess) -> Bytes {
    [9u64.to_be_bytes(), process.number.to_be_bytes()].concat().into()
}

fn job_id(process: &SiteProcess) -> Option<Bytes> {
    process.job.map(|job| job.to_string().into())
}

fn cluster(process: &SiteProcess) -> Bytes {
    people::CLUSTERS[usize::from(process.cluster)].into()
}

/// The node: ranks of a job are on its nodes. Those of beta have the numbers from 400 on.
pub fn host(process: &SiteProcess) -> String {
    let rank = process.rank.map_or(0, |(rank, size)| u64::from(rank * process.nodes / size.max(1)));
    let first = 5 + process.job.unwrap_or(process.number / 8) % 100;
    format!("n{:04}", [100, 400][usize::from(process.cluster)] + (first + rank) % 220)
}
