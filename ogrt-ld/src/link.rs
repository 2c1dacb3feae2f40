//! One link, from argv to the record at the server.

use crate::model::model_of;
use crate::which_linker::{Driver, which_linker};
use ogrt_proto::{BuildRecord, MessageType, encode_frame};
use ogrt_wrap::deliver::{Connecting, PATIENCE};
use ogrt_wrap::find_tool::{FindToolError, Finder};
use ogrt_wrap::link_line::LinkLine;
use ogrt_wrap::note_file::NoteFile;
use ogrt_wrap::record::{self, DescribedInputs, Facts};
use ogrt_wrap::resolve_inputs::resolve_inputs;
use ogrt_wrap::run_tool::Call;
use ogrt_wrap::settings::Settings;
use ogrt_wrap::spool::{SpoolDir, SpoolError, deliver_or_spool};
use ogrt_wrap::{
    compilers, dependency_file, describe, driver_command, metadata, note_object, probes, signature,
};
use prost::Message;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

const CALLED_VARIABLE: &str = "OGRT_LD_CALLED";

/// What is said, and ends the link: there is no linker, or `OGRT_STRICT=1` and something of ours failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is nothing to run.
    #[error("no real linker: {0}")]
    Find(#[from] FindToolError),
    /// The linker did not start.
    #[error("cannot run {path}: {source}", path = path.display())]
    Run {
        /// The real linker.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Under `OGRT_STRICT=1` only.
    #[error("{0} (OGRT_STRICT is set)")]
    Strict(#[from] Unmarked),
}

/// Why a link was not marked, or not registered.
#[derive(Debug, thiserror::Error)]
pub enum Unmarked {
    #[error("no input is an ELF object or archive")]
    NoElfInput,
    #[error("there is no safe place for the note on the line")]
    NoPlace,
    #[error(transparent)]
    Object(#[from] note_object::NoteObjectError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a fault in ogrt-ld")]
    Panic,
    #[error("the record is lost: {0}")]
    Spool(#[from] SpoolError),
    #[error("the note is not in the output {0}")]
    Lost(PathBuf),
}

/// A link that is going to be marked.
struct Prepared {
    note: NoteFile,
    facts: Facts,
    /// Already, because the signature is computed from them.
    described: Option<DescribedInputs>,
    arguments: Vec<OsString>,
}

/// argv -> final link? -> real linker -> note object -> run the real linker -> hash and describe -> record ->
/// deliver or spool.
pub fn link(argv: &[OsString]) -> Result<ExitStatus, LinkError> {
    let argv0 = argv.first().map_or(OsStr::new("ld"), OsString::as_os_str);
    let settings = Settings::from_environment();
    let driver = driver_command::from_environment();
    let finder = Finder::new(CALLED_VARIABLE).also_ours(argv0);
    let arguments = without_our_directory(argv0, argv.get(1..).unwrap_or_default());
    let linker = which_linker(argv0, &driver, settings.real_linker.as_deref(), &finder)?;
    let set: Vec<_> = std::iter::once(finder.guard(&linker)).chain(library_path_without_us(argv0)).collect();
    let call = Call {
        program: &linker,
        // A driver calls a linker by its path, and that is what messages then begin with.
        argv0: if argv0.as_bytes().contains(&b'/') { linker.as_os_str() } else { argv0 },
        arguments: &arguments,
        set: set.clone(),
        removed: &[driver_command::VARIABLE, driver_command::LINKER_VARIABLE],
    };
    // The one rule: whatever goes wrong from here on, the real linker runs with the line as it was.
    let hand_over = || LinkError::Run { path: linker.clone(), source: call.exec() };

    let line = LinkLine::read(&arguments);
    let working_directory = std::env::current_dir().unwrap_or_default();
    let driver_argv = driver.as_ref().map(|(_, argv)| argv.as_slice()).unwrap_or_default();
    if settings.disabled
        || line.not_final.is_some()
        || probes::is_probe(&line, driver_argv, &working_directory)
    {
        return Err(hand_over());
    }

    let prepare = || prepare(&settings, &line, &call, driver, working_directory);
    let prepared = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or(Err(Unmarked::Panic));
    let mut prepared = match prepared {
        Ok(prepared) => prepared,
        Err(why) if settings.strict => return Err(why.into()),
        Err(_) => return Err(hand_over()),
    };

    let started = Instant::now();
    let marked = Call { arguments: &prepared.arguments, set, ..call };
    let Ok(running) = marked.spawn() else {
        // An exec runs no destructors, and nothing of the note is to be left.
        drop(prepared);
        return Err(hand_over());
    };
    let spool = SpoolDir::from_environment();
    let connecting = (!spool.server_rests(&settings.server))
        .then(|| settings.server.connect_beside(settings.token_file.clone(), PATIENCE));
    let ended = AtomicBool::new(false);
    let (status, described, tools) = std::thread::scope(|scope| {
        let observe = || {
            let described = prepared
                .described
                .take()
                .unwrap_or_else(|| record::describe_inputs(&resolve_inputs(&line), &ended));
            (described, record::describe_tools(&prepared.facts))
        };
        let observing = std::thread::Builder::new().spawn_scoped(scope, observe);
        let status = running.wait();
        // Of a link that failed nothing is recorded, and nothing is waited for.
        ended.store(!status.as_ref().is_ok_and(ExitStatus::success), Ordering::Relaxed);
        let observed = observing.ok().and_then(|thread| thread.join().ok());
        let (described, tools) = observed.unwrap_or_default();
        (status, described, tools)
    });
    let status = status.map_err(|source| LinkError::Run { path: linker.clone(), source })?;
    if !status.success() {
        return Ok(status);
    }

    let duration = started.elapsed();
    let register = || {
        if let Some(list) = &line.dependency_file {
            dependency_file::remove_from(list, prepared.note.path())?;
        }
        let (output, notes) = describe::output(&line.output)?;
        if !notes.signatures.contains(prepared.facts.signature.as_bytes()) {
            return Err(Unmarked::Lost(line.output.clone()));
        }
        let record = record::assemble(prepared.facts, described, tools, output, duration);
        deliver(&record, connecting, &settings, &spool)
    };
    let registered = catch_unwind(AssertUnwindSafe(register)).unwrap_or(Err(Unmarked::Panic));
    match registered {
        Err(why) if settings.strict => Err(why.into()),
        _ => Ok(status),
    }
}

/// All that is done before the linker starts; it is on the critical path, so only heads of files are read, unless
/// the signature has to be computed from their contents.
fn prepare(
    settings: &Settings,
    line: &LinkLine,
    call: &Call,
    driver: Driver,
    working_directory: PathBuf,
) -> Result<Prepared, Unmarked> {
    let model = model_of(line)?;
    let place = line.place_after(model.named).ok_or(Unmarked::NoPlace)?;

    let started = SystemTime::now();
    let unix_time_s = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let compiler = model.compiled.as_deref().and_then(compilers::short_name);
    let metadata = metadata::for_note(settings.reproducible, unix_time_s as i64, compiler);
    let metadata_bytes = metadata.encode_to_vec();

    let described = settings
        .reproducible
        .then(|| record::describe_inputs(&resolve_inputs(line), &AtomicBool::new(false)));
    let signature = match &described {
        Some(described) => {
            let digests =
                described.inputs.iter().filter_map(|input| input.sha256.as_deref()?.try_into().ok());
            signature::reproducible(digests, call.arguments, &metadata_bytes)
        }
        None => signature::random(),
    };
    let object = note_object::note_object(&model.identity, signature, &metadata_bytes)?;
    let note = NoteFile::create(&object, call.program)?;

    let mut with_note = call.arguments.to_vec();
    with_note.insert(place, note.path().into());
    let linker_command = std::iter::once(call.argv0).chain(call.arguments.iter().map(OsString::as_os_str));
    let facts = Facts {
        signature,
        metadata,
        reproducible: settings.reproducible,
        started,
        working_directory,
        driver,
        linker: call.program.to_owned(),
        linker_command: linker_command.map(OsStr::to_owned).collect(),
    };
    Ok(Prepared { note, facts, described, arguments: with_note })
}

/// gcc turns the `-B` that leads to us into a `-L` as well; the real linker is not to see it.
fn without_our_directory(argv0: &OsStr, arguments: &[OsString]) -> Vec<OsString> {
    let dir = directory_of(argv0);
    let is_ours = |word: &OsString| {
        let named = word.as_bytes().strip_prefix(b"-L").map(|path| Path::new(OsStr::from_bytes(path)));
        named.is_some() && named == dir
    };
    arguments.iter().filter(|word| !is_ours(word)).cloned().collect()
}

/// And into a part of LIBRARY_PATH, which no linker reads, but EasyBuild's linker wrapper: it makes an RPATH of each part.
fn library_path_without_us(argv0: &OsStr) -> Option<(&'static str, OsString)> {
    const NAME: &str = "LIBRARY_PATH";
    let (dir, value) = (directory_of(argv0)?, std::env::var_os(NAME)?);
    let parts = value.as_bytes().split(|byte| *byte == b':');
    let kept: Vec<&[u8]> = parts.filter(|part| Path::new(OsStr::from_bytes(part)) != dir).collect();
    let kept = OsString::from(OsStr::from_bytes(&kept.join(&b':')));
    (kept != value).then_some((NAME, kept))
}

fn directory_of(argv0: &OsStr) -> Option<&Path> {
    Path::new(argv0).parent().filter(|dir| !dir.as_os_str().is_empty())
}

fn deliver(
    record: &BuildRecord,
    connecting: Option<Connecting>,
    settings: &Settings,
    spool: &SpoolDir,
) -> Result<(), Unmarked> {
    let frame = encode_frame(MessageType::BuildRecord, record);
    deliver_or_spool(&frame, 1, connecting, &settings.server, spool)?;
    Ok(())
}
