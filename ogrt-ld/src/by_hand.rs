//! A link by a driver that cannot be led to us: the note's object goes on the driver's own line, and what the real linker
//! is given is learnt from the driver's `-###`.
//!
//! Should one of our linkers be reached after all, it sees the note on its line and stands aside, so that there are
//! never two notes nor two records. Only drivers are treated like this that understand `-print-file-name`, as gcc and
//! clang do, or are known by name: any other program gets its line as it was.

use crate::link::LinkError;
use crate::marked::{self, Ended, Prepared};
use crate::model::model_of;
use crate::shown::{Shown, ask};
use crate::unmarked::Unmarked;
use ogrt_wrap::elf_head::{ElfIdentity, Head, head};
use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::{driver_line, probes};
use ogrt_wrap::note::note_file::NoteFile;
use ogrt_wrap::record::Facts;
use ogrt_wrap::record::compilers;
use ogrt_wrap::save_link::SavedLink;
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::run_tool::Call;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Drivers that answer no question of ours, but take an object by its name.
const TAKE_OBJECTS: &[&str] = &[
    "nvcc",
    "nvc",
    "nvc++",
    "nvfortran",
    "pgcc",
    "pgc++",
    "pgfortran",
    "nagfor",
    "xlc",
    "xlC",
    "xlf",
    "icc",
    "icpc",
    "ifort",
    "tcc",
];

/// What a driver is like.
enum Manner {
    /// gcc, clang and what is built on them; with the file that its programs start with.
    Gcc { start_file: PathBuf },
    /// In [`TAKE_OBJECTS`].
    TakesObjects,
}

/// `argv[1]` is the driver, the rest its arguments.
pub fn link(argv: &[OsString]) -> Result<ExitStatus, LinkError> {
    let (driver, arguments) = match argv.get(1..) {
        Some([driver, arguments @ ..]) => (Path::new(driver), arguments),
        _ => return Err(LinkError::NoDriver),
    };
    let settings = Settings::from_environment();
    let call = Call { program: driver, argv0: driver.as_os_str(), arguments, set: Vec::new(), removed: &[] };
    let hand_over = || LinkError::Run { path: driver.to_owned(), source: call.exec() };

    let line = LinkLine::read(&driver_line::linker_words(arguments));
    let working_directory = std::env::current_dir().unwrap_or_default();
    if line.not_final.is_some() || probes::is_probe(&line, &argv[1..], &working_directory) {
        return Err(hand_over());
    }
    let save = |base| Shown::by(driver, arguments)?.save(base, &working_directory);
    let save = || settings.save_link.as_deref().and_then(save);
    let saved = catch_unwind(AssertUnwindSafe(save)).unwrap_or_default();
    let decide = |what: &dyn std::fmt::Display| {
        if let Some(saved) = &saved {
            saved.decide(what);
        }
    };
    let prepare = || prepare(&settings, &line, driver, &argv[1..], working_directory.clone(), saved.as_ref());
    let prepared = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or(Err(Unmarked::Panic));
    let (prepared, with_note) = match prepared {
        Ok(prepared) => prepared,
        Err(why) if settings.strict => return Err(why.into()),
        Err(why) => {
            decide(&format_args!("not marked: {why}"));
            return Err(hand_over());
        }
    };

    let marked = Call { arguments: &with_note, set: Vec::new(), ..call };
    let find_line = |facts: &mut Facts| match Shown::by(driver, arguments) {
        Some(Shown { linker, .. }) => {
            let line = LinkLine::read(&linker[1..]);
            facts.linker = PathBuf::from(&linker[0]);
            facts.linker_command = linker;
            line
        }
        None => line,
    };
    match marked::run(&marked, prepared, &settings, find_line) {
        Ok(Ended::With(_, Err(why))) if settings.strict => Err(why.into()),
        Ok(Ended::With(status, registered)) => {
            match registered {
                Ok(()) => decide(&format_args!("ended: {status}")),
                Err(why) => decide(&format_args!("ended: {status}, not registered: {why}")),
            }
            Ok(status)
        }
        Ok(Ended::NotStarted) => Err(hand_over()),
        Err(source) => Err(LinkError::Run { path: driver.to_owned(), source }),
    }
}

fn prepare(
    settings: &Settings,
    line: &LinkLine,
    driver: &Path,
    command: &[OsString],
    working_directory: PathBuf,
    saved: Option<&SavedLink>,
) -> Result<(Prepared, Vec<OsString>), Unmarked> {
    let arguments = &command[1..];
    let manner = manner_of(driver, arguments).ok_or(Unmarked::UnknownDriver)?;
    let model = model_of(line).ok();
    let identity = match (&model, &manner) {
        (Some(model), _) => model.identity,
        (None, Manner::Gcc { start_file }) => identity_of(start_file).ok_or(Unmarked::NoElfInput)?,
        // A compiler that knows no other machine than this.
        (None, Manner::TakesObjects) => {
            identity_of(Path::new("/proc/self/exe")).ok_or(Unmarked::NoElfInput)?
        }
    };
    let compiler = model.and_then(|model| compilers::short_name(model.compiled?));
    let made = marked::make_note(settings, &identity, compiler, line, arguments)?;
    if let Some(saved) = saved {
        saved.keep_note(&made.object);
        saved.decide(format_args!("note {} on the line of {}", made.signature, driver.display()));
    }
    let (note, with_note) = match manner {
        // In front, where no option before it can say that it is something else.
        Manner::Gcc { .. } => {
            let note = NoteFile::create(&made.object, driver)?;
            let front = [OsString::from("-Xlinker"), note.path().into()];
            (note, [&front, arguments].concat())
        }
        Manner::TakesObjects => {
            let note = NoteFile::create_named(&made.object)?;
            let back = [note.path().into()];
            (note, [arguments, &back].concat())
        }
    };
    let facts = Facts {
        signature: made.signature,
        metadata: made.metadata,
        reproducible: settings.reproducible,
        started: made.started,
        working_directory,
        driver: Some((driver.to_owned(), command.to_vec())),
        linker: driver.to_owned(),
        linker_command: Vec::new(),
        client: concat!("ogrt-cc ", env!("CARGO_PKG_VERSION")),
    };
    Ok((Prepared { note, facts, described: made.described }, with_note))
}

fn manner_of(driver: &Path, arguments: &[OsString]) -> Option<Manner> {
    let mut question: Vec<OsString> =
        arguments.iter().filter(|word| word.as_bytes().starts_with(b"-m")).cloned().collect();
    if let Some(triple) = driver_line::target_triple(arguments) {
        question.extend([OsString::from("-target"), triple]);
    }
    question.push("-print-file-name=crt1.o".into());
    let answer = ask(driver, question).map(|answer| answer.stdout).unwrap_or_default();
    let start_file = PathBuf::from(answer.trim_end());
    if start_file.is_absolute() && start_file.is_file() {
        return Some(Manner::Gcc { start_file });
    }
    let name = driver.file_name()?;
    TAKE_OBJECTS.iter().any(|known| name == *known).then_some(Manner::TakesObjects)
}

fn identity_of(file: &Path) -> Option<ElfIdentity> {
    match head(file) {
        Ok(Head::Elf(identity)) => Some(identity),
        _ => None,
    }
}
