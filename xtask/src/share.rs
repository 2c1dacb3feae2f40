//! The files that other tools read, installed unchanged into PREFIX/share/ogrt.

use crate::put_file;
use anyhow::{Context, Result};
use std::{fs, path::Path};

/// Each folder of the project, and its name in PREFIX/share/ogrt.
const SHARED: [(&str, &str); 9] = [
    ("dashboards", "dashboards"),
    ("easybuild-hooks", "easybuild"),
    ("spack", "spack"),
    ("python", "python"),
    ("schedulers/slurm", "slurm"),
    ("server/feeds", "feeds"),
    ("server/queries", "queries"),
    ("server/report", "report"),
    ("server/rules", "rules"),
];

/// Copies them into `prefix`.
pub fn install(prefix: &Path) -> Result<()> {
    let project =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of xtask has no parent")?;
    for (from, to) in SHARED {
        copy_folder(&project.join(from), &prefix.join("share/ogrt").join(to))?;
    }
    Ok(())
}

/// Copies every file with its permissions, but no tests and no caches of Python.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if name == "__pycache__" || name == "tests" {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            put_file::copy(&path, to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::install;

    #[test]
    fn what_other_tools_read_is_installed_without_its_tests() {
        let prefix = tempfile::tempdir().unwrap();
        install(prefix.path()).unwrap();
        let dashboards = prefix.path().join("share/ogrt/dashboards");
        for name in ["ogrt.ndjson", "grafana-health.json", "grafana-reports.json"] {
            assert!(dashboards.join(name).is_file(), "{name}");
        }
        assert!(!dashboards.join("tests").exists());
    }
}
