//! A marked link beside its linker and after it: what goes in is described, what came out is looked at, and the record
//! goes to the server or to the spool.
//!
//! A small link is described by this process while the linker runs, and its record is at the server when the build
//! goes on. Of a large one the digests are left to a companion (see `companion.rs`).

use crate::companion::Companion;
use crate::unmarked::Unmarked;
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildRecord, MessageType, encode_frame};
use ogrt_wrap::deliver::connection::{Connecting, PATIENCE};
use ogrt_wrap::deliver::deliver_or_spool::deliver_or_spool;
use ogrt_wrap::deliver::server_rest;
use ogrt_wrap::deliver::spool::{SpoolDir, TakenUnfinished};
use ogrt_wrap::elf_head::ElfIdentity;
use ogrt_wrap::line::dependency_file;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::resolve_inputs::resolve_inputs;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::note::{metadata, note_object, signature};
use ogrt_wrap::record::describe_file::{self, OUTPUT_WHOLE_BYTES_MAX, SeenOutput};
use ogrt_wrap::record::digest_cache::DigestCache;
use ogrt_wrap::record::{self, DescribedInputs, Facts};
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::run_tool::Call;
use prost::Message;
use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

/// More inputs are described by a companion.
const INPUTS_MAX: usize = 64;

/// More bytes are hashed by a companion. Up to here they are hashed while the linker runs, in some ten milliseconds of
/// one processor, and most of them once: the libraries of the system are remembered.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The object with the note, and what is in it.
pub struct Made {
    /// To be linked.
    pub object: Vec<u8>,
    /// In the note.
    pub signature: Signature,
    /// In the note.
    pub metadata: BuildMetadata,
    /// When the link began.
    pub started: SystemTime,
    /// Already, where the signature is computed from the inputs.
    pub described: Option<DescribedInputs>,
}

/// Makes the note for a link with objects of this identity. It is on the critical path, so only heads of files are
/// read, unless the signature has to be computed from their contents.
pub fn make_note(
    settings: &Settings,
    identity: &ElfIdentity,
    compiler: Option<String>,
    line: &LinkLine,
    arguments: &[OsString],
) -> Result<Made, Unmarked> {
    let started = SystemTime::now();
    let unix_time_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let metadata = metadata::for_note(settings.reproducible, unix_time_s as i64, compiler);
    let bytes = metadata.encode_to_vec();
    let described =
        settings.reproducible.then(|| record::describe_inputs(&resolve_inputs(line), &DigestCache::open()));
    let signature = match &described {
        Some(described) => {
            let digests =
                described.inputs.iter().filter_map(|input| input.sha256.as_deref()?.try_into().ok());
            signature::reproducible(digests, arguments, &bytes)
        }
        None => signature::random(),
    };
    let object = note_object::note_object(identity, signature, &bytes)?;
    Ok(Made { object, signature, metadata, started, described })
}

/// A link that is going to be marked.
pub struct Prepared {
    /// As long as the linker reads it.
    pub note: NoteFile,
    /// What is known before the linker starts.
    pub facts: Facts,
    /// Already, because the signature is computed from them.
    pub described: Option<DescribedInputs>,
}

/// How it went.
pub enum Ended {
    /// The tool was not started, and nothing is left of the note.
    NotStarted,
    /// So, and whether it was registered.
    With(ExitStatus, Result<(), Unmarked>),
}

/// Runs the tool with the note on its line, and registers what comes out. `find_line` tells, while the tool runs, what
/// the linker reads and writes.
pub fn run(
    call: &Call,
    prepared: Prepared,
    settings: &Settings,
    find_line: impl FnOnce(&mut Facts) -> LinkLine,
) -> io::Result<Ended> {
    let Prepared { note, mut facts, described } = prepared;
    let started = Instant::now();
    let Ok(running) = call.spawn() else { return Ok(Ended::NotStarted) };
    let running = running.undisturbed();
    let spool = SpoolDir::from_environment();
    let observe = || {
        let line = find_line(&mut facts);
        (observe(facts, described, &line, settings, &spool), line)
    };
    let observed = catch_unwind(AssertUnwindSafe(observe));
    let status = running.wait()?;
    if !status.success() {
        return Ok(Ended::With(status, Ok(())));
    }
    let duration = started.elapsed();
    let register = || match observed {
        Ok((observed, line)) => observed.register(&note, &line, duration, settings, &spool),
        Err(_) => Err(Unmarked::Panic),
    };
    let registered = catch_unwind(AssertUnwindSafe(register)).unwrap_or(Err(Unmarked::Panic));
    Ok(Ended::With(status, registered))
}

