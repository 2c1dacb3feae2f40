//! Small programs that may be gone in a moment: the questions of a configure script that nobody
//! knows by name.
//!
//! Such a script compiles and links a source in one call, runs the program or does not, removes it,
//! and makes the next in the same directory. Each alone looks like somebody's program, and most
//! are: so the first ones are registered at once. But where the two before it are gone or replaced
//! by now, this one is on probation: its record waits two seconds in the spool (see
//! `companion.rs`), and is dropped if the program is gone by then, in whatever place. A program
//! that was moved is still there.
//!
//! Only a program of one source, compiled and linked by one call, small and linked shortly after
//! other such ones is looked at. All other links pay nothing, and are registered at once.

use ogrt_proto::BuildRecord;
use ogrt_wrap::cache_dir::cache_dir;
use ogrt_wrap::line::link_line::{InputName, LinkLine, is_start_file};
use ogrt_wrap::record::describe_file;
use ogrt_wrap::small_file;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time after which a program that is still there was no question.
pub const PROBATION: Duration = Duration::from_secs(2);

/// The largest program that is looked at.
const BYTES_MAX: u64 = 128 * 1024;

/// A script asks its questions one after the other.
const NEXT_WITHIN_S: u64 = 10;

/// The number of programs in a row that are gone, after which the next one is on probation.
const GONE_MIN: u32 = 2;

/// The files that remember the last program of this kind: a directory's have one of them.
const LAST: &str = "last-small-program";

/// The number of these files. Of two directories with the same one, the later counts.
const FILES: u64 = 64;

/// The most bytes of that file.
const LAST_BYTES: usize = 8 * 1024;

/// True if this program is on probation. It is remembered, so that the next one can be compared.
pub fn is_on_probation(line: &LinkLine, record: &BuildRecord, output: &Metadata) -> bool {
    if output.len() > BYTES_MAX || line.is_shared || !is_of_one_source(line, &record.driver_command) {
        return false;
    }
    let working_directory = Path::new(OsStr::from_bytes(record.working_directory()));
    let path = working_directory.join(&line.output);
    let Some(file) = cache_dir().map(|dir| dir.join(file_name(&path))) else { return false };
    let gone_before = SmallProgram::read(&file).map_or(0, |last| last.gone_when_next_is(&path));
    let program = SmallProgram { path, inode: output.ino(), linked_s: now_s(), gone_before };
    // Another link may write it at the same time: then one of the two is not remembered.
    let _ = std::fs::write(&file, program.to_text());
    gone_before >= GONE_MIN
}

/// The name of the file for a program's directory.
fn file_name(path: &Path) -> String {
    let mut hash = std::hash::DefaultHasher::new();
    path.parent().hash(&mut hash);
    format!("{LAST}-{}", hash.finish() % FILES)
}

/// True if the program is gone. `file` was opened when it was made.
pub fn is_gone(file: &File, path: &Path, signature: &[u8]) -> bool {
    let is_unlinked = file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
    let has_note = |file: File| {
        describe_file::notes(&file).is_ok_and(|notes| notes.signatures.iter().any(|found| found == signature))
    };
    is_unlinked && !File::open(path).is_ok_and(has_note)
}

/// The compiler got a source and no object: the only object of the link is its own.
fn is_of_one_source(line: &LinkLine, driver_command: &[impl AsRef<[u8]>]) -> bool {
    let objects = line.inputs.iter().filter_map(|input| match &input.name {
        InputName::File(path) if !is_start_file(path) && !is_library(path) => Some(path),
        _ => None,
    });
    let mut objects = objects.peekable();
    let Some(object) = objects.next() else { return false };
    objects.peek().is_none()
        && !driver_command.is_empty()
        && !driver_command.iter().any(|word| word.as_ref() == object.as_os_str().as_bytes())
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.ends_with(b".a") || name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

/// A program as it was when it was linked.
#[derive(Debug, PartialEq, Eq)]
struct SmallProgram {
    path: PathBuf,
    inode: u64,
    linked_s: u64,
    /// The number of programs in a row that were gone when this one was linked.
    gone_before: u32,
}

impl SmallProgram {
    fn read(file: &Path) -> Option<SmallProgram> {
        let bytes = small_file::rest(&small_file::open(file).ok()?, LAST_BYTES).ok()?;
        SmallProgram::from_text(&bytes)
    }

    /// `INODE SECONDS GONE PATH`.
    fn from_text(text: &[u8]) -> Option<SmallProgram> {
        let mut words = text.splitn(4, |byte| *byte == b' ');
        let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
        let (inode, linked_s) = (number()?, number()?);
        let gone_before = u32::try_from(number()?).ok()?;
        let path = Path::new(OsStr::from_bytes(words.next()?)).to_owned();
        Some(SmallProgram { path, inode, linked_s, gone_before })
    }

    fn to_text(&self) -> Vec<u8> {
        let mut text = format!("{} {} {} ", self.inode, self.linked_s, self.gone_before).into_bytes();
        text.extend_from_slice(self.path.as_os_str().as_bytes());
        text
    }

    /// The number of programs in a row that are gone or replaced, now that another one is linked.
    fn gone_when_next_is(&self, next: &Path) -> u32 {
        let is_of_a_row =
            self.path.parent() == next.parent() && now_s().abs_diff(self.linked_s) < NEXT_WITHIN_S;
        if is_of_a_row && (self.path == next || !self.is_there()) {
            self.gone_before.saturating_add(1)
        } else {
            0
        }
    }

    fn is_there(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn a_program_is_remembered_with_any_name() {
        let path = PathBuf::from(OsStr::from_bytes(b"/b/a b\n\xff"));
        let program = SmallProgram { path, inode: 7, linked_s: 9, gone_before: 1 };
        assert_eq!(SmallProgram::from_text(&program.to_text()), Some(program));
        for damaged in [&b""[..], b"7", b"7 x 0 /b", b"-1 9 0 /b", b"7 9 1", b"7 9 /b"] {
            assert_eq!(SmallProgram::from_text(damaged), None);
        }
    }

    #[test]
    fn one_source_in_one_call_is_told_from_objects() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let is_of_one_source = |line: &str, driver: &str| {
            is_of_one_source(&LinkLine::read(&words(line)), &driver.split(' ').collect::<Vec<_>>())
        };
        let question = "-o t /usr/lib/crt1.o /usr/lib/crti.o /tmp/ccX.o -lc /usr/lib/libz.a /usr/lib/crtn.o";
        assert!(is_of_one_source(question, "gcc -o t t.c -lc /usr/lib/libz.a"));
        assert!(!is_of_one_source("-o t crt1.o main.o -lc", "gcc -o t main.o"));
        assert!(!is_of_one_source("-o t /tmp/ccX.o /tmp/ccY.o -lc", "gcc -o t a.c b.c"));
    }
}
