//! The companion: a process of its own that makes the digests of a large link at low priority, and
//! sends the record.
//!
//! SHA-256 of hundreds of megabytes takes a tenth of a second or more, and a linker may use all
//! processors. So for a large link `ogrt-ld` starts itself a second time, beside the linker; the
//! build waits for the linker alone. The companion has no descriptor of the build (one that holds
//! the jobserver's blocks make), is not in its process group, and stands in none of its
//! directories. It opens every input at once, so that files removed after the link are still read,
//! reads them when the linker has ended, and leaves out the digest of what changes under its hands.
//!
//! The two talk by a memory file and a pipe. The memory file holds the record as far as it is known
//! when the companion starts; through the pipe comes, when the link has succeeded, what is known
//! only then. A pipe that closes without a word means that there is nothing to register. Should the
//! companion be killed, the record waits in the spool as `.unfinished`, without those digests, and
//! is sent by a later link.

use crate::probation::{self, PROBATION};
use ogrt_proto::{BuildRecord, MessageType, Output, encode_frame};
use ogrt_wrap::deliver::connection::PATIENCE;
use ogrt_wrap::deliver::deliver_or_spool::deliver_or_spool;
use ogrt_wrap::deliver::server_rest;
use ogrt_wrap::deliver::spool::{SpoolDir, UnfinishedClaim};
use ogrt_wrap::elf_head::OpenedFile;
use ogrt_wrap::environment;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::resolve_inputs::{OpenedInput, resolve_open};
use ogrt_wrap::record::describe_file;
use ogrt_wrap::record::digest_cache::DigestCache;
use ogrt_wrap::record::needed_libraries::{self, NeededLibraries};
use ogrt_wrap::record::{self, InputDescriptions};
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::run_tool::start_apart;
use prost::Message;
use rustix::fs::MemfdFlags;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// The `argv[0]` by which `ogrt-ld` knows that it is the companion.
pub const NAME: &str = "ogrt-ld-companion";

/// The longest wait for the server. No build waits for the companion, so it is longer than that of
/// a link.
const COMPANION_PATIENCE: Duration = Duration::from_secs(5);

/// The companion's priority: it gets only the time that no other process wants.
const NICENESS: i32 = 19;

/// The most inputs that are opened at the start. Others are opened when they are read.
const OPEN_MAX: usize = 4096;

/// A companion that was started, as its link sees it.
#[derive(Debug)]
pub struct Companion {
    pipe: File,
}

impl Companion {
    /// Starts a companion for a record. It finds the inputs by the linker's command in the record,
    /// if the record has none. An output that is given is on probation.
    pub fn start(record: &BuildRecord, on_probation: Option<File>) -> io::Result<Companion> {
        let mut memory = File::from(rustix::fs::memfd_create("ogrt-record", MemfdFlags::CLOEXEC)?);
        memory.write_all(&record.encode_to_vec())?;
        memory.rewind()?;
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (memory, output) = (memory.into(), on_probation.map(OwnedFd::from));
        let streams: Vec<&OwnedFd> = [&memory, &reading].into_iter().chain(&output).collect();
        start_apart(Path::new("/proc/self/exe"), NAME, &streams)?;
        Ok(Companion { pipe: writing.into() })
    }

    /// Hands over what is known when the link has succeeded. `unfinished` is the record's file in
    /// the spool.
    pub fn finish(
        mut self,
        record: &BuildRecord,
        metadata: &Metadata,
        unfinished: Option<&Path>,
    ) -> io::Result<()> {
        let rest = BuildRecord {
            signature: record.signature.clone(),
            marked: record.marked,
            unmarked_reason: record.unmarked_reason.clone(),
            reproducible: record.reproducible,
            duration_ns: record.duration_ns,
            output: record.output.clone(),
            ..BuildRecord::default()
        };
        let path = unfinished.map(|path| path.as_os_str().as_bytes()).unwrap_or_default();
        let mut bytes = mtime_ns(metadata).to_le_bytes().to_vec();
        bytes.extend((path.len() as u32).to_le_bytes());
        bytes.extend(path);
        bytes.extend(rest.encode_to_vec());
        self.pipe.write_all(&bytes)
    }
}

/// The work of the companion.
pub fn run() -> io::Result<()> {
    // Signals from the build's terminal are not for us. Not a session of our own: that would be
    // scheduled as a group of its own (sched(7), "The autogroup feature"), and our low priority
    // would count within it alone.
    let _ = rustix::process::setpgid(None, None);
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let record = BuildRecord::decode(&*bytes).map_err(io::Error::other)?;
    let place = PathBuf::from(OsStr::from_bytes(record.working_directory()));
    std::env::set_current_dir(&place)?;
    let inputs = if record.inputs.is_empty() { opened_inputs(&record) } else { Vec::new() };
    // The directory can be unmounted from here on.
    std::env::set_current_dir("/")?;
    take_only_idle_time();

    let mut message = Vec::new();
    // The pipe stands where standard output stands for others: see `start_apart`.
    File::open("/proc/self/fd/1")?.read_to_end(&mut message)?;
    if message.is_empty() {
        // The link failed, so nobody needs the digests.
        return Ok(());
    }
    // It stands where standard error stands for others, which is no file.
    let on_probation = io::stderr().as_fd().try_clone_to_owned().ok().map(File::from).filter(is_regular);
    let InputDescriptions { inputs, compilers } = describe_inputs(&inputs, &place);
    register(record, inputs, compilers, &message, &place, on_probation)
}

