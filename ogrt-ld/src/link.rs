//! One link, from the request to the record at the server: the same flow for both ways in which a
//! link comes to us.
//!
//! The one rule stands beside the calls: whatever of ours goes wrong, the tool runs with its line
//! as it was.

use crate::attempt::Attempt;
use crate::link_request::{LinkError, LinkRequest, Way};
use crate::make_note::{BuildFacts, note_object};
use crate::not_marked::MarkError;
use crate::note_position::NotePlacement;
use crate::ordinary_output::{self, Verdict};
use crate::registration::{Registration, connect_early};
use crate::static_program;
use ogrt_wrap::deliver::lost_records;
use ogrt_wrap::line::probes;
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::save_link::SavedLink;
use ogrt_wrap::settings::Settings;
use std::ffi::OsString;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time for which the tool runs alone, before its inputs are described beside it.
///
/// Many failing links end within it, and cost nothing but the start of our programs then. A link
/// that succeeds takes longer, so its inputs are still described when it ends.
const HEAD_START: Duration = Duration::from_millis(3);

/// The flow: a link for us? -> an ordinary output? -> note on the line -> run the tool -> describe
/// the inputs beside it -> does a failure count, or does the line run as it stood? -> read the
/// output -> deliver or spool the record. If the link is saved, so is each decision.
pub fn link(way: &dyn Way, settings: &Settings) -> Result<ExitStatus, LinkError> {
    let request = way.request();
    let decisions = Decisions::of(way, settings);

    if let Some(why) = why_not_for_us(request, settings) {
        decisions.add(format_args!("not marked: {why}"));
        return Err(request.hand_over());
    }
    let (facts, mut mark) = match guarded(|| mark(way, settings, &decisions)) {
        Ok((facts, marked)) => (facts, Ok(marked)),
        Err(why) => {
            decisions.add(format_args!("not marked: {why}"));
            if settings.strict && !why.is_intended() {
                return Err(why.into());
            }
            (BuildFacts::now(settings.reproducible, None), Err(why))
        }
    };
    let (arguments, withhold) = match &mark {
        Ok(marked) => (marked.arguments.as_slice(), marked.is_in_doubt),
        Err(_) => (&*request.arguments, false),
    };

    let started = Instant::now();
    let attempt = match Attempt::start(request, arguments, withhold) {
        Ok(attempt) => attempt,
        Err(error) => {
            if mark.is_ok() {
                decisions.add(format_args!("not marked: the tool did not start with the note: {error}"));
            }
            // The tool would inherit the note's descriptor.
            drop(mark);
            return Err(request.hand_over());
        }
    };
    let early = guarded(|| Ok(connect_early(way, settings))).unwrap_or_default();
    let known = (facts, early);
    let begin = |(facts, early), goes_on: &(dyn Fn() -> bool + Sync)| {
        guarded(|| Ok(Registration::begin(way, facts, settings, early, goes_on)))
    };
    let registration = match attempt.fails_within(HEAD_START) {
        true => Err(known),
        false => {
            attempt.leave_processor();
            let watch = LinkerWatch::new(&attempt);
            Ok(begin(known, &|| watch.goes_on()))
        }
    };
    let mut ended = attempt.wait().map_err(|source| request.run_error(source))?;

    if let Ok(marked) = &mark
        && let Some(why) = ended.why_it_does_not_count(&marked.file)
    {
        decisions.add(format_args!("run again without the note: {why}"));
        mark = Err(MarkError::Refused(why));
        ended = ended.again(request).map_err(|source| request.run_error(source))?;
    }
    let status = ended.tell();
    let duration = started.elapsed();

    let registered = match status.success() {
        true => guarded(|| {
            let registration = registration.unwrap_or_else(|known| begin(known, &|| true));
            registration?.finish(mark.as_ref().map(|marked| &marked.file), duration)
        }),
        false => Ok(()),
    };
    match &registered {
        Ok(()) => decisions.add(format_args!("ended: {status}")),
        Err(why) => {
            decisions.add(format_args!("ended: {status}, not registered: {why}"));
            if let MarkError::Spool(why) = why {
                let output = request.working_directory.join(&request.line.output);
                lost_records::tell(&output, &why.to_string(), &settings.server.to_string());
            }
        }
    }
    match (registered, mark) {
        (Err(why), _) if settings.strict => Err(why.into()),
        (_, Err(why)) if settings.strict && status.success() && !why.is_intended() => Err(why.into()),
        _ => Ok(status),
    }
}

