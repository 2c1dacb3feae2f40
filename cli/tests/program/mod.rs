//! The program that is tested, called in clean surroundings.

use std::process::{Command, Stdio};

/// A signature that no build of the tests has by chance.
pub const SIGNATURE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// `ogrt` with these arguments, without the variables of whoever runs the tests.
pub fn ogrt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ogrt"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OGRT_") || name == "LD_PRELOAD" {
            command.env_remove(name);
        }
    }
    command
}
