//! Response files: what `@file` on a command line stands for.
//!
//! The rules are libiberty's `buildargv` and `expandargv`, which gcc, GNU ld and gold share and
//! clang and lld follow: words end at white space, single and double quotes group, a backslash
//! takes the next character as it is, also inside quotes. A file that cannot be read is an ordinary
//! argument. Files are read only to understand the line; the real tool gets the `@file` itself.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Files nested deeper than this count as ordinary arguments.
const DEPTH_MAX: usize = 16;

/// The largest file that is read. No linker's command line is longer.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The words that one argument stands for: itself, or the words in its response file and in those
/// named there.
pub fn expand(argument: &OsStr) -> impl Iterator<Item = Cow<'_, OsStr>> {
    let within = words_within(argument, 0);
    let itself = within.is_none().then_some(Cow::Borrowed(argument));
    itself.into_iter().chain(within.unwrap_or_default().into_iter().map(Cow::Owned))
}

/// The words of a whole line.
pub fn expand_all(arguments: &[OsString]) -> impl Iterator<Item = Cow<'_, OsStr>> {
    arguments.iter().flat_map(|argument| expand(argument))
}

/// The words of a whole line, which is copied only if it names a response file.
pub fn opened(arguments: &[OsString]) -> Cow<'_, [OsString]> {
    match arguments.iter().any(|word| word.as_bytes().starts_with(b"@")) {
        true => Cow::Owned(expand_all(arguments).map(Cow::into_owned).collect()),
        false => Cow::Borrowed(arguments),
    }
}

/// The words in the response file and in those named there; `None` for an ordinary argument.
fn words_within(argument: &OsStr, depth: usize) -> Option<Vec<OsString>> {
    let [b'@', path @ ..] = argument.as_bytes() else { return None };
    if depth >= DEPTH_MAX {
        return None;
    }
    let text = read(Path::new(OsStr::from_bytes(path)))?;
    let each = |word: OsString| words_within(&word, depth + 1).unwrap_or_else(|| vec![word]);
    Some(split(&text).into_iter().flat_map(each).collect())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return None;
    }
    std::fs::read(path).ok()
}

/// The words of a response file's text.
pub fn split(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut escaped = false;
    for &byte in text {
        if escaped {
            escaped = false;
            word.get_or_insert_default().push(byte);
        } else if byte == b'\\' {
            escaped = true;
            word.get_or_insert_default();
        } else if quote == Some(byte) {
            quote = None;
        } else if quote.is_some() {
            word.get_or_insert_default().push(byte);
        } else if matches!(byte, b'\'' | b'"') {
            quote = Some(byte);
            word.get_or_insert_default();
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
            words.extend(word.take().map(OsString::from_vec));
        } else {
            word.get_or_insert_default().push(byte);
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text.as_bytes()).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    fn expanded(argument: &str) -> Vec<String> {
        expand(OsStr::new(argument)).map(|word| word.into_owned().into_string().unwrap()).collect()
    }

    #[test]
    fn quoting_is_buildargvs() {
        assert_eq!(words("-o  a\\ b\n'c d' \"e f\"g"), ["-o", "a b", "c d", "e fg"]);
        assert_eq!(words("'a\\'b' '' \"\""), ["a'b", "", ""]);
        assert_eq!(words(" \n\t"), [""; 0]);
    }

    #[test]
    fn files_nest_and_missing_ones_stay_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer"), dir.path().join("inner"));
        std::fs::write(&inner, "b.o -lm").unwrap();
        std::fs::write(&outer, format!("a.o @{} @missing", inner.display())).unwrap();
        let at_outer = format!("@{}", outer.display());
        assert_eq!(expanded(&at_outer), ["a.o", "b.o", "-lm", "@missing"]);
        assert_eq!(expanded("plain"), ["plain"]);
    }

    #[test]
    fn a_file_that_names_itself_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loop");
        let at_path = format!("@{}", path.display());
        std::fs::write(&path, &at_path).unwrap();
        assert_eq!(expanded(&at_path), [at_path.as_str()]);
    }
}
