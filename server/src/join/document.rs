//! The document: what an output writes of one event. Outsiders rely on its keys; docs/outputs.md
//! lists them.
//!
//! Keys are those of OGRT 0.5 where it had one. Empty values are left out. Jobs and clusters have
//! their names (`server/src/job_name.rs`). Elsewhere bytes that are not UTF-8 become U+FFFD.
//!
//! An event names its files in a few bytes each, and each may stand for a build with much text. So
//! a document has at most so many builds, and says where one is left out.

use super::{
    Joiner, Missing,
    decode_event::{Event, LoadedObject, gpu, gpu_devices, module, note, package, program},
    json::{Object, string},
};
use crate::{
    job_name,
    queue::{EndSource, Entry, Kind},
    registry::Summary,
};
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildSummary, EndedBy, Measured, ToldBy};
use prost::Message;
use std::sync::Arc;

/// Most builds that are looked up for one document, and most bytes of them in it.
const BUILDS_MAX: usize = 8192;
const BUILDS_BYTES_MAX: usize = 4 << 20;

/// Most signatures of one file.
const SIGNATURES_MAX: usize = 1024;

/// Looks up the builds of one document, within those bounds.
struct BuildsOfDocument<'a> {
    joiner: &'a Joiner,
    missing: &'a mut Missing,
    builds_left: usize,
    bytes_left: usize,
    /// A build, or a signature, was left out.
    is_cut: bool,
}

impl<'a> BuildsOfDocument<'a> {
    fn new(joiner: &'a Joiner, missing: &'a mut Missing) -> Self {
        let (builds_left, bytes_left) = (BUILDS_MAX, BUILDS_BYTES_MAX);
        BuildsOfDocument { joiner, missing, builds_left, bytes_left, is_cut: false }
    }

    fn get(&mut self, signature: Signature) -> Option<Summary> {
        let Some(left) = self.builds_left.checked_sub(1) else {
            self.is_cut = true;
            return None;
        };
        self.builds_left = left;
        let build = self.joiner.build(signature, self.missing)?;
        match self.bytes_left.checked_sub(build.get().len()) {
            Some(left) => self.bytes_left = left,
            None => {
                self.is_cut = true;
                return None;
            }
        }
        Some(build)
    }
}

/// Writes the document of an event, without a newline. Signatures that nobody registered are added
/// to `missing`.
pub fn write(joiner: &Joiner, entry: &Entry, event: &Event<'_>, missing: &mut Missing, out: &mut Vec<u8>) {
    match entry.kind {
        Kind::Start => start(joiner, entry, event, missing, out),
        Kind::End => end(joiner, entry, event, missing, out),
        Kind::Summary => summary(entry, event, out),
    }
}

/// The uid: the kernel's where it told one, else the client's.
pub fn uid(entry: &Entry, event: &Event<'_>) -> Option<u32> {
    entry.credentials.map(|kernel| kernel.uid).or(event.uid)
}

/// The user's name as this machine knows it. It is not looked up where the client claims a name and
/// the kernel told no uid: then the claim stands.
pub fn user_name(joiner: &Joiner, entry: &Entry, event: &Event<'_>) -> Option<Arc<str>> {
    let is_asked = entry.credentials.is_some() || event.username.is_empty();
    uid(entry, event).filter(|_| is_asked).and_then(|uid| joiner.users.name(uid))
}

/// The name of the user, and the name that the process claims where the uid is proved and nobody
/// knows a name for it. A claim never stands beside a proof as if it were one.
fn user_names<'a>(entry: &Entry, event: &Event<'a>, known: Option<&'a str>) -> (&'a [u8], &'a [u8]) {
    match known {
        Some(name) => (name.as_bytes(), b""),
        // The relay made the name, of the proved uid.
        None if entry.credentials.is_none() || entry.via.is_some() => {
            (event.username, event.claimed_username)
        }
        None => (b"", event.username),
    }
}

/// Writes who says all this.
fn identity(document: &mut Object<'_>, entry: &Entry) {
    document.text("identity", if entry.credentials.is_some() { b"kernel" } else { b"claimed" });
    document.number("delivered_by", entry.delivered_by);
    document.text("via", entry.via.as_deref().unwrap_or_default());
}

/// The parts that may be missing from a start, by their bit in `ProcessInfo.incomplete`.
const INCOMPLETE_PARTS: [(u64, &str); 4] =
    [(1, "arguments"), (2, "shared_objects"), (4, "binpath"), (8, "working_directory")];