/// A look at the linker now and then, while other work is done beside it.
struct LinkerWatch<'a> {
    attempt: &'a Attempt,
    began: Instant,
    /// When the next look is due, in microseconds since `began`.
    due_us: AtomicU64,
}

impl LinkerWatch<'_> {
    /// The time between two looks.
    const EVERY_US: u64 = 100;

    fn new(attempt: &Attempt) -> LinkerWatch<'_> {
        LinkerWatch { attempt, began: Instant::now(), due_us: AtomicU64::new(0) }
    }

    /// The linker had not failed when it was last looked at.
    fn goes_on(&self) -> bool {
        let now_us = self.began.elapsed().as_micros() as u64;
        if now_us < self.due_us.load(Ordering::Relaxed) {
            return true;
        }
        self.due_us.store(now_us + Self::EVERY_US, Ordering::Relaxed);
        !self.attempt.has_failed()
    }
}

/// The reason why the link is left alone, and not even recorded, if there is one.
fn why_not_for_us<'a>(request: &'a LinkRequest, settings: &Settings) -> Option<&'a str> {
    let driver_command = request.driver.as_ref().map(|(_, argv)| argv.as_slice()).unwrap_or_default();
    if settings.disabled {
        Some("OGRT_DISABLE is set")
    } else if probes::is_probe(&request.line, driver_command, &request.working_directory) {
        Some("a probe of a configure script")
    } else {
        request.line.no_link
    }
}

/// A line with the note on it.
struct MarkedLine {
    arguments: Vec<OsString>,
    /// The note's object, perhaps with code for a static program. The tool reads it; it is deleted
    /// with this value.
    file: NoteFile,
    /// The note may not fit, or there is code of ours beside it.
    is_in_doubt: bool,
}

/// Puts the note on the line. The tool starts afterwards.
fn mark(
    way: &dyn Way,
    settings: &Settings,
    decisions: &Decisions,
) -> Result<(BuildFacts, MarkedLine), MarkError> {
    let request = way.request();
    let verdict = ordinary_output::judge(request);
    if let Verdict::Special(why) = verdict {
        return Err(MarkError::Special(why));
    }
    let plan = way.plan_note()?;
    if !ordinary_output::has_programs(plan.identity.machine) {
        return Err(MarkError::Special(ordinary_output::BARE_METAL));
    }
    let facts = BuildFacts::now(settings.reproducible, plan.compiler.clone());
    let object = note_object(&plan, &facts)?;
    let NotePlacement { position, medium, is_tried } =
        way.place_note(&plan, &object, facts.signature.as_bytes())?;
    let with_code = match static_program::code_for(request, settings, &plan.identity, &verdict) {
        Ok(code) => code.with_note(&object),
        Err(why) => {
            if settings.static_programs {
                decisions.add(format_args!("no code for a static program: {why}"));
            }
            None
        }
    };
    let is_in_doubt = verdict != Verdict::Ordinary || with_code.is_some();
    let object = with_code.unwrap_or(object);
    let (mut file, arguments) =
        position.put(&object, medium, &request.arguments).map_err(MarkError::NoteFile)?;
    if !is_tried {
        file.watch();
    }
    decisions.keep_note(&object);
    decisions.add(format_args!("the note's object is like {:?}: {:?}", plan.like.name, plan.identity));
    decisions.add(format_args!("note {} {position}: {}", facts.signature, file.path().display()));
    if let Verdict::Doubtful(why) = verdict {
        decisions.add(format_args!("in doubt: {why}"));
    }
    Ok((facts, MarkedLine { arguments, file, is_in_doubt }))
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
