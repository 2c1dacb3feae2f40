//! `OGRT_SAVE_LINK=DIR`: one link kept whole, so that a report from the field can be replayed
//! elsewhere.
//!
//! Each link gets a directory of its own in DIR. In it: `replay`, a script that links again from
//! the copies; `files/`, every input under its absolute path; `note.o`, the object with the note;
//! `decisions`, what we decided and why; `environment`, the variables that steer compilers, linkers
//! and us. Linker scripts name files by absolute paths, so they are kept as templates, and `replay`
//! puts in where they lie now.
//!
//! Saving may take long and may fail without a word: the build does not depend on it.

use crate::environment;
use crate::line::link_line::{InputName, LinkLine};
use crate::line::resolve_inputs::{resolve_inputs, searched_dirs};
use crate::line::response_file;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::{Display, Write as _};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Stands in a template for the directory of the saved link.
const HERE: &str = "@OGRT_SAVED@";

/// The beginnings of the names of variables that are kept.
const VARIABLES: &[&str] = &[
    "OGRT_",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "LD_RUN_PATH",
    "COLLECT_",
    "GCC_",
    "SOURCE_DATE_EPOCH",
    "PATH",
    "TMPDIR",
    "LANG",
    "LC_",
];

/// A link that is being saved.
#[derive(Debug)]
pub struct SavedLink {
    dir: PathBuf,
}

/// The call of a linker that is saved.
#[derive(Debug)]
pub struct LinkCall<'a> {
    /// The real linker.
    pub linker: &'a Path,
    /// The arguments after `argv[0]`.
    pub arguments: &'a [OsString],
    /// What the arguments mean.
    pub line: &'a LinkLine,
    /// The directory in which relative paths start.
    pub working_directory: &'a Path,
}

impl SavedLink {
    /// Saves all that the link reads.
    pub fn create(base: &Path, called: &LinkCall) -> io::Result<SavedLink> {
        let name =
            called.line.output.file_name().unwrap_or(OsStr::new("output")).to_string_lossy().into_owned();
        let dir = base.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let saved = SavedLink { dir: std::path::absolute(dir)? };
        saved.decide(format_args!("called in {}", called.working_directory.display()));
        saved.decide(format_args!("the real linker is {}", called.linker.display()));
        fs::write(saved.dir.join("environment"), environment())?;
        saved.copy_inputs(called)?;
        saved.write_replay(called)?;
        Ok(saved)
    }

    /// Writes a decision down.
    pub fn decide(&self, what: impl Display) {
        let file = File::options().append(true).create(true).open(self.dir.join("decisions"));
        // A report without this line is still a report.
        let _ = file.and_then(|mut file| writeln!(file, "{what}"));
    }

    /// Keeps the object with the note.
    pub fn keep_note(&self, object: &[u8]) {
        let _ = fs::write(self.dir.join("note.o"), object);
    }

    fn place_of(&self, path: &Path, working_directory: &Path) -> PathBuf {
        let place = below_root(&working_directory.join(path));
        self.dir.join("files").join(place.strip_prefix("/").unwrap_or(&place))
    }

    fn copy_inputs(&self, called: &LinkCall) -> io::Result<()> {
        let inputs = resolve_inputs(called.line);
        let absolute: Vec<String> = inputs
            .iter()
            .filter(|input| input.path.is_absolute())
            .filter_map(|input| input.path.to_str().map(str::to_owned))
            .collect();
        for input in &inputs {
            let place = self.place_of(&input.path, called.working_directory);
            make_parent(&place)?;
            let named_as_script = called
                .line
                .inputs
                .get(input.named_by)
                .is_some_and(|named| matches!(named.name, InputName::Script(_)));
            match fs::read_to_string(&input.path) {
                Ok(text) if input.is_script && !named_as_script => {
                    fs::write(with_suffix(&place, ".in"), template(&text, &absolute))?;
                }
                _ => drop(fs::copy(&input.path, &place)?),
            }
            self.decide(format_args!("input {}", input.path.display()));
        }
        fs::create_dir_all(self.place_of(Path::new("."), called.working_directory))
    }

