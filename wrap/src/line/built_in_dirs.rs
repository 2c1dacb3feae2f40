//! The directories in which a linker looks for libraries without being told: it is asked once, and
//! the answer is kept.
//!
//! GNU ld shows them in its default script (`--verbose`), for each emulation others. lld and mold
//! have none. gold shows nothing, and is taken to look in the system's directories.

use crate::ask_tool::{KeptAnswer, Question};
use crate::line::script_names::ScriptNames;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time for an answer.
const QUESTION_TIME: Duration = Duration::from_secs(2);

/// The directories of a linker that does not tell them.
const SYSTEM: [&str; 6] =
    ["=/usr/local/lib", "=/lib64", "=/usr/lib64", "=/lib", "=/usr/lib", "=/usr/local/lib64"];

/// What a linker has built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltInDirs {
    /// The directories in order; a leading `=` is kept.
    pub dirs: Vec<PathBuf>,
    /// The sysroot, for lines without `--sysroot`.
    pub sysroot: Option<PathBuf>,
}

impl Default for BuiltInDirs {
    fn default() -> BuiltInDirs {
        BuiltInDirs { dirs: SYSTEM.map(PathBuf::from).into(), sysroot: None }
    }
}

impl BuiltInDirs {
    /// Asks the linker, with the emulation of the line (`-m`).
    pub fn of(linker: &Path, emulation: Option<&OsStr>) -> BuiltInDirs {
        let kept = KeptAnswer::about("search-dirs-1", linker, &[emulation.unwrap_or_default()]);
        if let Some(answer) = kept.as_ref().and_then(KeptAnswer::answer) {
            return BuiltInDirs::parse(&answer);
        }
        let answer = ask(linker, emulation);
        if let Some(kept) = kept {
            kept.keep(&answer);
        }
        BuiltInDirs::parse(&answer)
    }

    /// Reads an answer: the sysroot in the first line, then a directory in each.
    fn parse(answer: &str) -> BuiltInDirs {
        let mut lines = answer.lines();
        let Some(sysroot) = lines.next() else { return BuiltInDirs::default() };
        let sysroot =
            Some(PathBuf::from(sysroot)).filter(|path| path.is_absolute() && path != Path::new("/"));
        BuiltInDirs { dirs: lines.map(PathBuf::from).collect(), sysroot }
    }
}

/// An answer to keep; empty where the linker tells nothing.
fn ask(linker: &Path, emulation: Option<&OsStr>) -> String {
    let question = |words: &[&OsStr]| {
        let arguments = words.iter().map(OsString::from).collect();
        let question =
            Question { arguments, set: vec![("OGRT_DISABLE", "1".into())], patience: QUESTION_TIME };
        question.ask(linker).map(|answer| answer.stdout).unwrap_or_default()
    };
    let mut words = vec![OsStr::new("--verbose")];
    words.extend(emulation.iter().flat_map(|name| [OsStr::new("-m"), name]));
    let dirs = ScriptNames::of(&question(&words)).dirs;
    if dirs.is_empty() {
        let version = question(&[OsStr::new("--version")]);
        let has_none = version.contains("LLD ") || version.starts_with("mold ");
        return if has_none { "/".to_owned() } else { String::new() };
    }
    let sysroot = question(&[OsStr::new("--print-sysroot")]);
    format!("{}\n{}", sysroot.trim(), dirs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let told = BuiltInDirs::parse("/opt/sysroot\n=/usr/local/lib\n=/lib");
        assert_eq!(told.sysroot.as_deref(), Some(Path::new("/opt/sysroot")));
        assert_eq!(told.dirs, [Path::new("=/usr/local/lib"), Path::new("=/lib")]);
        assert!(BuiltInDirs::parse("/").dirs.is_empty());
        assert_eq!(BuiltInDirs::parse(""), BuiltInDirs::default());
        assert_eq!(BuiltInDirs::parse("\n/lib").sysroot, None);
    }
}
