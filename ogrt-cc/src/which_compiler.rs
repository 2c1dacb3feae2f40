//! Which real compiler is meant: by our name, by a prefixed command, or by masquerade.
//!
//! | called as | runs |
//! |---|---|
//! | `ogrt-cc` | `OGRT_REAL_CC`, else the first `cc` or `gcc` on PATH that is not ours |
//! | `ogrt-c++` | `OGRT_REAL_CXX`, else `c++` or `g++` |
//! | `ogrt-fc` | `OGRT_REAL_FC`, else `gfortran` |
//! | `ogrt-cc gcc-13 ...` | `gcc-13`: a first argument that is no option and names a program |
//! | `gcc`, by a symlink to us | the next `gcc` on PATH that is not ours |

use ogrt_wrap::find_tool::{FindToolError, Finder, dirs_of};
use ogrt_wrap::settings::non_empty;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The real compiler and its arguments.
pub struct Compiler<'a> {
    pub path: PathBuf,
    pub arguments: &'a [OsString],
}

/// Our names, the variable that overrides the search, what is searched.
const OURS: &[(&str, &str, &[&str])] = &[
    ("ogrt-cc", "OGRT_REAL_CC", &["cc", "gcc"]),
    ("ogrt-c++", "OGRT_REAL_CXX", &["c++", "g++"]),
    ("ogrt-fc", "OGRT_REAL_FC", &["gfortran"]),
];

/// Decides.
pub fn which_compiler<'a>(
    argv0: &OsStr,
    arguments: &'a [OsString],
    finder: &Finder,
) -> Result<Compiler<'a>, FindToolError> {
    let name = Path::new(argv0).file_name().unwrap_or(argv0);
    let path_dirs = dirs_of("PATH");
    let Some((_, variable, candidates)) = OURS.iter().find(|(ours, ..)| name == *ours) else {
        return Ok(Compiler { path: finder.find(&[name], &path_dirs)?, arguments });
    };
    if let Some((program, rest)) = arguments.split_first().filter(|(word, _)| may_be_program(word)) {
        if program.as_bytes().contains(&b'/') {
            if finder.accepts(Path::new(program)) {
                return Ok(Compiler { path: program.into(), arguments: rest });
            }
        } else if let Ok(path) = finder.find(&[program], &path_dirs) {
            return Ok(Compiler { path, arguments: rest });
        }
    }
    if let Some(real) = non_empty(variable) {
        let path = match real.as_bytes().contains(&b'/') {
            true => PathBuf::from(real),
            false => finder.find(&[&real], &path_dirs)?,
        };
        return Ok(Compiler { path, arguments });
    }
    let names: Vec<&OsStr> = candidates.iter().map(OsStr::new).collect();
    Ok(Compiler { path: finder.find(&names, &path_dirs)?, arguments })
}

/// `ogrt-cc main.c` is a compilation, also where a file of that name happens to be executable.
fn may_be_program(word: &OsStr) -> bool {
    const SOURCES: &[&str] = &[
        "c", "h", "i", "ii", "cc", "cp", "cpp", "cxx", "C", "s", "S", "sx", "o", "a", "so", "f", "F", "f90",
        "F90", "f95", "F95", "f03", "f08", "for", "m", "d", "rs", "lo", "obj",
    ];
    let bytes = word.as_bytes();
    let is_source = Path::new(word)
        .extension()
        .is_some_and(|extension| SOURCES.iter().any(|source| extension == *source));
    !bytes.starts_with(b"-") && !bytes.starts_with(b"@") && !is_source
}
