//! A link as it comes to us: what would be run without us, and what is known of the link before it.
//!
//! It comes in one of two ways. Nearly always a driver runs us as its linker (`link_by_linker.rs`).
//! A driver that cannot be led to us is run by us, with the note on its own line
//! (`link_by_driver.rs`). What the two do differently is [`Way`]; all else is told once, in
//! `link.rs`.

use crate::not_marked::MarkError;
use crate::note_position::{NotePlacement, NotePlan};
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::save_link::SavedLink;
use ogrt_wrap::tool::find_tool::FindToolError;
use ogrt_wrap::tool::run_tool::Call;
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The driver's path and its argv.
pub type Driver = (PathBuf, Vec<OsString>);

/// A link as it comes to us.
#[derive(Debug)]
pub struct LinkRequest<'a> {
    /// The real linker or the driver.
    pub tool: PathBuf,
    /// The tool's `argv[0]`.
    pub argv0: OsString,
    /// The arguments after `argv[0]`, as they would be without us.
    pub arguments: Cow<'a, [OsString]>,
    /// Variables that are set for the tool.
    pub set: Vec<(&'static str, OsString)>,
    /// Variables that the tool does not see.
    pub removed: &'static [&'static str],
    /// The linker's line, as far as the arguments show it.
    pub line: LinkLine,
    /// No C library's start file is linked.
    pub is_freestanding: bool,
    /// The driver behind the link, if `ogrt-cc` ran one.
    pub driver: Option<Driver>,
    /// The directory in which relative paths start.
    pub working_directory: PathBuf,
    /// The wrapper that puts the note in, with its version.
    pub client: &'static str,
}

/// What the two ways do differently.
pub trait Way {
    /// The request that came.
    fn request(&self) -> &LinkRequest<'_>;

    /// Copies what the link reads below `base`, for a report.
    fn save(&self, base: &Path) -> Option<SavedLink>;

    /// Finds the format of the note's object.
    fn plan_note(&self) -> Result<NotePlan, MarkError>;

    /// Finds a position on the line for this object, and the kind of file that the tool can open.
    fn place_note(
        &self,
        plan: &NotePlan,
        object: &[u8],
        signature: &[u8; 16],
    ) -> Result<NotePlacement, MarkError>;

    /// The linker's own command. It may ask the driver, so it is called while the linker runs.
    fn linker_command(&self) -> LinkerCommand<'_>;
}

/// The command of the linker itself.
#[derive(Debug)]
pub struct LinkerCommand<'a> {
    /// The linker; the driver where the linker is not known.
    pub linker: PathBuf,
    /// The linker's argv without the note, response files opened; empty where it is not known.
    pub words: Vec<OsString>,
    /// What the words mean.
    pub line: Cow<'a, LinkLine>,
}

/// Why a link ends with a message of ours: there is no tool to run, or `OGRT_STRICT=1` is set and
/// something of ours failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The real linker was not found.
    #[error("cannot find the real linker: {0}")]
    Find(#[from] FindToolError),
    /// We were called to run a driver, and none was named.
    #[error("no compiler was named: the first argument must be the compiler")]
    NoDriver,
    /// The tool did not start.
    #[error("cannot run {path}: {source}", path = path.display())]
    Run {
        /// The tool.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A failure of ours, which is passed over without `OGRT_STRICT=1`.
    #[error("{0} (the link fails because OGRT_STRICT is set)")]
    Strict(#[from] MarkError),
}

impl LinkRequest<'_> {
    /// The tool's call with these arguments.
    pub fn call<'b>(&'b self, arguments: &'b [OsString]) -> Call<'b> {
        Call {
            program: &self.tool,
            argv0: &self.argv0,
            arguments,
            set: self.set.clone(),
            removed: self.removed,
        }
    }

    /// Becomes the tool, with its line as it was. Returns only if that failed.
    pub fn hand_over(&self) -> LinkError {
        self.run_error(self.call(&self.arguments).exec())
    }

    /// The error of a tool that could not be run.
    pub fn run_error(&self, source: std::io::Error) -> LinkError {
        LinkError::Run { path: self.tool.clone(), source }
    }
}
