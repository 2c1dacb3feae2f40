//! Which real linker is meant: the one that the driver would have run, had it not found us.
//!
//! We are called under the name that the driver asked for (`ld`, `ld.lld`, ...). gcc hands the
//! directories it searches down in COMPILER_PATH; of clang we know from `ogrt-cc` where it is and
//! which `-B` it was given. Then PATH, and `TARGET-ld` before `ld` where the driver is a cross
//! compiler or a clang that was told its target.

use crate::link_request::Driver;
use ogrt_wrap::environment::{self, non_empty};
use ogrt_wrap::line::driver_line::{target_triple, tool_prefixes};
use ogrt_wrap::line::response_file;
use ogrt_wrap::tool::driver_command::{self, LINKER_VARIABLE};
use ogrt_wrap::tool::find_tool::{FindToolError, Finder, dirs_of};
use ogrt_wrap::tool::known_tools::cross_target;
use ogrt_wrap::tool::mold_run;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Finds the real linker; `overriding` is `OGRT_REAL_LD`.
pub fn which_linker(
    argv0: &OsStr,
    driver: &Option<Driver>,
    overriding: Option<&Path>,
    finder: &Finder,
) -> Result<PathBuf, FindToolError> {
    if let Some(real) = overriding {
        return match real.as_os_str().as_bytes().contains(&b'/') {
            true => Ok(real.to_owned()),
            false => finder.find(&[real.as_os_str()], &dirs_of("PATH")),
        };
    }
    match given_linker().filter(|linker| finder.accepts(linker)) {
        Some(given) => Ok(given),
        None => search(argv0, driver, finder),
    }
}

/// The linker that `ogrt-cc` or `mold -run` names.
fn given_linker() -> Option<PathBuf> {
    mold_run::replaced_mold().or_else(|| non_empty(LINKER_VARIABLE).map(PathBuf::from))
}

/// The linker that a trial of the driver is told: the one that has to be looked for.
pub fn searched_linker(argv0: &OsStr, overriding: Option<&Path>, finder: &Finder) -> Option<PathBuf> {
    let is_given = overriding.is_some() || given_linker().is_some();
    let driver = driver_command::from_environment();
    (!is_given).then(|| search(argv0, &driver, finder).ok()).flatten()
}

/// Looks for the linker where the driver would.
fn search(argv0: &OsStr, driver: &Option<Driver>, finder: &Finder) -> Result<PathBuf, FindToolError> {
    let path_dirs = dirs_of("PATH");
    let name = match Path::new(argv0).file_name() {
        Some(name) if name != "ogrt-ld" => name,
        _ => OsStr::new("ld"),
    };
    let mut dirs = dirs_of("COMPILER_PATH");
    // gcc hands all its directories down. clang only reads the variable.
    if let (Some((path, argv)), None) = (driver, environment::var("COLLECT_GCC")) {
        let argv = response_file::opened(argv);
        let argv = argv.as_ref();
        dirs.extend(tool_prefixes(argv).into_iter().map(PathBuf::from));
        let canonical = std::fs::canonicalize(path).ok();
        dirs.extend(canonical.as_deref().and_then(Path::parent).map(Path::to_owned));
        dirs.extend(target_triple(argv).map(|triple| Path::new("/usr").join(triple).join("bin")));
    }
    let prefixed = target_of(driver).map(|mut target| {
        target.push("-");
        target.push(name);
        target
    });
    let in_path = prefixed.as_deref().into_iter().chain([name]);
    let in_path = in_path.flat_map(|name| path_dirs.iter().map(move |dir| dir.join(name)));
    match finder.first(dirs.iter().map(|dir| dir.join(name)).chain(in_path))? {
        Some(found) => Ok(found),
        // The error names the linker without a target.
        None => finder.find(&[name], &path_dirs),
    }
}

/// The T of the linker's name `T-ld`: clang's `--target=T`, or that of a cross compiler `T-gcc`. A
/// gcc for this machine runs `ld`, also where its own name has a target.
fn target_of(driver: &Option<Driver>) -> Option<OsString> {
    if let Some(triple) = driver.as_ref().and_then(|(_, argv)| target_triple(&response_file::opened(argv))) {
        return Some(triple);
    }
    let gcc = environment::var("COLLECT_GCC")?;
    let target = cross_target(Path::new(gcc).file_name()?.to_str()?)?;
    (!is_this_machine(target, std::env::consts::ARCH)).then(|| target.into())
}

/// The machine of a target is `arch` as Rust calls it. It may say more (`powerpc64le`, `armv7l`),
/// or be one of `i386` to `i686`.
fn is_this_machine(triple: &str, arch: &str) -> bool {
    let machine = triple.split('-').next().unwrap_or(triple);
    match arch {
        "x86" => machine.starts_with('i') && machine.ends_with("86"),
        arch => machine.starts_with(arch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_this_machine_or_another() {
        for (triple, arch, native) in [
            ("x86_64-linux-gnu", "x86_64", true),
            ("i686-linux-gnu", "x86_64", false),
            ("i686-linux-gnu", "x86", true),
            ("powerpc64le-linux-gnu", "powerpc64", true),
            ("aarch64-linux-gnu", "x86_64", false),
        ] {
            assert_eq!(is_this_machine(triple, arch), native, "{triple} on {arch}");
        }
    }
}
