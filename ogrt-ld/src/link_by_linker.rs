//! A link for which a driver, or a build, has called us as the linker.

use crate::link_request::{LinkError, LinkRequest, LinkerCommand, Way};
use crate::not_marked::MarkError;
use crate::note_position::{NotePlacement, NotePlan, NotePosition};
use crate::note_trial::{LinkerAccess, linker_access};
use crate::reference_input::{ReferenceInput, reference_input};
use crate::which_linker::{self, which_linker};
use ogrt_wrap::environment;
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::response_file;
use ogrt_wrap::save_link::{LinkCall, SavedLink};
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::driver_command;
use ogrt_wrap::tool::find_tool::Finder;
use ogrt_wrap::tool::{mold_run, route};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const CALLED_VARIABLE: &str = "OGRT_LD_CALLED";

/// A link for which we were called as the linker.
#[derive(Debug)]
pub struct LinkByLinker(LinkRequest<'static>);

impl LinkByLinker {
    /// Reads our own argv, which is that of the linker.
    pub fn read(argv: &[OsString], settings: &Settings) -> Result<LinkByLinker, LinkError> {
        let argv0 = argv.first().map_or(OsStr::new("ld"), OsString::as_os_str);
        let driver = driver_command::from_environment();
        let finder = Finder::new(CALLED_VARIABLE).also_ours(argv0);
        let arguments = without_our_directory(argv0, argv.get(1..).unwrap_or_default());
        let linker = which_linker(argv0, &driver, settings.real_linker.as_deref(), &finder)?;
        let guard = finder.guard(&linker);
        let line = LinkLine::of_linker(&linker, &arguments);
        Ok(LinkByLinker(LinkRequest {
            is_freestanding: line.is_freestanding(),
            line,
            // A driver calls a linker by its path, and the linker's messages begin with it.
            argv0: if argv0.as_bytes().contains(&b'/') { linker.clone().into() } else { argv0.to_owned() },
            tool: linker,
            arguments: Cow::Owned(arguments),
            set: std::iter::once(guard).chain(paths_without_us(argv0)).chain(molds_own()).collect(),
            removed: match is_only_ours(argv0) {
                true => OURS,
                false => OURS.split_last().map_or(OURS, |(_, others)| others),
            },
            driver,
            working_directory: std::env::current_dir().unwrap_or_default(),
            client: concat!("ogrt-ld ", env!("CARGO_PKG_VERSION")),
        }))
    }
}

impl Way for LinkByLinker {
    fn request(&self) -> &LinkRequest<'_> {
        &self.0
    }

    fn save(&self, base: &Path) -> Option<SavedLink> {
        let called = LinkCall {
            linker: &self.0.tool,
            arguments: &self.0.arguments,
            line: &self.0.line,
            working_directory: &self.0.working_directory,
        };
        SavedLink::create(base, &called).ok()
    }

    fn plan_note(&self) -> Result<NotePlan, MarkError> {
        let ReferenceInput { identity, named, properties, compiler } = reference_input(&self.0.line)?;
        Ok(NotePlan { identity, properties, like: named.clone(), compiler })
    }

    fn place_note(
        &self,
        plan: &NotePlan,
        object: &[u8],
        signature: &[u8; 16],
    ) -> Result<NotePlacement, MarkError> {
        let line = &self.0.line;
        // GNU ld names the last object without a stack note in a message. That must not be ours.
        let before = (!plan.properties.has_stack_note).then(|| line.place_before(&plan.like)).flatten();
        let argument = before.or_else(|| line.place_after(&plan.like)).ok_or(MarkError::NoPosition)?;
        let (medium, is_tried) = match linker_access(&self.0, object, signature) {
            LinkerAccess::Tried(medium) => (medium, true),
            LinkerAccess::Guessed(medium) => (medium, false),
            LinkerAccess::Nothing => return Err(MarkError::UnknownLinker(self.0.tool.clone())),
        };
        Ok(NotePlacement { position: NotePosition::Argument(argument), medium, is_tried })
    }

    fn linker_command(&self) -> LinkerCommand<'_> {
        // A driver's own response file is gone after the link, so the record holds what was in it.
        let words = response_file::expand_all(&self.0.arguments).map(Cow::into_owned);
        LinkerCommand {
            linker: self.0.tool.clone(),
            words: std::iter::once(self.0.argv0.clone()).chain(words).collect(),
            line: Cow::Borrowed(&self.0.line),
        }
    }
}

/// The arguments as the driver would have made them without us: gcc turns the `-B` that leads to us
/// into a `-L` as well.
fn without_our_directory(argv0: &OsStr, arguments: &[OsString]) -> Vec<OsString> {
    let dir = directory_of(argv0);
    let is_ours = |word: &OsString| {
        let named = word.as_bytes().strip_prefix(b"-L").map(|path| Path::new(OsStr::from_bytes(path)));
        named.is_some() && named == dir
    };
    arguments.iter().filter(|word| !is_ours(word)).cloned().collect()
}

/// The variables by which `ogrt-cc` tells us of a link.
const OURS: &[&str] = &[
    driver_command::VARIABLE,
    driver_command::LINKER_VARIABLE,
    mold_run::REAL_VARIABLE,
    // If nobody else set it.
    route::PATH_VARIABLE,
];

/// The variables with our directory in them as they were before. No linker reads LIBRARY_PATH, into
/// which gcc puts each `-B`, but EasyBuild's linker wrapper does: it makes an RPATH of each part.
fn paths_without_us(argv0: &OsStr) -> impl Iterator<Item = (&'static str, OsString)> {
    let compiler_path = (!is_only_ours(argv0)).then_some(route::PATH_VARIABLE);
    ["LIBRARY_PATH"].into_iter().chain(compiler_path).filter_map(move |name| {
        let (dir, value) = (directory_of(argv0)?, environment::var(name)?);
        let parts = value.as_bytes().split(|byte| *byte == b':');
        let kept: Vec<&[u8]> = parts.filter(|part| Path::new(OsStr::from_bytes(part)) != dir).collect();
        let kept = OsString::from(OsStr::from_bytes(&kept.join(&b':')));
        (kept != value).then_some((name, kept))
    })
}

/// COMPILER_PATH was not set before `ogrt-cc` put our directory into it.
fn is_only_ours(argv0: &OsStr) -> bool {
    let value = environment::var(route::PATH_VARIABLE);
    value.is_some() && value.map(Path::new) == directory_of(argv0)
}

/// What `mold -run` gave its processes before we stood in its place.
fn molds_own() -> Option<(&'static str, OsString)> {
    Some((mold_run::PATH_VARIABLE, mold_run::replaced_mold()?.into()))
}

/// The linker that a trial is told: the one that we would have to look for.
pub fn searched_linker(argv0: &OsStr) -> Option<PathBuf> {
    let finder = Finder::new(CALLED_VARIABLE).also_ours(argv0);
    let overriding = Settings::from_environment().real_linker;
    which_linker::searched_linker(argv0, overriding.as_deref(), &finder)
}

fn directory_of(argv0: &OsStr) -> Option<&Path> {
    Path::new(argv0).parent().filter(|dir| !dir.as_os_str().is_empty())
}
