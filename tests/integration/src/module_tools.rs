//! The two module tools. Debian lets only one of them be installed: Lmod is, and
//! environment-modules is unpacked under cargo's target folder.

use crate::needs;
use anyhow::Result;
use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
};
use xtask::{child, workspace::Workspace};

/// The program of Debian's Lmod.
pub const LMOD: &str = "/usr/share/lmod/lmod/libexec/lmod";

/// Each tool: its name, and the lines that define its shell function `module`.
pub fn all() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if needs::has(&["bash", LMOD], false) {
        found.push(("Lmod", "source /usr/share/lmod/lmod/init/bash".to_owned()));
    }
    if needs::has(&["bash", "tclsh", "dpkg-deb"], false) {
        let modulecmd =
            environment_modules().unwrap_or_else(|error| panic!("environment-modules: {error:#}"));
        found.push((
            "environment-modules",
            format!("module() {{ eval \"$(tclsh {} bash \"$@\")\"; }}", modulecmd.display()),
        ));
    }
    found
}

/// The file `modulecmd.tcl` of Debian's package.
fn environment_modules() -> Result<PathBuf> {
    let folder = Workspace::find()?.target.join("environment-modules");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let complete = folder.join("complete");
    if !complete.exists() {
        child::run(
            Command::new("apt-get").args(["download", "environment-modules"]).current_dir(&folder),
            &mut |_| {},
        )?;
        let unpack = "dpkg-deb -x environment-modules_*.deb root";
        child::run(Command::new("sh").args(["-c", unpack]).current_dir(&folder), &mut |_| {})?;
        File::create(complete)?;
    }
    let found =
        child::capture(Command::new("find").arg(folder.join("root")).args(["-name", "modulecmd.tcl"]))?;
    Ok(PathBuf::from(found.trim()))
}