    fn write_replay(&self, called: &LinkCall) -> io::Result<()> {
        let mut script = format!(
            "#!/bin/sh\n\
             # Links again what OGRT saw linked. LINKER=... takes another linker; NOTE=1 links the note as well.\n\
             # The result is `replayed`, beside this script.\n\
             set -e\n\
             here=$(cd \"$(dirname \"$0\")\" && pwd)\n\
             : \"${{LINKER:={}}}\"\n\
             find \"$here/files\" -name '*.in' | while IFS= read -r template; do\n\
             \x20   sed \"s|{HERE}|$here|g\" \"$template\" > \"${{template%.in}}\"\n\
             done\n\
             note=\n\
             [ -z \"$NOTE\" ] || note=$here/note.o\n",
            called.linker.display()
        );
        let _ = writeln!(script, "cd \"$here\"/files{}", quoted(called.working_directory.as_os_str()));
        script.push_str("exec \"$LINKER\" -o \"$here/replayed\"");
        for dir in searched_dirs(called.line) {
            if dir.is_absolute() {
                let _ = write!(script, " \\\n  -L \"$here\"/files{}", quoted(below_root(&dir).as_os_str()));
            }
        }
        for word in kept_words(called) {
            script.push_str(" \\\n  ");
            script.push_str(&word);
        }
        script.push_str(" \\\n  ${note:+\"$note\"}\n");
        let path = self.dir.join("replay");
        fs::write(&path, script)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    }
}

/// The words of the line for the replay: response files opened, the output left out, inputs named
/// by their copies.
fn kept_words(called: &LinkCall) -> Vec<String> {
    let words: Vec<OsString> = response_file::expand_all(called.arguments).map(Cow::into_owned).collect();
    let is_input = |word: &OsString| {
        called
            .line
            .inputs
            .iter()
            .any(|input| matches!(&input.name, InputName::File(path) if path == Path::new(word)))
    };
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"-o" || bytes == b"--output" {
            words.next();
        } else if bytes.starts_with(b"-o") && Path::new(OsStr::from_bytes(&bytes[2..])) == called.line.output
            || bytes.starts_with(b"--output=")
        {
            continue;
        } else if is_input(&word) {
            let place = below_root(&called.working_directory.join(&word));
            kept.push(format!("\"$here\"/files{}", quoted(place.as_os_str())));
        } else {
            kept.push(quoted(&word));
        }
    }
    kept
}

/// An absolute path without `..`, so that a copy under it stays where all copies are.
fn below_root(path: &Path) -> PathBuf {
    let mut kept = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => kept.push(name),
            // The parent of the root is the root.
            Component::ParentDir => drop(kept.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    kept
}

/// The text of a linker script in which each of these files is named by its copy.
fn template(text: &str, files: &[String]) -> String {
    let mut out = String::new();
    for part in text.split_inclusive([' ', '\t', '\n', '(', ')', ',']) {
        let word = part.trim_end_matches([' ', '\t', '\n', '(', ')', ',']);
        if files.iter().any(|file| file == word) {
            // In quotes, since the directory's name may hold a space.
            let place = below_root(Path::new(word));
            let _ = write!(out, "\"{HERE}/files{}\"{}", place.display(), &part[word.len()..]);
        } else {
            out.push_str(part);
        }
    }
    out
}

fn environment() -> Vec<u8> {
    let is_kept = |name: &OsStr| VARIABLES.iter().any(|start| name.as_bytes().starts_with(start.as_bytes()));
    let mut variables: Vec<_> = environment::all().iter().filter(|(name, _)| is_kept(name)).collect();
    variables.sort();
    variables
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat())
        .collect()
}

/// The word in quotes for the shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn make_parent(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted(OsStr::new("it's $x")), "'it'\\''s $x'");
    }

    #[test]
    fn no_copy_leaves_the_place_of_all_copies() {
        for (path, place) in
            [("/a/b.o", "/a/b.o"), ("/a/../b.o", "/b.o"), ("/a/../../../b.o", "/b.o"), ("/..", "/")]
        {
            assert_eq!(below_root(Path::new(path)), Path::new(place));
        }
    }

    #[test]
    fn a_script_names_the_copies() {
        let files = ["/lib/libc.so.6".to_owned(), "/lib/libc.a".to_owned()];
        assert_eq!(
            template("GROUP ( /lib/libc.so.6 AS_NEEDED(/lib/ld.so) /lib/libc.a)\n", &files),
            "GROUP ( \"@OGRT_SAVED@/files/lib/libc.so.6\" AS_NEEDED(/lib/ld.so) \
             \"@OGRT_SAVED@/files/lib/libc.a\")\n"
        );
    }
}
