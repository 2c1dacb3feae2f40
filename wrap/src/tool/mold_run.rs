//! `mold -run COMMAND`: a library of mold's, loaded into every process of COMMAND, starts mold
//! where a linker is started, by whatever name and path.
//!
//! It starts the program that MOLD_PATH names, so we put ourselves there, and mold's own path into
//! a variable of ours. `ogrt-ld` then runs wherever mold would have run, and runs mold. A build
//! that has only our linkers on PATH finds `mold` among them: we run the real `mold -run`, and let
//! it start us before COMMAND.

use crate::environment::{self, non_empty};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Names the program that mold's library starts in place of a linker.
pub const PATH_VARIABLE: &str = "MOLD_PATH";

/// Names the real mold while [`PATH_VARIABLE`] names us.
pub const REAL_VARIABLE: &str = "OGRT_MOLD_PATH";

/// Set for an `ogrt-ld` that `mold -run` starts before the command. The command follows as its
/// arguments.
pub const BEFORE_COMMAND_VARIABLE: &str = "OGRT_MOLD_RUN";

/// The variables that lead mold's library to `wrapper`; none where `mold -run` is not at work, or
/// leads there already.
pub fn led_to(wrapper: &Path) -> Vec<(&'static str, OsString)> {
    match at_work() {
        Some(mold) if non_empty(REAL_VARIABLE).is_none() => {
            vec![(PATH_VARIABLE, wrapper.into()), (REAL_VARIABLE, mold.into())]
        }
        _ => Vec::new(),
    }
}

/// The real mold, if we were started in its place.
pub fn replaced_mold() -> Option<PathBuf> {
    at_work().and_then(|_| non_empty(REAL_VARIABLE)).map(PathBuf::from)
}

/// `MOLD_PATH`, if mold's library is loaded.
fn at_work() -> Option<&'static OsStr> {
    let preloaded = environment::var("LD_PRELOAD")?.as_bytes();
    let name = b"mold-wrapper";
    preloaded.windows(name.len()).any(|part| part == name).then(|| non_empty(PATH_VARIABLE))?
}
