//! `ogrt-ar`, `ogrt-gcc-ar`, `ogrt-llvm-ranlib` and the like: the compiler's own tool of that name.
//!
//! CMake and others derive the tools beside a compiler from its name, and take the `ogrt-` of
//! `ogrt-cc` for the prefix of a toolchain. So each name that they make leads to the tool that they
//! would have found for the real compiler: with its target in front and its version behind, beside
//! it or on PATH. Where the real compiler is named on the build's command line alone
//! (`ogrt-cc aarch64-linux-gnu-gcc`), the machine of the first object decides.

use crate::which_compiler::which_compiler;
use ogrt_wrap::elf_head::{ElfIdentity, Head, head};
use ogrt_wrap::environment::non_empty;
use ogrt_wrap::tool::find_tool::{FindToolError, Finder, dirs_of};
use ogrt_wrap::tool::known_tools::{self, ToolKind};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The tool's name, if we were called by the name of one.
pub fn tool_of(argv0: &OsStr) -> Option<&'static str> {
    let name = Path::new(argv0).file_name()?.to_str()?.strip_prefix("ogrt-")?;
    known_tools::COMPANION_TOOLS.iter().copied().find(|tool| *tool == name)
}

/// Finds the real tool.
pub fn find(tool: &str, arguments: &[OsString], finder: &Finder) -> Result<PathBuf, FindToolError> {
    let wrapper = told_wrapper();
    let driver = real_driver(wrapper.unwrap_or("ogrt-cc"), finder);
    let beside = driver.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path_dirs = dirs_of("PATH");
    let mut names: Vec<OsString> = Vec::new();
    if let Some(name) = driver.as_deref().and_then(Path::file_name).and_then(OsStr::to_str) {
        names.extend(names_for(tool, name).into_iter().map(OsString::from));
    }
    if let (None, Some(machine)) = (wrapper, foreign_machine(arguments)) {
        names.splice(0..0, cross_tools(tool, machine, &path_dirs));
    }
    names.push(tool.into());
    let names: Vec<&OsStr> = names.iter().map(OsString::as_os_str).collect();
    // A name with a target or a version counts more than a directory.
    for name in &names {
        let dirs: Vec<PathBuf> = beside.iter().chain(&path_dirs).cloned().collect();
        if let Ok(found) = finder.find(&[name], &dirs) {
            return Ok(found);
        }
    }
    finder.find(&names, &path_dirs)
}

/// The wrapper whose compiler a variable names.
fn told_wrapper() -> Option<&'static str> {
    let mut wrappers = known_tools::TOOLS.iter().filter(|tool| match tool.kind {
        ToolKind::Wrapper { variable, .. } => non_empty(variable).is_some(),
        _ => false,
    });
    wrappers.next().map(|tool| tool.name)
}

/// The compiler of this wrapper.
fn real_driver(wrapper: &str, finder: &Finder) -> Option<PathBuf> {
    let driver = which_compiler(OsStr::new(wrapper), &[], finder).ok()?.driver;
    // `cc` is a link to the system's gcc or clang; a name with a target is kept.
    let is_cross = driver.file_name()?.to_str().is_some_and(|name| known_tools::cross_target(name).is_some());
    if is_cross { Some(driver) } else { std::fs::canonicalize(driver).ok() }
}

/// The names of a tool that belongs to this compiler, the best first: `T-gcc-ar-13` and `T-gcc-ar`
/// for the gcc-ar of `T-gcc-13`.
fn names_for(tool: &str, driver: &str) -> Vec<String> {
    let (bare, version) = match driver.rsplit_once('-') {
        Some((bare, version)) if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            (bare, format!("-{version}"))
        }
        _ => (driver, String::new()),
    };
    let target = known_tools::cross_target(bare).map(|target| format!("{target}-")).unwrap_or_default();
    let mut names = Vec::new();
    if !version.is_empty() && (tool.starts_with("gcc-") || tool.starts_with("llvm-")) {
        names.push(format!("{target}{tool}{version}"));
    }
    if !target.is_empty() {
        names.push(format!("{target}{tool}"));
    }
    names
}

/// The machine of the first ELF file among the arguments, if it is not ours.
fn foreign_machine(arguments: &[OsString]) -> Option<u16> {
    let files = arguments.iter().map(Path::new);
    let mut identities = files.filter_map(|path| match head(path).ok()? {
        Head::Elf(identity) => Some(identity),
        Head::Archive(member) => Some(member?.identity),
        _ => None,
    });
    let machine = |identity: ElfIdentity| identity.machine;
    let first = identities.next().map(machine)?;
    (Some(first) != our_machine()).then_some(first)
}

fn our_machine() -> Option<u16> {
    use object::elf;
    let machine = match std::env::consts::ARCH {
        "x86_64" => elf::EM_X86_64,
        "aarch64" => elf::EM_AARCH64,
        "riscv64" => elf::EM_RISCV,
        "powerpc64" => elf::EM_PPC64,
        "s390x" => elf::EM_S390,
        _ => return None,
    };
    Some(machine.0)
}

/// The cross tools on PATH for a machine: `aarch64-linux-gnu-ar`.
fn cross_tools(tool: &str, machine: u16, path_dirs: &[PathBuf]) -> Vec<OsString> {
    use object::elf;
    let start = match elf::Machine(machine) {
        elf::EM_X86_64 => "x86_64-",
        elf::EM_386 => "i686-",
        elf::EM_AARCH64 => "aarch64-",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_S390 => "s390x-",
        elf::EM_MIPS => "mips",
        elf::EM_AVR => "avr-",
        _ => return Vec::new(),
    };
    let end = format!("-{tool}");
    let mut names: Vec<OsString> = path_dirs
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.file_name()))
        .filter(|name| name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(&end)))
        .filter(|name| tool.contains("gcc-") || !name.to_string_lossy().contains("-gcc-"))
        .collect();
    names.sort_by_key(|name| (!name.to_string_lossy().contains("linux"), name.len()));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::names_for;

    #[test]
    fn a_tool_has_the_compilers_target_and_version() {
        for (tool, driver, names) in [
            ("gcc-ar", "gcc-13", &["gcc-ar-13"][..]),
            ("gcc-ar", "x86_64-linux-gnu-gcc-12", &["x86_64-linux-gnu-gcc-ar-12", "x86_64-linux-gnu-gcc-ar"]),
            ("ar", "aarch64-linux-gnu-gcc", &["aarch64-linux-gnu-ar"]),
            ("strip", "arm-none-eabi-gcc-13.2.1", &["arm-none-eabi-strip"]),
            ("llvm-ar", "clang-14", &["llvm-ar-14"]),
            ("ar", "gcc", &[]),
        ] {
            assert_eq!(names_for(tool, driver), names, "{tool} of {driver}");
        }
    }
}
