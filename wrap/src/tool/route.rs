//! The way from a compiler driver to `ogrt-ld`: `-B`, and for clang a linker given by its path.
//!
//! Not every driver can be led. A gcc built `--with-ld=/...`, or with specs that name a linker,
//! searches nowhere; nvcc and similar drivers do not know `-B`. The name does not tell, so a driver
//! is tried once, and the answer is kept: it links nothing with our options, and `ogrt-ld`, when it
//! is called for this, only says that it is there.

use crate::line::driver_line::{linker_by_path, target_triple};
use crate::tool::ask_tool::{KeptAnswer, Question};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Set for a driver that is tried: `ogrt-ld` then says [`HERE`] and links nothing.
pub const TRIAL_VARIABLE: &str = "OGRT_LD_TRIAL";

/// What `ogrt-ld` says when it is tried.
pub const HERE: &str = "ogrt-ld is here";

/// The longest time for a trial: a driver may be started by slow scripts.
const TRIAL_TIME: Duration = Duration::from_secs(10);

/// The options that lead a driver to us.
#[derive(Debug)]
pub struct Route {
    /// Options for the front of the line, because the first -B wins.
    pub front: Vec<OsString>,
    /// Options for the end of the line, because the last path of a linker counts.
    pub back: Vec<OsString>,
    /// The linker that was given by its path. We run it instead.
    pub linker: Option<PathBuf>,
    /// Device, inode, size and mtime of `ogrt-ld`, which differ for another installation.
    wrapper: String,
}

impl Route {
    /// The route to `PREFIX/libexec/ogrt`; `None` if the linker wrapper is not there.
    pub fn to(linkers: &Path, arguments: &[OsString]) -> Option<Route> {
        let wrapper = std::fs::metadata(linkers.join("ld")).ok()?;
        let wrapper = format!("{}-{}-{}-{}", wrapper.dev(), wrapper.ino(), wrapper.size(), wrapper.mtime());
        let linker = linker_by_path(arguments);
        let is_new_form = arguments.iter().any(|word| word.as_bytes().starts_with(b"--ld-path="));
        let option = if is_new_form { "--ld-path=" } else { "-fuse-ld=" };
        let back = linker.is_some().then(|| {
            let mut option = OsString::from(option);
            option.push(linkers.join("ld"));
            option
        });
        Some(Route {
            front: vec!["-B".into(), linkers.into()],
            back: back.into_iter().collect(),
            linker,
            wrapper,
        })
    }

    /// The driver runs `ogrt-ld` with these arguments. `set` are variables that are set for it.
    pub fn leads_to_us(
        &self,
        driver: &Path,
        arguments: &[OsString],
        set: &[(&'static str, OsString)],
    ) -> bool {
        let relevant = relevant(arguments);
        let words = self.front.iter().chain(&relevant).chain(&self.back);
        let details: Vec<&OsStr> = words.map(OsString::as_os_str).collect();
        // Another installation is tried again.
        let subject = [&details[..], &[OsStr::new(&self.wrapper)]].concat();
        let kept = KeptAnswer::about("routes-1", driver, &subject);
        if let Some(answer) = kept.as_ref().and_then(KeptAnswer::answer) {
            return answer == HERE;
        }
        let mut trial: Vec<OsString> = details.iter().map(OsString::from).collect();
        // If the real linker is called after all, it prints its version, and links nothing.
        let nothing = ["-nostdlib", "-Wl,--version", "-o", "/proc/self/no-output", "/dev/null"];
        trial.extend(nothing.map(OsString::from));
        let mut set = set.to_vec();
        set.push((TRIAL_VARIABLE, "1".into()));
        let Some(answer) = (Question { arguments: trial, set, patience: TRIAL_TIME }).ask(driver) else {
            return false;
        };
        let leads = answer.stdout.lines().any(|line| line == HERE);
        if let Some(kept) = kept {
            kept.keep(if leads { HERE } else { "" });
        }
        leads
    }
}

/// The file at `PREFIX/libexec/ogrt/ld` is an `ogrt-ld` that can be run and knows this question.
pub fn answers(wrapper: &Path) -> bool {
    let question =
        Question { arguments: Vec::new(), set: vec![(TRIAL_VARIABLE, "1".into())], patience: TRIAL_TIME };
    question.ask(wrapper).is_some_and(|answer| answer.stdout.trim_end() == HERE)
}

/// The arguments that a driver chooses its linker by.
fn relevant(arguments: &[OsString]) -> Vec<OsString> {
    const STARTS: [&[u8]; 7] =
        [b"-fuse-ld=", b"--ld-path=", b"-specs=", b"--specs=", b"-m32", b"-mx32", b"-B"];
    let mut relevant: Vec<OsString> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "-B" || word == "-specs" {
            relevant.extend([word.clone()].into_iter().chain(words.next().cloned()));
        } else if STARTS.iter().any(|start| word.as_bytes().starts_with(start)) {
            relevant.push(word.clone());
        }
    }
    if let Some(triple) = target_triple(arguments) {
        let mut target = OsString::from("--target=");
        target.push(triple);
        relevant.push(target);
    }
    relevant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chooses_the_linker_is_kept_and_the_rest_is_not() {
        let line = "-O2 -fuse-ld=gold -B dir -Bother a.o -specs=x -target arm-linux -m32 -o x";
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let expected = ["-fuse-ld=gold", "-B", "dir", "-Bother", "-specs=x", "-m32", "--target=arm-linux"];
        assert_eq!(relevant(&words), expected);
    }
}