/// Lets this process and its later threads run only when no other process wants to.
///
/// A low priority alone is not enough: the kernel counts the processor of such a process as busy
/// when it looks for one.
fn take_only_idle_time() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // This would also raise the priority of a build that runs at a low one, which is refused after
    // the policy is set.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // For systems without an idle policy, and for lists of processes.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// An input, and how its file was when it was opened.
struct HeldInput {
    input: OpenedInput,
    before: Option<Metadata>,
}

fn opened_inputs(record: &BuildRecord) -> Vec<HeldInput> {
    let words: Vec<OsString> =
        record.linker_command.iter().skip(1).map(|word| OsString::from_vec(word.to_vec())).collect();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let open_max = limit.map_or(OPEN_MAX, |limit| (limit / 2) as usize).min(OPEN_MAX);
    let line = match &record.linker {
        Some(linker) => LinkLine::of_linker(Path::new(OsStr::from_bytes(linker.path())), &words),
        None => LinkLine::read(&words),
    };
    let held = |input: OpenedInput| {
        let before = input.opened.as_ref().and_then(|opened| opened.file.metadata().ok());
        HeldInput { input, before }
    };
    resolve_open(&line, open_max, &|| true).unwrap_or_default().into_iter().map(held).collect()
}

fn describe_inputs(inputs: &[HeldInput], place: &Path) -> InputDescriptions {
    let (cache, gitoids) = (DigestCache::open(), environment::is_on("OGRT_OMNIBOR"));
    record::describe_each(inputs, |HeldInput { input: OpenedInput { input, opened }, before }| {
        let describe = |opened: &OpenedFile| describe_file::opened_input(input, opened, &cache, gitoids);
        let held = opened.as_ref().zip(before.as_ref());
        let (mut described, producer) = match held {
            Some((opened, _)) => describe(opened),
            None => match OpenedFile::open(&place.join(&input.path)) {
                Ok(opened) => describe(&opened),
                Err(_) => describe_file::unreadable_input(input),
            },
        };
        let changed = held.is_some_and(|(opened, before)| {
            !opened
                .file
                .metadata()
                .is_ok_and(|now| mtime_ns(&now) == mtime_ns(before) && now.len() == before.len())
        });
        if changed {
            (described.sha256, described.gitoid) = (None, None);
        }
        (described, producer)
    })
}

/// Completes the record with what came through the pipe, and sends it.
fn register(
    mut record: BuildRecord,
    inputs: Vec<ogrt_proto::Input>,
    compilers: Vec<ogrt_proto::Compiler>,
    message: &[u8],
    place: &Path,
    on_probation: Option<File>,
) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let (linked_ns, rest) = message.split_first_chunk::<8>().ok_or_else(invalid)?;
    let (path_len, rest) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
    let (path, rest) = rest.split_at_checked(u32::from_le_bytes(*path_len) as usize).ok_or_else(invalid)?;
    record.merge(rest).map_err(io::Error::other)?;
    if record.inputs.is_empty() {
        (record.inputs, record.compilers) = (inputs, compilers);
    }
    if let Some(needed) = record.output.as_ref().and_then(|output| needed_of(output, place)) {
        needed_libraries::mark_dropped(&mut record.inputs, &needed, place);
    }
    if let Some(output) = record.output.take() {
        record.output = Some(hashed(output, i64::from_le_bytes(*linked_ns), place));
    }

    let spool = SpoolDir::from_environment();
    let unfinished = Path::new(OsStr::from_bytes(path));
    if let Some(file) = on_probation {
        std::thread::sleep(PROBATION);
        let output = record.output.as_ref().map(|output| output.path()).unwrap_or_default();
        if probation::is_gone(&file, &place.join(OsStr::from_bytes(output)), record.signature()) {
            spool.take_unfinished(unfinished).into_iter().for_each(UnfinishedClaim::done);
            return Ok(());
        }
    }
    let taken = spool.take_unfinished(unfinished);
    if !path.is_empty() && taken.is_none() {
        // The record was sent as it was; the first registration stands.
        return Ok(());
    }
    let settings = Settings::from_environment();
    let connecting = (!server_rest::rests(&spool, &settings.server))
        .then(|| settings.server.connect_beside(settings.token_file.clone(), PATIENCE));
    let frame = encode_frame(MessageType::BuildRecord, &record);
    let has_more = spool.has_any();
    deliver_or_spool(&frame, 1, connecting, has_more, COMPANION_PATIENCE, &settings.server, &spool)
        .map_err(io::Error::other)?;
    taken.into_iter().for_each(UnfinishedClaim::done);
    Ok(())
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// The libraries that the output needs.
fn needed_of(output: &Output, place: &Path) -> Option<NeededLibraries> {
    let file = File::open(place.join(OsStr::from_bytes(output.path()))).ok()?;
    NeededLibraries::of(&file)
}

/// The output with its digest, if it was not changed after the link.
fn hashed(output: Output, linked_ns: i64, place: &Path) -> Output {
    let path = place.join(OsStr::from_bytes(output.path()));
    let as_linked = || {
        std::fs::metadata(&path).is_ok_and(|now| now.len() == output.size() && mtime_ns(&now) == linked_ns)
    };
    let digest =
        as_linked().then(|| describe_file::output(&path).and_then(|seen| seen.hashed()).ok()).flatten();
    match digest.filter(|_| as_linked()) {
        Some(hashed) => Output { sha256: hashed.sha256, loaded: hashed.loaded, ..output },
        None => output,
    }
}

fn mtime_ns(metadata: &Metadata) -> i64 {
    metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec())
}
