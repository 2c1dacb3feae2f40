//! One link, from argv to the record at the server.

use crate::marked::{self, Ended, Prepared};
use crate::model::model_of;
use crate::unmarked::Unmarked;
use crate::which_linker::{Driver, which_linker};
use ogrt_wrap::environment;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::{probes, response_file};
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::record::Facts;
use ogrt_wrap::record::compilers;
use ogrt_wrap::save_link::{Called, SavedLink};
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::driver_command;
use ogrt_wrap::tool::find_tool::{FindToolError, Finder};
use ogrt_wrap::tool::run_tool::Call;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

const CALLED_VARIABLE: &str = "OGRT_LD_CALLED";

/// What is said, and ends the link: there is no linker, or `OGRT_STRICT=1` and something of ours failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is nothing to run.
    #[error("no real linker: {0}")]
    Find(#[from] FindToolError),
    /// Called to run a driver, without one.
    #[error("no compiler to run")]
    NoDriver,
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
    let saved = settings.save_link.as_deref().and_then(|base| {
        let called = Called {
            linker: &linker,
            arguments: &arguments,
            line: &line,
            working_directory: &working_directory,
        };
        SavedLink::create(base, &called).ok()
    });
    let decide = |what: &dyn std::fmt::Display| {
        if let Some(saved) = &saved {
            saved.decide(what);
        }
    };
    let not_for_us = if settings.disabled {
        Some("OGRT_DISABLE is set")
    } else if probes::is_probe(&line, driver_argv, &working_directory) {
        Some("a probe of a configure script")
    } else {
        line.not_final.as_deref()
    };
    if let Some(why) = not_for_us {
        decide(&format_args!("not marked: {why}"));
        return Err(hand_over());
    }

    let prepare = || prepare(&settings, &line, &call, driver, working_directory, saved.as_ref());
    let prepared = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or(Err(Unmarked::Panic));
    let (prepared, with_note) = match prepared {
        Ok(prepared) => prepared,
        Err(why) if settings.strict => return Err(why.into()),
        Err(why) => {
            decide(&format_args!("not marked: {why}"));
            return Err(hand_over());
        }
    };

    let marked = Call { arguments: &with_note, set, ..call };
    let find_line = |facts: &mut Facts| {
        // A driver's own response file is gone after the link, so the record holds what was in it.
        let words = response_file::expand_all(&arguments);
        facts.linker_command =
            std::iter::once(marked.argv0.into()).chain(words).map(Cow::into_owned).collect();
        line
    };
    match marked::run(&marked, prepared, &settings, find_line) {
        Ok(Ended::With(status, registered)) => {
            match &registered {
                Ok(()) => decide(&format_args!("ended: {status}")),
                Err(why) => decide(&format_args!("ended: {status}, not registered: {why}")),
            }
            match registered {
                Err(why) if settings.strict => Err(why.into()),
                _ => Ok(status),
            }
        }
        Ok(Ended::NotStarted) => {
            decide(&"the linker did not start with the note");
            Err(hand_over())
        }
        Err(source) => Err(LinkError::Run { path: linker.clone(), source }),
    }
}

/// All that is done before the linker starts: the note, and the line with it.
fn prepare(
    settings: &Settings,
    line: &LinkLine,
    call: &Call,
    driver: Driver,
    working_directory: PathBuf,
    saved: Option<&SavedLink>,
) -> Result<(Prepared, Vec<OsString>), Unmarked> {
    let model = model_of(line)?;
    let place = line.place_after(model.named).ok_or(Unmarked::NoPlace)?;
    let compiler = model.compiled.and_then(compilers::short_name);
    let made = marked::make_note(settings, &model.identity, compiler, line, call.arguments)?;
    let note = NoteFile::create(&made.object, call.program)?;

    if let Some(saved) = saved {
        saved.keep_note(&made.object);
        saved.decide(format_args!("takes after {:?}: {:?}", model.named.named, model.identity));
        saved.decide(format_args!("note {} as argument {place}: {}", made.signature, note.path().display()));
    }

    let mut with_note = call.arguments.to_vec();
    with_note.insert(place, note.path().into());
    let facts = Facts {
        signature: made.signature,
        metadata: made.metadata,
        reproducible: settings.reproducible,
        started: made.started,
        working_directory,
        driver,
        linker: call.program.to_owned(),
        // Taken down while the linker runs.
        linker_command: Vec::new(),
        client: concat!("ogrt-ld ", env!("CARGO_PKG_VERSION")),
    };
    Ok((Prepared { note, facts, described: made.described }, with_note))
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
    let (dir, value) = (directory_of(argv0)?, environment::var(NAME)?);
    let parts = value.as_bytes().split(|byte| *byte == b':');
    let kept: Vec<&[u8]> = parts.filter(|part| Path::new(OsStr::from_bytes(part)) != dir).collect();
    let kept = OsString::from(OsStr::from_bytes(&kept.join(&b':')));
    (kept != value).then_some((NAME, kept))
}

fn directory_of(argv0: &OsStr) -> Option<&Path> {
    Path::new(argv0).parent().filter(|dir| !dir.as_os_str().is_empty())
}
