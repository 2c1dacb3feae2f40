//! The build record: what was linked, by whom, from what. Most of it is put together while the
//! linker runs.

pub mod compilers;
pub mod describe_file;
pub mod digest;
pub mod digest_cache;
pub mod git_commit;
pub mod loaded_parts;
pub mod needed_libraries;

use crate::environment;
use crate::line::resolve_inputs::OpenedInput;
use crate::note::metadata;
use crate::record::compilers::Compilers;
use crate::record::digest_cache::DigestCache;
use crate::tool::ask_tool;
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildRecord, Compiler, Input, Tool};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// The most threads that describe inputs: the linker needs processors, too.
const THREADS_MAX: usize = 4;

/// The number of inputs from which several threads are used.
const INPUTS_FOR_THREADS: usize = 24;

/// What is known about a link before its linker starts.
#[derive(Debug)]
pub struct LinkFacts {
    /// The signature in the note.
    pub signature: Signature,
    /// The metadata in the note.
    pub metadata: BuildMetadata,
    /// The signature is computed from the inputs.
    pub reproducible: bool,
    /// When the link began.
    pub started: SystemTime,
    /// The directory in which relative paths start.
    pub working_directory: PathBuf,
    /// The compiler driver that `ogrt-cc` ran, and its argv.
    pub driver: Option<(PathBuf, Vec<OsString>)>,
    /// The real linker.
    pub linker: PathBuf,
    /// The linker's argv.
    pub linker_command: Vec<OsString>,
    /// The wrapper that put the note in, with its version.
    pub client: &'static str,
}

/// The descriptions of the inputs.
#[derive(Debug, Default)]
pub struct InputDescriptions {
    /// The inputs in the order of the line.
    pub inputs: Vec<Input>,
    /// The distinct compilers that made them.
    pub compilers: Vec<Compiler>,
}

/// Describes the inputs, by several threads if they are many. `None` if `goes_on` says no
/// meanwhile.
pub fn describe_while(
    resolved: &[OpenedInput],
    cache: &DigestCache,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Option<InputDescriptions> {
    let gitoids = environment::is_on("OGRT_OMNIBOR");
    let described = describe_each(resolved, |input| match goes_on() {
        true => describe_file::input(input, cache, gitoids),
        false => Default::default(),
    });
    goes_on().then_some(described)
}

/// Describes inputs by the function `describe`.
pub fn describe_each<T: Sync>(
    inputs: &[T],
    describe: impl Fn(&T) -> (Input, Option<String>) + Sync,
) -> InputDescriptions {
    let next = AtomicUsize::new(0);
    let described = Mutex::new(Vec::with_capacity(inputs.len()));
    let work = || {
        while let Some((index, input)) = take(&next, inputs) {
            let (input, producer) = describe(input);
            if let Ok(mut described) = described.lock() {
                described.push((index, input, producer));
            }
        }
    };
    std::thread::scope(|scope| {
        if inputs.len() >= INPUTS_FOR_THREADS {
            let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
            for _ in 1..processors.min(THREADS_MAX) {
                // If no thread can be started, this one does all the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
        }
        work();
    });
    let mut described = described.into_inner().unwrap_or_default();
    described.sort_by_key(|(index, ..)| *index);
    let mut compilers = Compilers::default();
    let mut inputs = Vec::with_capacity(described.len());
    for (_, input, producer) in described {
        producer.into_iter().for_each(|producer| compilers.add(producer));
        inputs.push(input);
    }
    InputDescriptions { inputs, compilers: compilers.into_record() }
}

fn take<'a, T>(next: &AtomicUsize, inputs: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, inputs.get(index)?))
}

/// The record as far as it is known before the linker has ended: without inputs, output and
/// duration. Tools are asked for their versions if these are not remembered.
pub fn begin(facts: LinkFacts) -> BuildRecord {
    let since_epoch = facts.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let words = |words: Vec<OsString>| words.into_iter().map(|word| word.into_vec().into()).collect();
    let tool = |path: &Path| Tool { path: Some(bytes(path.as_os_str())), version: ask_tool::version(path) };
    BuildRecord {
        signature: Some(facts.signature.as_bytes().to_vec().into()),
        time_ns: Some(since_epoch.as_nanos() as i64),
        hostname: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        uid: Some(rustix::process::getuid().as_raw()),
        gid: Some(rustix::process::getgid().as_raw()),
        username: match facts.metadata.builder.clone() {
            Some(builder) if !builder.bytes().all(|byte| byte.is_ascii_digit()) => Some(builder),
            _ => metadata::user_name(),
        },
        metadata: Some(facts.metadata),
        source: git_commit::source_of(&facts.working_directory),
        working_directory: Some(bytes(facts.working_directory.as_os_str())),
        driver: facts.driver.as_ref().map(|(path, _)| tool(path)),
        linker: Some(tool(&facts.linker)),
        driver_command: facts.driver.map(|(_, command)| words(command)).unwrap_or_default(),
        linker_command: words(facts.linker_command),
        loaded_modules: loaded_modules(),
        extra: metadata::extra(),
        client: Some(facts.client.to_owned()),
        reproducible: Some(facts.reproducible),
        ..BuildRecord::default()
    }
}

/// The loaded modules. Environment Modules and Lmod both list them, separated by colons.
fn loaded_modules() -> Vec<String> {
    let list = environment::var("LOADEDMODULES").unwrap_or_default();
    list.to_string_lossy().split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn bytes(text: &OsStr) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}
