//! Which real compiler is meant: by our name, by a prefixed command, or by masquerade.
//!
//! | called as | runs |
//! |---|---|
//! | `ogrt-cc` | `OGRT_REAL_CC`, which may hold several words, else the first `cc` or `gcc` on PATH that is not ours |
//! | `ogrt-c++` | `OGRT_REAL_CXX`, else `c++` or `g++` |
//! | `ogrt-fc` | `OGRT_REAL_FC`, else `gfortran` |
//! | `ogrt-cc gcc-13 ...` | `gcc-13`: a first argument that is not an option and names a program |
//! | `ogrt-cc ccache gcc ...` | `ccache gcc`: a launcher and the compiler that it runs |
//! | `ogrt-cc env X=1 gcc ...` | `env X=1 ogrt-cc gcc ...`: what comes behind such words may be another compiler than it seems, so we stand behind them |
//! | `gcc`, by a symlink to us | the next `gcc` on PATH that is not ours |

use ogrt_wrap::environment::non_empty;
use ogrt_wrap::line::response_file;
use ogrt_wrap::tool::find_tool::{FindToolError, Finder, dirs_of};
use ogrt_wrap::tool::known_tools::{self, ToolKind};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The compiler that is run.
pub struct Compiler {
    /// The program that is started: the compiler, or what stands before it.
    pub path: PathBuf,
    /// The compiler itself.
    pub driver: PathBuf,
    /// The words before the compiler's arguments: the compiler's name after a launcher.
    pub before: Vec<OsString>,
    /// The compiler's arguments.
    pub arguments: Vec<OsString>,
    /// `path` runs a command under changed conditions, and `before` holds that command from this
    /// index on.
    pub command_at: Option<usize>,
}

impl Compiler {
    fn alone(path: PathBuf, arguments: &[OsString]) -> Compiler {
        let arguments = arguments.to_vec();
        Compiler { driver: path.clone(), path, before: Vec::new(), arguments, command_at: None }
    }
}

/// Finds the real compiler.
pub fn which_compiler(
    argv0: &OsStr,
    arguments: &[OsString],
    finder: &Finder,
) -> Result<Compiler, FindToolError> {
    let name = Path::new(argv0).file_name().unwrap_or(argv0);
    let path_dirs = dirs_of("PATH");
    let Some(ToolKind::Wrapper { language, variable }) = kind_of(name) else {
        return Ok(Compiler::alone(finder.find_behind_us(name, argv0)?, arguments));
    };
    if let Some((path, rest)) = named_program(arguments, finder, &path_dirs) {
        return Ok(command(path, rest, finder, &path_dirs));
    }
    if let Some(real) = non_empty(variable) {
        let (program, options) = command_words(real);
        let program = program.as_os_str();
        let path = match program.as_bytes().contains(&b'/') {
            true => PathBuf::from(program),
            false => finder.find(&[program], &path_dirs)?,
        };
        return Ok(command(path, &[&options, arguments].concat(), finder, &path_dirs));
    }
    let names: Vec<&OsStr> = known_tools::system_compilers(language).map(OsStr::new).collect();
    Ok(Compiler::alone(finder.find(&names, &path_dirs)?, arguments))
}

/// The program in a variable such as make's CC, and the words after it. A file whose name holds a
/// space is one word.
fn command_words(value: &OsStr) -> (OsString, Vec<OsString>) {
    let mut words = response_file::split(value.as_bytes());
    match words.len() > 1 && !Path::new(value).is_file() {
        true => (words.remove(0), words),
        false => (value.to_owned(), Vec::new()),
    }
}

/// The compiler of a command: the program at `path` with the words `rest`.
fn command(path: PathBuf, rest: &[OsString], finder: &Finder, path_dirs: &[PathBuf]) -> Compiler {
    let kind = path.file_name().and_then(kind_of);
    let at = match kind {
        Some(ToolKind::Launcher) => Some(0),
        Some(ToolKind::Runner { values, words }) => known_tools::command_after(rest, values, words),
        _ => None,
    };
    let launched = at.and_then(|at| Some((at, named_program(rest.get(at..)?, finder, path_dirs)?)));
    match launched {
        Some((at, (driver, arguments))) => Compiler {
            path,
            driver,
            before: rest[..=at].to_vec(),
            arguments: arguments.to_vec(),
            command_at: matches!(kind, Some(ToolKind::Runner { .. })).then_some(at),
        },
        None => Compiler::alone(path, rest),
    }
}

fn kind_of(name: &OsStr) -> Option<ToolKind> {
    Some(known_tools::tool(name.to_str()?)?.kind)
}

/// The program that the first word names, and the words after it.
fn named_program<'a>(
    words: &'a [OsString],
    finder: &Finder,
    path_dirs: &[PathBuf],
) -> Option<(PathBuf, &'a [OsString])> {
    let (program, rest) = words.split_first().filter(|(word, _)| may_be_program(word))?;
    let path = match program.as_bytes().contains(&b'/') {
        true => Some(PathBuf::from(program)).filter(|path| finder.accepts(path)),
        false => finder.find(&[program], path_dirs).ok(),
    };
    Some((path?, rest))
}

/// The word may name a program. `ogrt-cc main.c` is a compilation, also where a file of that name
/// is executable.
fn may_be_program(word: &OsStr) -> bool {
    const SOURCES: &[&str] = &[
        "c", "h", "i", "ii", "cc", "cp", "cpp", "cxx", "C", "s", "S", "sx", "o", "a", "so", "f", "F", "f90",
        "F90", "f95", "F95", "f03", "f08", "for", "m", "d", "rs", "lo", "obj",
    ];
    let bytes = word.as_bytes();
    let is_source = Path::new(word)
        .extension()
        .is_some_and(|extension| SOURCES.iter().any(|source| extension == *source));
    // libz.so.1 may be executable as well.
    let is_library = bytes.windows(4).any(|part| part == b".so.");
    !bytes.starts_with(b"-") && !bytes.starts_with(b"@") && !is_source && !is_library
}
