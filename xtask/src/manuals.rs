//! Completions and manual pages of `ogrt` into PREFIX/share, as the installed program itself writes
//! them.

use crate::child;
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// Each shell, and the path below PREFIX/share where it looks for completions.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/ogrt"),
    ("zsh", "zsh/site-functions/_ogrt"),
    ("fish", "fish/vendor_completions.d/ogrt.fish"),
];

/// Has the `ogrt` in `prefix` write them.
pub fn install(prefix: &Path) -> Result<()> {
    let program = prefix.join("bin/ogrt");
    for (shell, path) in SHELLS {
        let path = prefix.join("share").join(path);
        let name = path.display().to_string();
        fs::create_dir_all(path.parent().unwrap_or(prefix)).with_context(|| name.clone())?;
        let output =
            Command::new(&program).args(["completions", shell]).output().with_context(|| name.clone())?;
        anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&path, output.stdout).with_context(|| name)?;
    }
    child::run(Command::new(&program).arg("man").arg(prefix.join("share/man/man1")), &mut |_| {})
}
