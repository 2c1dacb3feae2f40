//! From what the line names to the files that the linker opens: `-l` to a path, and linker scripts
//! such as `libc.so` to the files in them.
//!
//! The search is GNU ld's: the directories of `-L` in order, in each `libNAME.so` before
//! `libNAME.a`, a leading `=` or `$SYSROOT` being the sysroot; then the usual system directories,
//! for links without a compiler driver. A name that leads to no file is left out: the linker
//! reports it itself.

use crate::elf_head::{Head, head_and_file};
use crate::line::link_line::{InputName, LinkLine, NamedInput};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Scripts naming scripts deeper than this are not followed.
const SCRIPT_DEPTH_MAX: usize = 8;

/// The longest script that is read. Longer ones do not name libraries.
const SCRIPT_BYTES_MAX: u64 = 256 * 1024;

/// An input as the linker opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedInput {
    /// The path as the linker names it.
    pub path: PathBuf,
    /// What its first bytes show it to be.
    pub head: Head,
    /// The index in `LinkLine::inputs` of what named it.
    pub named_by: usize,
    /// The file is a linker script or a list of symbols, and is not linked itself.
    pub is_script: bool,
}

/// The files of a line's inputs in order, each once.
pub fn resolve_inputs(line: &LinkLine) -> Vec<ResolvedInput> {
    resolve_and_keep(line, &mut |_, _| ())
}

/// The files of a line's inputs. `keep` gets each file that had to be opened, with its index in the
/// result.
pub fn resolve_and_keep(line: &LinkLine, keep: &mut dyn FnMut(usize, File)) -> Vec<ResolvedInput> {
    let mut search = Search { line, seen: HashSet::new(), found: Vec::new(), keep };
    for (index, input) in line.inputs.iter().enumerate() {
        search.input(input, index);
    }
    search.found
}

/// The directories in which libraries are looked for, in order.
pub fn searched_dirs(line: &LinkLine) -> Vec<PathBuf> {
    Search { line, seen: HashSet::new(), found: Vec::new(), keep: &mut |_, _| () }.dirs()
}

struct Search<'a> {
    line: &'a LinkLine,
    seen: HashSet<PathBuf>,
    found: Vec<ResolvedInput>,
    keep: &'a mut dyn FnMut(usize, File),
}

