//! A link by a driver that cannot be led to us: the note's object goes on the driver's own line,
//! and what the real linker is given is learnt from the driver's `-###`.
//!
//! Should one of our linkers be reached after all, it sees the note on its line and stands aside,
//! so that there are never two notes nor two records
//! (`both_layers_and_our_linkers_on_path_make_one_note` in `tests/wrappers`). A driver is tried
//! once (see `note_trial.rs`): one that takes no note gets its line as it was.

use crate::driver_dry_run::{DriverCommands, ask};
use crate::link_request::{LinkError, LinkRequest, LinkerCommand, Way};
use crate::not_marked::MarkError;
use crate::note_position::{NotePlacement, NotePlan};
use crate::note_trial::driver_way;
use crate::reference_input::{ReferenceInput, reference_input};
use ogrt_wrap::elf_head::{ElfIdentity, Head, head};
use ogrt_wrap::line::driver_line;
use ogrt_wrap::line::link_line::{InputName, LinkLine, NamedInput};
use ogrt_wrap::note::object_properties::ObjectProperties;
use ogrt_wrap::save_link::{LinkCall, SavedLink};
use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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
            is_freestanding: driver_line::is_freestanding(arguments),
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
        let start_file = start_file(&self.0.tool, &self.0.arguments);
        // Without an answer, such a compiler makes programs for this machine only.
        let like = start_file.unwrap_or_else(|| "/proc/self/exe".into());
        let Some(identity) = identity_of(&like) else { return Err(MarkError::ForeignObject(like)) };
        match reference_input(&self.0.line) {
            Ok(ReferenceInput { identity: found, named, properties, compiler })
                if (found.machine, found.is_64) == (identity.machine, identity.is_64) =>
            {
                Ok(NotePlan { identity: found, properties, like: named.clone(), compiler })
            }
            Err(error @ MarkError::ForeignObject(_)) => Err(error),
            _ => {
                let properties = ObjectProperties::without_example(&identity);
                let like = NamedInput { name: InputName::File(like), argument: 0, taken_whole: true };
                Ok(NotePlan { identity, properties, like, compiler: None })
            }
        }
    }

    fn place_note(
        &self,
        _: &NotePlan,
        object: &[u8],
        signature: &[u8; 16],
    ) -> Result<NotePlacement, MarkError> {
        let (position, medium) = driver_way(&self.0.tool, &self.0.arguments, object, signature)
            .ok_or_else(|| MarkError::UnknownDriver(self.0.tool.clone()))?;
        Ok(NotePlacement { position, medium, is_tried: true })
    }

    fn linker_command(&self) -> LinkerCommand<'_> {
        match DriverCommands::of(&self.0.tool, &self.0.arguments) {
            Some(DriverCommands { linker, .. }) => LinkerCommand {
                linker: PathBuf::from(&linker[0]),
                line: Cow::Owned(LinkLine::of_linker(Path::new(&linker[0]), &linker[1..])),
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

/// The file by which the driver's programs start, as it tells gcc's question.
fn start_file(driver: &Path, arguments: &[OsString]) -> Option<PathBuf> {
    let mut question: Vec<OsString> =
        arguments.iter().filter(|word| word.as_bytes().starts_with(b"-m")).cloned().collect();
    if let Some(triple) = driver_line::target_triple(arguments) {
        question.extend([OsString::from("-target"), triple]);
    }
    question.push("-print-file-name=crt1.o".into());
    let answer = ask(driver, question).map(|answer| answer.stdout).unwrap_or_default();
    let start_file = PathBuf::from(answer.trim_end());
    (start_file.is_absolute() && start_file.is_file()).then_some(start_file)
}

fn identity_of(file: &Path) -> Option<ElfIdentity> {
    match head(file) {
        Ok(Head::Elf(identity)) => Some(identity),
        _ => None,
    }
}
