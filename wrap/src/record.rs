//! The build record: what was linked, by whom, from what. The inputs are described while the linker runs.

use crate::compilers::Compilers;
use crate::describe;
use crate::digest_cache::DigestCache;
use crate::git_commit;
use crate::metadata;
use crate::resolve_inputs::ResolvedInput;
use crate::settings;
use crate::tool_version::tool_version;
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildRecord, Compiler, Input, Output, Tool};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// Threads that describe inputs; the linker needs the machine too.
const THREADS_MAX: usize = 4;

/// Fewer inputs are described by one thread.
const INPUTS_FOR_THREADS: usize = 24;

/// What is known before the linker starts.
#[derive(Debug)]
pub struct Facts {
    /// In the note.
    pub signature: Signature,
    /// In the note.
    pub metadata: BuildMetadata,
    /// Computed from the inputs.
    pub reproducible: bool,
    /// When the link began.
    pub started: SystemTime,
    /// Where.
    pub working_directory: PathBuf,
    /// The compiler driver that `ogrt-cc` ran, and its argv.
    pub driver: Option<(PathBuf, Vec<OsString>)>,
    /// The real linker.
    pub linker: PathBuf,
    /// Its argv.
    pub linker_command: Vec<OsString>,
}

/// What the inputs showed.
#[derive(Debug, Default)]
pub struct DescribedInputs {
    /// In the order of the line.
    pub inputs: Vec<Input>,
    /// Distinct.
    pub compilers: Vec<Compiler>,
}

/// Describes the inputs, until `abandoned`: then what is described so far is returned.
pub fn describe_inputs(resolved: &[ResolvedInput], abandoned: &AtomicBool) -> DescribedInputs {
    let cache = DigestCache::open();
    let gitoids = settings::is_on("OGRT_OMNIBOR");
    let next = AtomicUsize::new(0);
    let described = Mutex::new(Vec::with_capacity(resolved.len()));
    let work = || {
        while !abandoned.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = resolved.get(index) else { break };
            let (input, producer) = describe::input(file, &cache, gitoids);
            if let Ok(mut described) = described.lock() {
                described.push((index, input, producer));
            }
        }
    };
    std::thread::scope(|scope| {
        if resolved.len() >= INPUTS_FOR_THREADS {
            let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
            for _ in 1..processors.min(THREADS_MAX) {
                // Without another thread this one does it all.
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
    DescribedInputs { inputs, compilers: compilers.into_record() }
}

/// The tools as the record has them; asks a tool that is not remembered.
pub fn describe_tools(facts: &Facts) -> (Option<Tool>, Option<Tool>) {
    let tool = |path: &Path| Tool { path: Some(bytes(path.as_os_str())), version: tool_version(path) };
    (facts.driver.as_ref().map(|(path, _)| tool(path)), Some(tool(&facts.linker)))
}

/// Puts the record together.
pub fn assemble(
    facts: Facts,
    described: DescribedInputs,
    (driver, linker): (Option<Tool>, Option<Tool>),
    output: Output,
    duration: Duration,
) -> BuildRecord {
    let since_epoch = facts.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let words = |words: Vec<OsString>| words.into_iter().map(|word| word.into_vec().into()).collect();
    BuildRecord {
        signature: Some(facts.signature.as_bytes().to_vec().into()),
        metadata: Some(facts.metadata),
        time_ns: Some(since_epoch.as_nanos() as i64),
        duration_ns: Some(duration.as_nanos() as u64),
        hostname: Some(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        uid: Some(rustix::process::getuid().as_raw()),
        gid: Some(rustix::process::getgid().as_raw()),
        username: metadata::user_name(),
        source: git_commit::source_of(&facts.working_directory),
        working_directory: Some(bytes(facts.working_directory.as_os_str())),
        driver_command: facts.driver.map(|(_, command)| words(command)).unwrap_or_default(),
        linker_command: words(facts.linker_command),
        driver,
        linker,
        compilers: described.compilers,
        inputs: described.inputs,
        output: Some(output),
        loaded_modules: loaded_modules(),
        extra: metadata::extra(),
        client: Some(concat!("ogrt-ld ", env!("CARGO_PKG_VERSION")).into()),
        reproducible: Some(facts.reproducible),
    }
}

/// Environment modules and Lmod both list them, separated by colons.
fn loaded_modules() -> Vec<String> {
    let list = std::env::var_os("LOADEDMODULES").unwrap_or_default();
    list.to_string_lossy().split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn bytes(text: &OsStr) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}