impl Search<'_> {
    fn input(&mut self, input: &NamedInput, index: usize) {
        match &input.name {
            InputName::File(path) => self.file(path.clone(), index, 0),
            InputName::Library { name, static_only } => self.library(name, *static_only, index, 0),
            InputName::Script(path) => {
                // `-T` looks in the directories of -L as well; a linker's own `-Tdefault.ld` is not
                // a file here.
                let dirs = std::iter::once(PathBuf::new()).chain(self.dirs());
                let found = dirs.map(|dir| dir.join(path)).find(|path| path.is_file());
                if let Some(path) = found.filter(|path| self.seen.insert(path.clone())) {
                    let script = ResolvedInput { path, head: Head::Other, named_by: index, is_script: true };
                    self.found.push(script);
                }
            }
        }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        const SYSTEM: [&str; 6] =
            ["=/usr/local/lib", "=/lib64", "=/usr/lib64", "=/lib", "=/usr/lib", "=/usr/local/lib64"];
        let system = SYSTEM.map(PathBuf::from);
        self.line.library_dirs.iter().chain(&system).map(|dir| self.in_sysroot(dir)).collect()
    }

    fn in_sysroot(&self, dir: &Path) -> PathBuf {
        let bytes = dir.as_os_str().as_bytes();
        let rest = bytes.strip_prefix(b"=").or_else(|| bytes.strip_prefix(b"$SYSROOT"));
        match (rest, &self.line.sysroot) {
            (Some(rest), Some(sysroot)) => {
                let mut joined = sysroot.as_os_str().as_bytes().to_vec();
                joined.extend(rest);
                PathBuf::from(OsString::from_vec(joined))
            }
            (Some(rest), None) => PathBuf::from(OsStr::from_bytes(rest)),
            (None, _) => dir.to_owned(),
        }
    }

    fn library(&mut self, name: &OsStr, static_only: bool, index: usize, depth: usize) {
        let names: Vec<OsString> = match name.as_bytes().strip_prefix(b":") {
            Some(exact) => vec![OsStr::from_bytes(exact).to_owned()],
            None => {
                let suffixes: &[&[u8]] = if static_only { &[b".a"] } else { &[b".so", b".a"] };
                let with = |suffix: &&[u8]| [b"lib", name.as_bytes(), suffix].concat();
                suffixes.iter().map(with).map(OsString::from_vec).collect()
            }
        };
        let found = self
            .dirs()
            .iter()
            .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
            .find(|path| path.is_file());
        if let Some(path) = found {
            self.file(path, index, depth);
        }
    }

    fn file(&mut self, path: PathBuf, index: usize, depth: usize) {
        if self.seen.contains(&path) {
            return;
        }
        let Ok((head, file)) = head_and_file(&path) else { return };
        (self.keep)(self.found.len(), file);
        self.seen.insert(path.clone());
        let is_script = head == Head::Other;
        self.found.push(ResolvedInput { path: path.clone(), head, named_by: index, is_script });
        if is_script && depth < SCRIPT_DEPTH_MAX {
            self.script(&path, index, depth + 1);
        }
    }

    /// Follows INPUT and GROUP (ld manual, "File Commands").
    fn script(&mut self, path: &Path, index: usize, depth: usize) {
        let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= SCRIPT_BYTES_MAX);
        let Some(text) = small.then(|| std::fs::read(path).ok()).flatten() else { return };
        let Ok(text) = String::from_utf8(text) else { return };
        for name in files_in_script(&text) {
            if let Some(library) = name.strip_prefix("-l") {
                self.library(OsStr::new(library), false, index, depth);
            } else if name.starts_with('/')
                && path.starts_with(self.line.sysroot.as_deref().unwrap_or(Path::new("\0")))
            {
                // A script inside the sysroot means paths inside the sysroot.
                let inside = self.in_sysroot(Path::new(&format!("={name}")));
                self.file(inside, index, depth);
            } else {
                let beside = path.parent().unwrap_or(Path::new("")).join(&name);
                let candidates = [PathBuf::from(&name), beside].into_iter();
                let searched = self.dirs().into_iter().map(|dir| dir.join(&name)).collect::<Vec<_>>();
                let found = candidates.chain(searched).find(|path| path.is_file());
                if let Some(found) = found {
                    self.file(found, index, depth);
                }
            }
        }
    }
}

/// The names in a script's INPUT and GROUP commands, and in AS_NEEDED inside them.
fn files_in_script(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        plain.push_str(&rest[..at]);
        plain.push(' ');
        rest = rest[at..].find("*/").map_or("", |end| &rest[at + end + 2..]);
    }
    plain.push_str(rest);
    let spaced = plain.replace('(', " ( ").replace(')', " ) ").replace(',', " ");
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut command = "";
    for word in spaced.split_whitespace() {
        match word {
            "(" => depth += usize::from(depth > 0 || matches!(command, "INPUT" | "GROUP")),
            ")" => depth = depth.saturating_sub(1),
            "AS_NEEDED" => {}
            name if depth > 0 => names.push(name.trim_matches('"').to_owned()),
            _ => command = word,
        }
        if depth == 0 && word != command {
            command = "";
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::files_in_script;

    #[test]
    fn glibcs_script_is_followed() {
        let script = "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/libc.so.6 \
                      /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )";
        let expected = ["/lib/libc.so.6", "/usr/lib/libc_nonshared.a", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(files_in_script(script), expected);
        assert_eq!(files_in_script("INPUT(-lfoo, \"b.o\")"), ["-lfoo", "b.o"]);
        assert_eq!(files_in_script("SECTIONS { .text : { *(.text) } }"), [""; 0]);
    }
}