/// What has become of it while the linker runs.
struct Observed {
    record: BuildRecord,
    companion: Option<Companion>,
    connecting: Option<Connecting>,
    /// Something waits in the spool, and can go the same way.
    has_more: bool,
}

/// Beside the linker. It takes its time: whoever calls waits for the linker afterwards anyway.
fn observe(
    facts: Facts,
    described: Option<DescribedInputs>,
    line: &LinkLine,
    settings: &Settings,
    spool: &SpoolDir,
) -> Observed {
    let record = record::begin(facts);
    let mut observed = Observed { record, companion: None, connecting: None, has_more: false };
    // Under OGRT_STRICT the build is to know how it ended, so nothing is left for later.
    if described.is_none() && !settings.strict && line.inputs.len() > INPUTS_MAX {
        observed.companion = Companion::start(&observed.record).ok();
    }
    if observed.companion.is_none() && !server_rest::rests(spool, &settings.server) {
        observed.connecting = Some(settings.server.connect_beside(settings.token_file.clone(), PATIENCE));
    }
    let described = described.or_else(|| observed.describe(line, settings));
    if let Some(DescribedInputs { inputs, compilers }) = described {
        (observed.record.inputs, observed.record.compilers) = (inputs, compilers);
    }
    observed.has_more = observed.connecting.is_some() && spool.has_any();
    observed.connecting = observed.connecting.map(Connecting::advanced);
    observed
}

impl Observed {
    /// The inputs, unless a companion does it.
    fn describe(&mut self, line: &LinkLine, settings: &Settings) -> Option<DescribedInputs> {
        if self.companion.is_some() {
            return None;
        }
        let (resolved, cache) = (resolve_inputs(line), DigestCache::open());
        if !settings.strict && describe_file::bytes_to_hash(&resolved, &cache) > BYTES_MAX {
            self.companion = Companion::start(&self.record).ok();
        }
        self.companion.is_none().then(|| record::describe_inputs(&resolved, &cache))
    }

    /// After the linker, which has succeeded.
    fn register(
        mut self,
        note: &NoteFile,
        line: &LinkLine,
        duration: Duration,
        settings: &Settings,
        spool: &SpoolDir,
    ) -> Result<(), Unmarked> {
        if let Some(list) = &line.dependency_file {
            dependency_file::remove_from(list, note.path())?;
        }
        let seen = describe_file::output(&line.output)?;
        if !seen.notes.signatures.iter().any(|signature| self.record.signature() == signature) {
            return Err(Unmarked::Lost(line.output.clone()));
        }
        self.record.duration_ns = Some(duration.as_nanos() as u64);
        if self.companion.is_none() && !settings.strict && seen.metadata.len() > OUTPUT_WHOLE_BYTES_MAX {
            self.companion = Companion::start(&self.record).ok();
        }
        match self.companion.take() {
            Some(companion) => self.leave_to(companion, seen, line, settings, spool),
            None => self.deliver(seen, settings, spool),
        }
    }

    fn leave_to(
        mut self,
        companion: Companion,
        seen: SeenOutput,
        line: &LinkLine,
        settings: &Settings,
        spool: &SpoolDir,
    ) -> Result<(), Unmarked> {
        self.record.output = Some(seen.output.clone());
        let unfinished = spool.put_unfinished(&encode_frame(MessageType::BuildRecord, &self.record)).ok();
        if companion.finish(&self.record, &seen.metadata, unfinished.as_deref()).is_ok() {
            return Ok(());
        }
        // It died: then all of it is done here.
        let taken = unfinished.as_deref().and_then(|path| spool.take_unfinished(path));
        if unfinished.is_some() && taken.is_none() {
            return Ok(());
        }
        if self.record.inputs.is_empty() {
            let described = record::describe_inputs(&resolve_inputs(line), &DigestCache::open());
            (self.record.inputs, self.record.compilers) = (described.inputs, described.compilers);
        }
        self.deliver(seen, settings, spool)?;
        taken.into_iter().for_each(TakenUnfinished::done);
        Ok(())
    }

    fn deliver(mut self, seen: SeenOutput, settings: &Settings, spool: &SpoolDir) -> Result<(), Unmarked> {
        self.record.output = Some(seen.hashed()?);
        let frame = encode_frame(MessageType::BuildRecord, &self.record);
        deliver_or_spool(&frame, 1, self.connecting, self.has_more, PATIENCE, &settings.server, spool)?;
        Ok(())
    }
}
