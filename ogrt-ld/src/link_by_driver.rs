//! A link by a driver that cannot be led to us: the note's object goes on the driver's own line,
//! and what the real linker is given is learnt from the driver's `-###`.
//!
//! Should one of our linkers be reached after all, it sees the note on its line and stands aside,
//! so that there are never two notes nor two records
//! (`both_layers_and_our_linkers_on_path_make_one_note` in `tests/wrappers`). Only drivers are
//! treated like this that understand `-print-file-name`, as gcc and clang do, or are known by name:
//! any other program gets its line as it was.

use crate::driver_dry_run::{DriverCommands, ask};
use crate::link_request::{LinkError, LinkRequest, LinkerCommand, Way};
use crate::not_marked::MarkError;
use crate::note_position::{NotePlan, NotePosition};
use crate::reference_input::{ReferenceInput, reference_input};
use ogrt_wrap::elf_head::{ElfIdentity, Head, head};
use ogrt_wrap::line::driver_line;
use ogrt_wrap::line::link_line::{InputName, LinkLine};
use ogrt_wrap::record::compilers;
use ogrt_wrap::save_link::{LinkCall, SavedLink};
use ogrt_wrap::tool::known_tools::{self, DriverKind, ToolKind};
use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The way in which a driver takes the note.
enum NoteRoute {
    /// The driver takes an option of gcc. Its programs start with `start_file`.
    Option { start_file: PathBuf },
    /// The driver takes one more object.
    Object,
}

/// A link by a driver that we run.
#[derive(Debug)]
pub struct LinkByDriver<'a>(LinkRequest<'a>);

impl LinkByDriver<'_> {
    /// Reads our own argv: `argv[1]` is the driver, the rest its arguments.
    pub fn read(argv: &[OsString]) -> Result<LinkByDriver<'_>, LinkError> {
        let command = argv.get(1..).unwrap_or_default();
        let (driver, arguments) = command.split_first().ok_or(LinkError::NoDriver)?;
        let path = PathBuf::from(driver);
        Ok(LinkByDriver(LinkRequest {
            line: LinkLine::read(&driver_line::linker_words(arguments)),
            argv0: driver.clone(),
            tool: path.clone(),
            arguments: Cow::Borrowed(arguments),
            set: Vec::new(),
            removed: &[],
            driver: Some((path, command.to_vec())),
            working_directory: std::env::current_dir().unwrap_or_default(),
            client: concat!("ogrt-cc ", env!("CARGO_PKG_VERSION")),
        }))
    }
}

impl Way for LinkByDriver<'_> {
    fn request(&self) -> &LinkRequest<'_> {
        &self.0
    }

    fn save(&self, base: &Path) -> Option<SavedLink> {
        match DriverCommands::of(&self.0.tool, &self.0.arguments) {
            Some(commands) => commands.save(base, &self.0.working_directory),
            None => {
                let called = LinkCall {
                    linker: &self.0.tool,
                    arguments: &self.0.arguments,
                    line: &self.0.line,
                    working_directory: &self.0.working_directory,
                };
                SavedLink::create(base, &called).ok()
            }
        }
    }

    fn plan_note(&self) -> Result<NotePlan, MarkError> {
        let route = note_route(&self.0.tool, &self.0.arguments).ok_or(MarkError::UnknownDriver)?;
        let position = match route {
            NoteRoute::Option { .. } => NotePosition::Front,
            NoteRoute::Object => NotePosition::End,
        };
        if let Ok(ReferenceInput { identity, named, compiled }) = reference_input(&self.0.line) {
            let compiler = compiled.and_then(compilers::short_name);
            return Ok(NotePlan { identity, like: named.name.clone(), compiler, position });
        }
        let like = match route {
            NoteRoute::Option { start_file } => start_file,
            // Such a compiler makes programs for this machine only.
            NoteRoute::Object => PathBuf::from("/proc/self/exe"),
        };
        let identity = identity_of(&like).ok_or(MarkError::NoElfInput)?;
        Ok(NotePlan { identity, like: InputName::File(like), compiler: None, position })
    }

    fn linker_command(&self) -> LinkerCommand<'_> {
        match DriverCommands::of(&self.0.tool, &self.0.arguments) {
            Some(DriverCommands { linker, .. }) => LinkerCommand {
                linker: PathBuf::from(&linker[0]),
                line: Cow::Owned(LinkLine::read(&linker[1..])),
                words: linker,
            },
            None => LinkerCommand {
                linker: self.0.tool.clone(),
                line: Cow::Borrowed(&self.0.line),
                words: Vec::new(),
            },
        }
    }
}

fn note_route(driver: &Path, arguments: &[OsString]) -> Option<NoteRoute> {
    let mut question: Vec<OsString> =
        arguments.iter().filter(|word| word.as_bytes().starts_with(b"-m")).cloned().collect();
    if let Some(triple) = driver_line::target_triple(arguments) {
        question.extend([OsString::from("-target"), triple]);
    }
    question.push("-print-file-name=crt1.o".into());
    let answer = ask(driver, question).map(|answer| answer.stdout).unwrap_or_default();
    let start_file = PathBuf::from(answer.trim_end());
    if start_file.is_absolute() && start_file.is_file() {
        return Some(NoteRoute::Option { start_file });
    }
    let known = known_tools::tool(driver.file_name()?.to_str()?)?;
    matches!(known.kind, ToolKind::Driver(_, DriverKind::TakesObject)).then_some(NoteRoute::Object)
}

fn identity_of(file: &Path) -> Option<ElfIdentity> {
    match head(file) {
        Ok(Head::Elf(identity)) => Some(identity),
        _ => None,
    }
}
