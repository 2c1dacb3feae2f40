//! From what the line names to the files that the linker opens: `-l` to a path, linker scripts such
//! as `libc.so` to the files in them, thin archives to their members.
//!
//! The search is GNU ld's: the directories of `-L` in order, then those of SEARCH_DIR in scripts,
//! then those that the linker has built in; in each `libNAME.so` before `libNAME.a`. A library for
//! another machine is passed over. A leading `=` or `$SYSROOT` is the sysroot. A name that leads to
//! no file is left out: the linker reports it itself.

use crate::elf_head::{ElfIdentity, Head, OpenedFile, head};
use crate::line::built_in_dirs::BuiltInDirs;
use crate::line::link_line::{InputName, LinkLine, NamedInput};
use crate::line::script_names::ScriptNames;
use crate::line::thin_archive;
use ogrt_note::ByteOrder;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Scripts naming scripts deeper than this are not followed.
const SCRIPT_DEPTH_MAX: usize = 8;

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

/// An input with its open file, if that is held open until the input is described.
#[derive(Debug)]
pub struct OpenedInput {
    /// The input.
    pub input: ResolvedInput,
    /// Its file.
    pub opened: Option<OpenedFile>,
}

/// The most files that a link without a companion holds open. Its limit must allow four times as
/// many.
const OPENED_MAX: u64 = 64;

/// The files of a line's inputs in order, each once.
pub fn resolve_inputs(line: &LinkLine) -> Vec<ResolvedInput> {
    let found = resolve_open(line, 0, &|| true).unwrap_or_default();
    found.into_iter().map(|found| found.input).collect()
}

/// The same, the first ones open, as many as a link without a companion holds. `None` if `goes_on`
/// says no meanwhile.
pub fn resolve_while(line: &LinkLine, goes_on: &dyn Fn() -> bool) -> Option<Vec<OpenedInput>> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let opened_max = limit.map_or(OPENED_MAX, |limit| OPENED_MAX.min(limit / 4)) as usize;
    resolve_open(line, opened_max, goes_on)
}

/// The same, so many of them open.
pub fn resolve_open(
    line: &LinkLine,
    opened_max: usize,
    goes_on: &dyn Fn() -> bool,
) -> Option<Vec<OpenedInput>> {
    let mut search = Search::new(line, opened_max);
    for (index, input) in line.inputs.iter().enumerate() {
        if !goes_on() {
            return None;
        }
        search.input(input, index);
    }
    Some(search.found)
}

/// The directories in which libraries are looked for, in order.
pub fn searched_dirs(line: &LinkLine) -> Vec<PathBuf> {
    Search::new(line, 0).dirs().collect()
}

/// What tells whether a library is for the machine of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    is_64: bool,
    order: ByteOrder,
    machine: u16,
}

impl Target {
    fn of(identity: &ElfIdentity) -> Target {
        Target { is_64: identity.is_64, order: identity.order, machine: identity.machine }
    }

    /// The target of a file of the line; `None` where its first bytes do not tell.
    fn of_head(head: &Head) -> Option<Target> {
        match head {
            Head::Elf(identity) => Some(Target::of(identity)),
            Head::Archive(member) => member.as_ref().map(|member| Target::of(&member.identity)),
            Head::Foreign | Head::ThinArchive | Head::Bitcode | Head::Other => None,
        }
    }
}

struct Search<'a> {
    line: &'a LinkLine,
    /// The directories of SEARCH_DIR in the scripts read so far.
    script_dirs: Vec<PathBuf>,
    built_in: OnceCell<BuiltInDirs>,
    target: Option<Target>,
    seen: HashSet<PathBuf>,
    found: Vec<OpenedInput>,
    /// The files that may still be held open.
    opened_left: usize,
}

