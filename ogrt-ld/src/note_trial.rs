//! Whether a tool takes our note, and in what form: tried once, and kept.
//!
//! A launcher in front of a linker may close descriptors, run it where our files are not seen, or
//! refuse a word that it does not know. A name does not tell. So a tool that was not seen before is
//! given the note in a small link of its own, and what comes out is searched for the signature. The
//! trial's messages are nobody's. A failure is tried again after a time (`ask_tool.rs`).

use crate::link_request::LinkRequest;
use crate::note_position::NotePosition;
use ogrt_wrap::environment;
use ogrt_wrap::line::driver_line::target_triple;
use ogrt_wrap::line::our_note::DISK_PREFIX;
use ogrt_wrap::note::note_file::{Medium, NoteFile};
use ogrt_wrap::tool::ask_tool::{KeptAnswer, Question};
use ogrt_wrap::tool::find_tool::is_script;
use ogrt_wrap::tool::known_tools::{Language, driver_language};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time for one trial. `zig cc` first builds its libraries.
const TRIAL_TIME: Duration = Duration::from_secs(30);

/// The room that a trial needs: its output, and the temporary files of a driver.
const TRIAL_BYTES: usize = 256 * 1024;

/// A program shorter than this is a launcher, not a linker.
const LINKER_BYTES_MIN: u64 = 256 * 1024;

/// What is known of a linker that is given the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkerAccess {
    /// It was seen to take a note in such a file.
    Tried(Medium),
    /// It was not tried: it is a script, which may do anything, or nothing can be kept here.
    Guessed(Medium),
    /// It takes none.
    Nothing,
}

/// The answers that are kept; the empty one is that of a failure.
const ACCESS: [(&str, LinkerAccess); 4] = [
    ("memory", LinkerAccess::Tried(Medium::Memory)),
    ("disk", LinkerAccess::Tried(Medium::Disk)),
    ("script", LinkerAccess::Guessed(Medium::Disk)),
    ("", LinkerAccess::Nothing),
];

/// The kind of file from which the linker of this request takes a note. `object` is its note.
pub fn linker_access(request: &LinkRequest, object: &[u8], signature: &[u8; 16]) -> LinkerAccess {
    let emulation = request.line.emulation.as_deref();
    let details: Vec<&OsStr> = emulation.into_iter().collect();
    let kept = KeptAnswer::about("notes-1", &request.tool, &details);
    let answer = kept.as_ref().and_then(KeptAnswer::answer);
    if let Some((_, access)) = ACCESS.iter().find(|(name, _)| answer.as_deref() == Some(*name)) {
        return *access;
    }
    let access = match (&kept, Trial::begin(signature)) {
        _ if is_script(&request.tool) => LinkerAccess::Guessed(Medium::Disk),
        (Some(_), Ok(trial)) => trial.access(request, object),
        _ => return LinkerAccess::Guessed(likely_medium(&request.tool)),
    };
    if let (Some(kept), Some((name, _))) = (kept, ACCESS.iter().find(|(_, known)| *known == access)) {
        kept.keep(name);
    }
    access
}

/// The way in which a driver takes a note: the position on its line, and the kind of file.
pub fn driver_way(
    driver: &Path,
    arguments: &[OsString],
    object: &[u8],
    signature: &[u8; 16],
) -> Option<(NotePosition, Medium)> {
    const WAYS: [(&str, NotePosition, Medium); 3] = [
        ("option memory", NotePosition::Front, Medium::Memory),
        ("option disk", NotePosition::Front, Medium::Disk),
        ("object", NotePosition::End, Medium::Disk),
    ];
    let relevant = relevant(arguments);
    let library_path = environment::var("LIBRARY_PATH").unwrap_or_default();
    let details = relevant.iter().map(OsString::as_os_str).chain([library_path]);
    let details: Vec<&OsStr> = details.collect();
    let kept = KeptAnswer::about("drivers-2", driver, &details);
    let way = |(_, position, medium): &(&str, NotePosition, Medium)| (*position, *medium);
    if let Some(answer) = kept.as_ref().and_then(KeptAnswer::answer) {
        return WAYS.iter().find(|(name, ..)| *name == answer).map(way);
    }
    let trial = Trial::begin(signature).ok()?;
    let takes = |source: &Path, position: NotePosition, medium: Medium| {
        let mut words = relevant.clone();
        words.push(source.into());
        let placed = position.put(object, medium, &words);
        placed.is_ok_and(|(_file, words)| trial.makes_note(driver, words, &[]))
    };
    // An interpreter may close descriptors by a rule of its own.
    let ways = &WAYS[usize::from(is_script(driver))..];
    let sources = trial.sources_for(driver).ok()?;
    let found = sources
        .iter()
        .find_map(|source| ways.iter().find(|(_, position, medium)| takes(source, *position, *medium)));
    if let Some(kept) = kept {
        kept.keep(found.map_or("", |(name, ..)| name));
    }
    found.map(way)
}

