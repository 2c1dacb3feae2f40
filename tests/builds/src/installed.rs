//! The files that a build has installed: they are the same with us as without us, but for the note.

use crate::{
    build_log::without_us,
    registered::{files_in, is_linked_elf},
    same_elf,
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The differences between two folders, in words. `varying` names files whose contents follow from
/// other files' digests.
pub fn differences(bare: &Path, ours: &Path, varying: &[&str]) -> Result<String> {
    let mut found = String::new();
    let (bare_files, ours_files) = (files_in(bare)?, files_in(ours)?);
    let relative = |root: &Path, files: &[PathBuf]| -> BTreeSet<String> {
        files.iter().filter_map(|file| Some(file.strip_prefix(root).ok()?.display().to_string())).collect()
    };
    let (bare_names, ours_names) = (relative(bare, &bare_files), relative(ours, &ours_files));
    for name in bare_names.symmetric_difference(&ours_names) {
        writeln!(found, "{name} is on one side alone")?;
    }
    for name in bare_names.intersection(&ours_names) {
        let (one, other) = (bare.join(name), ours.join(name));
        let (one_is, other_is) = (one.symlink_metadata()?, other.symlink_metadata()?);
        if one_is.mode() != other_is.mode() {
            writeln!(found, "{name}: mode {:o} became {:o}", one_is.mode(), other_is.mode())?;
        } else if one_is.is_symlink() {
            if fs::read_link(&one)? != fs::read_link(&other)? {
                writeln!(found, "{name}: leads elsewhere")?;
            }
        } else if is_linked_elf(&one) {
            let different =
                same_elf::differences(&fs::read(&one)?, &fs::read(&other)?).with_context(|| name.clone())?;
            for line in different.lines() {
                writeln!(found, "{name}: {line}")?;
            }
        } else if !varying.iter().any(|end| name.ends_with(end)) {
            let (one, other) = (fs::read(&one)?, fs::read(&other)?);
            // A script such as qd-config may name the compiler that it was asked to use.
            let same_text = || Some(str::from_utf8(&one).ok()? == without_us(str::from_utf8(&other).ok()?));
            if one != other && same_text() != Some(true) {
                writeln!(found, "{name}: other contents")?;
            }
        }
    }
    Ok(found)
}

/// The files below these folders that contain a text.
pub fn holding(folders: &[&Path], text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        for file in files_in(folder)?.into_iter().filter(|file| file.is_file()) {
            let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(file);
            }
        }
    }
    Ok(found)
}