/// The part that is missing where the bounds of a document left out a build.
const BUILDS: &str = "builds";

/// Writes the start of a process.
fn start(joiner: &Joiner, entry: &Entry, event: &Event<'_>, missing: &mut Missing, out: &mut Vec<u8>) {
    let kernel = entry.credentials;
    let pid = kernel.map(|kernel| i64::from(kernel.pid)).filter(|pid| *pid != 0);
    let name = user_name(joiner, entry, event);
    let seconds = |ns: i64| ns.div_euclid(1_000_000_000);
    let mut builds = BuildsOfDocument::new(joiner, missing);

    let mut document = Object::begin(out);
    document.text("event_id", &uuid(super::event_id(entry, event)));
    document.text("binpath", event.binpath);
    document.number("pid", pid.or(event.pid.map(i64::from)));
    document.number("parent_pid", event.parent_pid);
    document.number("ancestor_pid", event.ancestor_pid);
    document.number("namespace_pid", event.namespace_pid);
    document.number("time", event.time.or(event.start_time_ns.map(seconds)));
    document.number("start_time_ns", event.start_time_ns);
    marked(&mut document, &mut builds, event.signature, event.notes.iter().copied());
    job(&mut document, event);
    let (username, claimed_username) = user_names(entry, event, name.as_deref());
    document.text("username", username);
    document.text("claimed_username", claimed_username);
    document.number("uid", uid(entry, event));
    document.number("gid", kernel.map(|kernel| kernel.gid).or(event.gid));
    identity(&mut document, entry);
    document.text("hostname", event.hostname);
    if event.cmdline.is_empty() {
        // Clients before 1.0 send it; of ours it is made from the arguments.
        document.words("cmdline", &event.arguments);
    } else {
        document.text("cmdline", event.cmdline);
    }
    document.list("arguments", &event.arguments, |out, argument| string(out, argument));
    document.text("working_directory", event.working_directory);
    document
        .list("environment_variables", &event.environment_variables, |out, variable| string(out, variable));
    document.list("loaded_modules", &event.loaded_modules, |out, message| {
        let (name, file) = module(message);
        let mut module = Object::begin(out);
        module.text_always("name", name);
        module.text("file", file);
        module.end();
    });
    shared_objects(&mut document, &mut builds, event);
    document.hexadecimal("build_id", event.build_id);
    document.truth("is_static", event.is_static);
    place_in_job(&mut document, event);
    if event.namespaces.iter().any(Option::is_some) {
        let mut namespaces = document.object("namespaces");
        for (key, inode) in ["pid", "user", "uts", "mount"].into_iter().zip(event.namespaces) {
            namespaces.number(key, inode);
        }
        namespaces.end();
    }
    let incomplete = INCOMPLETE_PARTS
        .into_iter()
        .filter_map(|(bit, name)| (event.incomplete & bit != 0).then_some(name))
        .chain(builds.is_cut.then_some(BUILDS));
    document.list("incomplete", incomplete, |out, name| string(out, name.as_bytes()));
    document.text("client", event.client);
    document.number("sampled_ppm", event.sampled_ppm);
    document.number("events_lost", event.events_lost.filter(|lost| *lost > 0));
    document.end();
}

/// Writes the names of the event's job and of its cluster.
fn job(document: &mut Object<'_>, event: &Event<'_>) {
    if !event.job_id.is_empty() {
        document.text("job_id", job_name::of(event.job_id).as_bytes());
    }
    document.text("cluster", job_name::of_cluster(event.cluster).as_bytes());
}

/// Writes the process's place in its job: the rank, the step, the element of an array, what the
/// scheduler gave it, and the container that it runs in.
fn place_in_job(document: &mut Object<'_>, event: &Event<'_>) {
    if event.mpi_rank.is_some() || event.mpi_size.is_some() {
        let mut mpi = document.object("mpi");
        mpi.number("rank", event.mpi_rank);
        mpi.number("size", event.mpi_size);
        mpi.text("launch", event.launch);
        mpi.end();
    }
    document.text("job_step", event.job_step);
    document.text("array_index", event.array_index);
    document.text("array_job", event.array_job);
    document.text("account", event.account);
    document.text("partition", event.partition);
    document.number("nodes", event.nodes);
    document.number("tasks", event.tasks);
    document.number("cpus_per_task", event.cpus_per_task);
    document.text("visible_gpus", event.visible_gpus);
    document.text("omp_num_threads", event.threads);
    document.text("conda_prefix", event.conda_prefix);
    document.text("virtual_env", event.virtual_environment);
    document.text("container", event.container);
}