/// A small link in a directory of its own.
struct Trial<'a> {
    dir: PathBuf,
    signature: &'a [u8; 16],
}

impl Trial<'_> {
    fn begin(signature: &[u8; 16]) -> io::Result<Trial<'_>> {
        let base = environment::temporary_directory().filter(|dir| dir.is_dir());
        let name = format!("{DISK_PREFIX}trial-{}", std::process::id());
        let dir = base.unwrap_or_else(|| "/tmp".into()).join(name);
        std::fs::create_dir(&dir)?;
        let trial = Trial { dir, signature };
        // On a full disk every tool fails, which must not be kept as its answer.
        let room = trial.dir.join("room");
        std::fs::write(&room, vec![0xA5; TRIAL_BYTES])?;
        std::fs::remove_file(&room)?;
        Ok(trial)
    }

    /// What a linker takes.
    fn access(&self, request: &LinkRequest, object: &[u8]) -> LinkerAccess {
        let takes = |medium: Medium| {
            let Ok(file) = NoteFile::create(object, medium) else { return false };
            ["-r", "-shared"].iter().any(|kind| {
                let mut arguments: Vec<OsString> = vec![(*kind).into(), file.path().into()];
                if let Some(emulation) = &request.line.emulation {
                    arguments.extend(["-m".into(), emulation.clone()]);
                }
                self.makes_note(&request.tool, arguments, &request.set)
            })
        };
        let found = [Medium::Memory, Medium::Disk].into_iter().find(|medium| takes(*medium));
        found.map_or(LinkerAccess::Nothing, LinkerAccess::Tried)
    }

    /// Sources of a program that the driver can compile: C, and Fortran for its compilers.
    fn sources_for(&self, driver: &Path) -> io::Result<Vec<PathBuf>> {
        let language = driver.file_name().and_then(OsStr::to_str).and_then(driver_language);
        let mut sources = vec![("trial.c", "int main(void) { return 0; }\n")];
        if language == Some(Language::Fortran) {
            sources.push(("trial.f90", "end\n"));
        }
        let write = |(name, text): (&str, &str)| {
            let path = self.dir.join(name);
            std::fs::write(&path, text).map(|()| path)
        };
        sources.into_iter().map(write).collect()
    }

    /// The tool makes an output with the note in it.
    fn makes_note(
        &self,
        tool: &Path,
        mut arguments: Vec<OsString>,
        set: &[(&'static str, OsString)],
    ) -> bool {
        let output = self.dir.join("output");
        arguments.extend(["-o".into(), output.clone().into()]);
        let set = set.iter().cloned().chain([("OGRT_DISABLE", "1".into())]).collect();
        let answer = Question { arguments, set, patience: TRIAL_TIME }.ask(tool);
        let bytes = std::fs::read(&output).unwrap_or_default();
        // It is not there if the tool failed.
        let _ = std::fs::remove_file(&output);
        answer.is_some() && bytes.windows(self.signature.len()).any(|bytes| bytes == self.signature)
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // What stays behind is a small directory among temporary files.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The arguments by which a driver chooses its target and its linker, and finds the libraries that
/// it links by itself: nvcc finds those of CUDA by `-L` alone in some installations.
fn relevant(arguments: &[OsString]) -> Vec<OsString> {
    const STARTS: [&[u8]; 7] =
        [b"-m", b"-specs=", b"--specs=", b"--sysroot=", b"-fuse-ld=", b"--ld-path=", b"-L"];
    let is_relevant =
        |word: &OsString| STARTS.iter().any(|start| word.as_bytes().starts_with(start)) && word != "-mllvm";
    let mut relevant: Vec<OsString> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if is_relevant(word) {
            relevant.push(word.clone());
            if word == "-L" {
                relevant.extend(words.next().cloned());
            }
        }
    }
    if let Some(triple) = target_triple(arguments) {
        relevant.extend(["-target".into(), triple]);
    }
    relevant
}

/// What a linker that was not tried can probably open: a small program or a script is a launcher,
/// which may close descriptors.
fn likely_medium(linker: &Path) -> Medium {
    let is_small = std::fs::metadata(linker).is_ok_and(|file| file.len() < LINKER_BYTES_MIN);
    if is_small || is_script(linker) { Medium::Disk } else { Medium::Memory }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_has_the_words_by_which_a_driver_finds_its_libraries() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let line = words("-O1 -L /a -L/b -m64 x.o -mllvm -lz -o out");
        assert_eq!(relevant(&line), words("-L /a -L/b -m64"));
    }
}
