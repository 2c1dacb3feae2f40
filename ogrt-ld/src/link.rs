//! One link, from the request to the record at the server: the same flow for both ways in which a
//! link comes to us.
//!
//! The one rule stands beside the calls: whatever of ours goes wrong, the tool runs with its line
//! as it was.

use crate::link_request::{LinkError, LinkRequest, Way};
use crate::make_note::{Note, make_note};
use crate::not_marked::MarkError;
use crate::registration::Registration;
use ogrt_wrap::line::probes;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::save_link::SavedLink;
use ogrt_wrap::settings::Settings;
use std::ffi::OsString;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::time::Instant;

/// The flow: final link? -> note on the line -> run the tool -> describe the inputs beside it ->
/// read the output -> deliver or spool the record. If the link is saved, so is each decision.
pub fn link(way: &dyn Way, settings: &Settings) -> Result<ExitStatus, LinkError> {
    let request = way.request();
    let decisions = Decisions::of(way, settings);

    if let Some(why) = why_not_for_us(request, settings) {
        decisions.add(format_args!("not marked: {why}"));
        return Err(request.hand_over());
    }
    let marked = match guarded(|| mark(way, settings, &decisions)) {
        Ok(marked) => marked,
        Err(why) => {
            decisions.add(format_args!("not marked: {why}"));
            return Err(if settings.strict { why.into() } else { request.hand_over() });
        }
    };
    let MarkedLine { arguments, note, file } = marked;

    let started = Instant::now();
    let running = match request.call(&arguments).spawn() {
        Ok(running) => running,
        Err(error) => {
            decisions.add(format_args!("not marked: the tool did not start with the note: {error}"));
            // The tool would inherit the note's descriptor.
            drop(file);
            return Err(request.hand_over());
        }
    };
    let running = running.undisturbed();
    let registration = guarded(|| Ok(Registration::begin(way, note, settings)));
    let status = running.wait().map_err(|source| request.run_error(source))?;
    let duration = started.elapsed();

    let registered = match status.success() {
        true => guarded(|| registration?.finish(&file, duration)),
        false => Ok(()),
    };
    match &registered {
        Ok(()) => decisions.add(format_args!("ended: {status}")),
        Err(why) => decisions.add(format_args!("ended: {status}, not registered: {why}")),
    }
    match registered {
        Err(why) if settings.strict => Err(why.into()),
        _ => Ok(status),
    }
}

/// The reason why the link is left alone, if there is one.
fn why_not_for_us<'a>(request: &'a LinkRequest, settings: &Settings) -> Option<&'a str> {
    let driver_command = request.driver.as_ref().map(|(_, argv)| argv.as_slice()).unwrap_or_default();
    if settings.disabled {
        Some("OGRT_DISABLE is set")
    } else if probes::is_probe(&request.line, driver_command, &request.working_directory) {
        Some("a probe of a configure script")
    } else {
        request.line.not_final.as_deref()
    }
}

/// A line with the note on it.
struct MarkedLine {
    arguments: Vec<OsString>,
    note: Note,
    /// The note's object, which the tool reads; deleted with this value.
    file: NoteFile,
}

/// Puts the note on the line. The tool starts afterwards.
fn mark(way: &dyn Way, settings: &Settings, decisions: &Decisions) -> Result<MarkedLine, MarkError> {
    let request = way.request();
    let plan = way.plan_note()?;
    let note = make_note(&plan, &request.line, &request.arguments, settings.reproducible)?;
    let (file, arguments) =
        plan.position.put(&note.object, &request.tool, &request.arguments).map_err(MarkError::NoteFile)?;
    decisions.keep_note(&note.object);
    decisions.add(format_args!("the note's object is like {:?}: {:?}", plan.like, plan.identity));
    decisions.add(format_args!("note {} {}: {}", note.signature, plan.position, file.path().display()));
    Ok(MarkedLine { arguments, note, file })
}

/// The decisions about a link, which are written down if `OGRT_SAVE_LINK` is set.
struct Decisions(Option<SavedLink>);

impl Decisions {
    fn of(way: &dyn Way, settings: &Settings) -> Decisions {
        let saved = settings.save_link.as_deref().map(|base| guarded(|| Ok(way.save(base))));
        Decisions(saved.and_then(Result::ok).flatten())
    }

    fn add(&self, what: impl Display) {
        if let Some(saved) = &self.0 {
            saved.decide(what);
        }
    }

    fn keep_note(&self, object: &[u8]) {
        if let Some(saved) = &self.0 {
            saved.keep_note(object);
        }
    }
}

/// Does work of ours. A panic in it is an error like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, MarkError>) -> Result<T, MarkError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(MarkError::Panic))
}