/// Writes the end of a process, with what it repeats of its start, so that ends can be summed
/// without their starts.
fn end(joiner: &Joiner, entry: &Entry, event: &Event<'_>, missing: &mut Missing, out: &mut Vec<u8>) {
    let kernel = entry.credentials;
    let pid = kernel.map(|kernel| i64::from(kernel.pid)).filter(|pid| *pid != 0);
    let name = user_name(joiner, entry, event);
    let mut builds = BuildsOfDocument::new(joiner, missing);

    let mut document = Object::begin(out);
    document.text("type", b"end");
    document.text("event_id", &uuid(super::event_id(entry, event)));
    document.text("binpath", event.binpath);
    document.number("pid", pid.or(event.pid.map(i64::from)));
    document.number("parent_pid", event.parent_pid);
    document.number("start_time_ns", event.start_time_ns);
    marked(&mut document, &mut builds, event.signature, event.notes.iter().copied());
    job(&mut document, event);
    let (username, claimed_username) = user_names(entry, event, name.as_deref());
    document.text("username", username);
    document.text("claimed_username", claimed_username);
    document.number("uid", kernel.map(|kernel| kernel.uid));
    document.number("gid", kernel.map(|kernel| kernel.gid));
    identity(&mut document, entry);
    document.text("hostname", event.hostname);
    document.hexadecimal("build_id", event.build_id);
    document.truth("is_static", event.is_static);
    place_in_job(&mut document, event);
    let mut end = document.object("end");
    end.number("end_time_ns", event.end_time_ns);
    end.number("alive_until_ns", event.alive_until_ns.filter(|_| event.end_time_ns.is_none()));
    end.number("gone_by_ns", event.gone_by_ns.filter(|_| event.end_time_ns.is_none()));
    end.number("duration_ns", event.duration_ns);
    end.number("user_time_us", event.user_time_us);
    end.number("system_time_us", event.system_time_us);
    end.number("worker_time_us", event.worker_time_us);
    end.number("max_rss_kib", event.max_rss_kib);
    end.number("cpus_allowed", event.cpus_allowed);
    end.text("measured_by", event.measured.map_or("", measured_by).as_bytes());
    let ended_by = event.ended_by.map_or("", ended_by);
    end.text("ended_by", ended_by.as_bytes());
    end.number("exit_status", event.exit_status.filter(|_| ended_by == "exit"));
    end.number("signal", event.signal.filter(|_| ended_by == "signal"));
    end.truth("core_dumped", event.core_dumped && ended_by == "signal");
    end.truth("oom_killed", event.oom_killed && told_by(entry, event) == "kernel");
    end.text("told_by", told_by(entry, event).as_bytes());
    // Those that were loaded since the start.
    shared_objects(&mut end, &mut builds, event);
    end.list("packages", &event.packages, |out, message| {
        let ([language, name, version], is_claimed) = package(message);
        let mut package = Object::begin(out);
        package.text("language", language);
        package.text("name", name);
        package.text("version", version);
        package.truth("claimed", is_claimed);
        package.end();
    });
    end.list("gpus", &event.gpus, |out, message| {
        let (maker, did, is_claimed) = gpu(message);
        let mut gpu = Object::begin(out);
        gpu.text("maker", maker);
        gpu.text("use", if did { b"did" } else { b"could" });
        gpu.truth("claimed", is_claimed);
        gpu.list("devices", gpu_devices(message), string);
        gpu.end();
    });
    end.end();
    document.list("incomplete", builds.is_cut.then_some(BUILDS), |out, name| string(out, name.as_bytes()));
    document.number("events_lost", event.events_lost.filter(|lost| *lost > 0));
    document.end();
}

fn measured_by(number: u64) -> &'static str {
    match i32::try_from(number).ok().and_then(|number| Measured::try_from(number).ok()) {
        Some(Measured::ByProcess) => "process",
        Some(Measured::BySamples) => "samples",
        Some(Measured::ByAccounting) => "accounting",
        None => "",
    }
}