impl<'a> Search<'a> {
    fn new(line: &'a LinkLine, opened_left: usize) -> Search<'a> {
        let (seen, found) = (HashSet::new(), Vec::new());
        let (script_dirs, built_in) = (Vec::new(), OnceCell::new());
        Search { line, script_dirs, built_in, target: None, seen, found, opened_left }
    }

    fn input(&mut self, input: &NamedInput, index: usize) {
        match &input.name {
            InputName::File(path) => {
                self.file(path.clone(), index, 0);
            }
            InputName::Library { name, static_only } => self.library(name, *static_only, index, 0),
            InputName::Script(path) => {
                // `-T` looks in the directories of -L as well; a linker's own `-Tdefault.ld` is not
                // a file here.
                let dirs = std::iter::once(PathBuf::new()).chain(self.dirs());
                let found = dirs.map(|dir| dir.join(path)).find(|path| path.is_file());
                if let Some(path) = found.filter(|path| self.seen.insert(path.clone())) {
                    let script = path.clone();
                    let input = ResolvedInput { path, head: Head::Other, named_by: index, is_script: true };
                    self.found.push(OpenedInput { input, opened: None });
                    if let Some(names) = ScriptNames::read(&script) {
                        self.script(&script, names, index, 1);
                    }
                }
            }
        }
    }

    /// The directories in order. The linker is asked for its own only if the others are not enough.
    fn dirs(&self) -> impl Iterator<Item = PathBuf> {
        self.told_dirs().chain(std::iter::once_with(|| self.built_in_dirs()).flatten())
    }

    fn told_dirs(&self) -> impl Iterator<Item = PathBuf> {
        self.line.library_dirs.iter().chain(&self.script_dirs).map(|dir| self.in_sysroot(dir))
    }

    fn built_in_dirs(&self) -> impl Iterator<Item = PathBuf> {
        self.built_in().dirs.iter().map(|dir| self.in_sysroot(dir))
    }

    fn built_in(&self) -> &BuiltInDirs {
        self.built_in.get_or_init(|| match &self.line.linker {
            Some(linker) => BuiltInDirs::of(linker, self.line.emulation.as_deref()),
            None => BuiltInDirs::default(),
        })
    }

    fn in_sysroot(&self, dir: &Path) -> PathBuf {
        let bytes = dir.as_os_str().as_bytes();
        let Some(rest) = bytes.strip_prefix(b"=").or_else(|| bytes.strip_prefix(b"$SYSROOT")) else {
            return dir.to_owned();
        };
        let sysroot = self.line.sysroot.as_deref().or_else(|| self.built_in().sysroot.as_deref());
        let mut joined = sysroot.map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default();
        joined.extend(rest);
        PathBuf::from(OsString::from_vec(joined))
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
        self.target = self.target.or_else(|| self.target_ahead());
        let target = self.target;
        let candidates = self.dirs().flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        let found = candidates.filter_map(|path| {
            if self.seen.contains(&path) {
                return Some(None);
            }
            let opened = OpenedFile::open(&path).ok()?;
            let script = script_in(&path, &opened);
            fits(&opened.head, script.as_ref(), target).then_some(Some((path, opened, script)))
        });
        let found = { found }.next();
        if let Some(Some((path, opened, script))) = found {
            self.opened(path, opened, script, index, depth);
        }
    }

    /// The target by the emulation's word, or by a file of the line that comes later.
    fn target_ahead(&self) -> Option<Target> {
        let files = self.line.inputs.iter().filter_map(|input| match &input.name {
            InputName::File(path) => Target::of_head(&head(path).ok()?),
            _ => None,
        });
        { files }.next()
    }

    /// Takes a file in; false if it cannot be opened.
    fn file(&mut self, path: PathBuf, index: usize, depth: usize) -> bool {
        if self.seen.contains(&path) {
            return true;
        }
        let Ok(opened) = OpenedFile::open(&path) else { return false };
        let script = script_in(&path, &opened);
        self.opened(path, opened, script, index, depth);
        true
    }

    fn opened(
        &mut self,
        path: PathBuf,
        opened: OpenedFile,
        script: Option<ScriptNames>,
        index: usize,
        depth: usize,
    ) {
        if !self.seen.insert(path.clone()) {
            return;
        }
        let head = opened.head;
        self.target = self.target.or_else(|| Target::of_head(&head));
        let members =
            if head == Head::ThinArchive { thin_archive::members(&path, &opened) } else { Vec::new() };
        let is_script = head == Head::Other;
        let input = ResolvedInput { path: path.clone(), head, named_by: index, is_script };
        let opened = (self.opened_left > 0).then_some(opened);
        self.opened_left -= usize::from(opened.is_some());
        self.found.push(OpenedInput { input, opened });
        if depth >= SCRIPT_DEPTH_MAX {
            return;
        }
        if let Some(names) = script {
            self.script(&path, names, index, depth + 1);
        }
        for member in members {
            self.file(member, index, depth + 1);
        }
    }

    /// Follows a script (ld manual, "File Commands").
    fn script(&mut self, path: &Path, names: ScriptNames, index: usize, depth: usize) {
        self.script_dirs.extend(names.dirs.into_iter().map(PathBuf::from));
        for name in names.files {
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
                let told: Vec<PathBuf> = self.told_dirs().map(|dir| dir.join(&name)).collect();
                if { candidates }.chain(told).all(|path| !self.file(path, index, depth)) {
                    let built_in: Vec<PathBuf> = self.built_in_dirs().map(|dir| dir.join(&name)).collect();
                    let _ = built_in.into_iter().any(|path| self.file(path, index, depth));
                }
            }
        }
    }
}

