//! Images: roots of other systems, which tests enter by chroot. They are kept under cargo's target
//! folder.

use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    path::PathBuf,
    process::Command,
};
use xtask::{child, workspace::Workspace};

/// The program that makes Debian roots.
pub const DEBOOTSTRAP: &str = "/usr/sbin/debootstrap";

/// A release whose libc is newer than the one that this project is developed on.
const RELEASE: &str = "trixie";

/// The essential packages of that release, unpacked: enough to run its programs.
pub fn debian() -> PathBuf {
    make().unwrap_or_else(|error| panic!("Debian {RELEASE}: {error:#}"))
}

fn make() -> Result<PathBuf> {
    let folder = Workspace::find()?.target.join(format!("debian-{RELEASE}"));
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let (root, complete) = (folder.join("root"), folder.join("complete"));
    if !complete.exists() {
        let _ = fs::remove_dir_all(&root);
        // The second stage is left out: it only configures what was unpacked.
        let mut debootstrap = Command::new(DEBOOTSTRAP);
        debootstrap.args(["--foreign", "--variant=minbase", RELEASE]).arg(&root).arg(mirror()?);
        child::run(&mut debootstrap, &mut |_| {})?;
        for bound in ["opt/ogrt", "run/ogrt"] {
            fs::create_dir_all(root.join(bound))?;
        }
        File::create(complete)?;
    }
    Ok(root)
}

/// The mirror that this machine's own packages come from.
pub fn mirror() -> Result<String> {
    let policy = child::capture(Command::new("apt-cache").arg("policy"))?;
    let origin = policy.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        words
            .find(|word| word.starts_with("http"))
            .filter(|_| line.contains("/main") && !line.contains("-security"))
    });
    origin.map(str::to_owned).context("apt-cache policy names no archive")
}