fn ended_by(number: u64) -> &'static str {
    match i32::try_from(number).ok().and_then(|number| EndedBy::try_from(number).ok()) {
        Some(EndedBy::Exit) => "exit",
        Some(EndedBy::Signal) => "signal",
        Some(EndedBy::Exec) => "exec",
        Some(EndedBy::Unknown) | None => "unknown",
    }
}

/// The teller of an end. A local process speaks for itself only; what came over a network may be
/// from a server that followed the process, and says so. Without a proof that is a claim like all
/// of the event.
fn told_by(entry: &Entry, event: &Event<'_>) -> &'static str {
    let is_local = entry.delivered_by.is_some() || entry.credentials.is_some();
    let is_told = (entry.via.is_some() || !is_local) && event.told_by == Some(ToldBy::Kernel as u64);
    if entry.end_source == EndSource::Kernel || is_told { "kernel" } else { "process" }
}

/// Writes a summary of processes that were counted.
fn summary(entry: &Entry, event: &Event<'_>, out: &mut Vec<u8>) {
    let mut document = Object::begin(out);
    document.text("type", b"summary");
    document.text("event_id", &uuid(super::event_id(entry, event)));
    document.text("via", entry.via.as_deref().unwrap_or_default());
    job(&mut document, event);
    document.number("time", event.to_ns.map(|ns| ns.div_euclid(1_000_000_000)));
    let mut summary = document.object("summary");
    summary.number("starts", Some(event.starts));
    summary.number("ends", Some(event.ends));
    summary.number("claimed", Some(event.claimed_events).filter(|claimed| *claimed > 0));
    summary.number("first_ns", event.from_ns);
    summary.number("last_ns", event.to_ns);
    summary.list("programs", &event.programs, |out, message| {
        let (path, starts) = program(message);
        let mut program = Object::begin(out);
        program.text("binpath", path);
        program.number("starts", Some(starts));
        program.end();
    });
    summary.end();
    document.end();
}

fn shared_objects(document: &mut Object<'_>, builds: &mut BuildsOfDocument<'_>, event: &Event<'_>) {
    document.list("shared_objects", &event.shared_objects, |out, message| {
        let read = LoadedObject::read(message);
        let mut object = Object::begin(out);
        object.text_always("path", read.path);
        marked(&mut object, builds, read.signature, LoadedObject::notes(message));
        object.hexadecimal("build_id", read.build_id);
        object.truth("preloaded", read.preloaded);
        object.end();
    });
}

/// Writes the signatures of an executable or shared object, and the build of the first that has
/// one.
fn marked<'a>(
    object: &mut Object<'_>,
    builds: &mut BuildsOfDocument<'_>,
    claimed: &[u8],
    notes: impl Iterator<Item = &'a [u8]> + Clone,
) {
    let mut first = None;
    let mut others: Vec<Signature> = Vec::new();
    let mut build = None;
    let sent = notes.clone().filter_map(note).map(|(signature, _)| signature);
    // Clients before 1.0 send one as text.
    let text = Signature::parse(claimed).ok().filter(|_| notes.clone().next().is_none());
    for signature in sent.chain(text) {
        match first {
            None => first = Some(signature),
            Some(first) if first == signature || others.contains(&signature) => continue,
            Some(_) if others.len() >= SIGNATURES_MAX => {
                builds.is_cut = true;
                break;
            }
            Some(_) => others.push(signature),
        }
        build = build.or_else(|| builds.get(signature));
    }
    match first {
        Some(signature) => object.text("signature", &signature.text()),
        None => object.text("signature", claimed),
    }
    if !others.is_empty() {
        let all = first.iter().chain(&others);
        object.list("signatures", all, |out, signature| string(out, &signature.text()));
    }
    match build {
        Some(summary) => object.json("build", summary.get().as_bytes()),
        None => {
            if let Some(summary) = notes.filter_map(note).find_map(of_note)
                && let Ok(json) = serde_json::to_vec(&summary)
            {
                object.json("build", &json);
            }
        }
    }
}

/// The build as the note alone describes it.
fn of_note((signature, metadata): (Signature, &[u8])) -> Option<BuildSummary> {
    let metadata =
        BuildMetadata::decode(metadata).ok().filter(|metadata| *metadata != BuildMetadata::default())?;
    Some(BuildSummary::from_note(signature, &metadata))
}

fn uuid(id: [u8; 16]) -> [u8; Signature::TEXT_LEN] {
    // One shape of text for both.
    Signature::from_bytes(id).text()
}