fn script_in(path: &Path, opened: &OpenedFile) -> Option<ScriptNames> {
    if opened.head == Head::Other { ScriptNames::of_file(path, opened) } else { None }
}

/// The linker takes such a file for a library of this target.
fn fits(head: &Head, script: Option<&ScriptNames>, target: Option<Target>) -> bool {
    let Some(target) = target else { return true };
    match script.and_then(|names| names.output_format.as_deref()) {
        Some(format) => is_format_of(format, target),
        None => Target::of_head(head).is_none_or(|of_file| of_file == target),
    }
}

/// The name of a format (`elf64-x86-64`) is one of the target. A machine that has no row counts by
/// its class alone.
fn is_format_of(format: &str, target: Target) -> bool {
    use object::elf;
    let machines = [
        (elf::EM_X86_64, "x86-64"),
        (elf::EM_386, "i386"),
        (elf::EM_AARCH64, "aarch64"),
        (elf::EM_ARM, "arm"),
        (elf::EM_RISCV, "riscv"),
        (elf::EM_PPC64, "powerpc"),
        (elf::EM_PPC, "powerpc"),
        (elf::EM_S390, "s390"),
        (elf::EM_MIPS, "mips"),
    ];
    let class = if target.is_64 { "elf64-" } else { "elf32-" };
    let mut machines = machines.into_iter();
    let machine = machines.find(|(machine, _)| machine.0 == target.machine).map_or("", |(_, name)| name);
    !format.starts_with("elf") || (format.starts_with(class) && format.contains(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_another_format_are_passed_over() {
        let target = |is_64, machine: object::elf::Machine| Target {
            is_64,
            order: ByteOrder::Little,
            machine: machine.0,
        };
        let (x86_64, i386) = (target(true, object::elf::EM_X86_64), target(false, object::elf::EM_386));
        let x32 = target(false, object::elf::EM_X86_64);
        for (format, of) in [("elf64-x86-64", x86_64), ("elf32-i386", i386), ("elf32-x86-64", x32)] {
            for target in [x86_64, i386, x32] {
                assert_eq!(is_format_of(format, target), target == of, "{format}");
            }
        }
        assert!(is_format_of("elf64-littleaarch64", target(true, object::elf::EM_AARCH64)));
    }
}
