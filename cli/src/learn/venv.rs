//! Packages of Python environments, from the directories `*.dist-info` that pip and its like leave.

use super::{
    package::{Package, ReadProblem, read_list},
    root::Root,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The packages of a virtual environment, or of a directory with packages such as `dist-packages`.
pub fn venv(directory: &Path, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let directory = root.resolve_whole(directory).unwrap_or_else(|| directory.to_owned());
    let mut places = vec![directory.clone()];
    for lib in ["lib", "lib64", "local/lib"] {
        let lib = directory.join(lib);
        // `lib64` is mostly a symlink to `lib`.
        if root.resolve_whole(&lib).as_ref() != Some(&lib) {
            continue;
        }
        for python in names(&lib, root) {
            places.extend(["site-packages", "dist-packages"].map(|place| lib.join(&python).join(place)));
        }
    }
    let mut packages = Vec::new();
    for place in places {
        for name in names(&place, root) {
            if let Some(stem) = name.strip_suffix(".dist-info") {
                packages.push(package(&place, &name, stem, root)?);
            }
        }
    }
    if packages.is_empty() && !root.outside(&directory).is_dir() {
        return Err(ReadProblem::wrong(&root.outside(&directory), "no such directory"));
    }
    Ok(packages)
}

/// The names in a directory, sorted; none where it cannot be read.
fn names(directory: &Path, root: &Root) -> Vec<String> {
    let entries = fs::read_dir(root.outside(directory)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn package(place: &Path, info: &str, stem: &str, root: &Root) -> Result<Package, ReadProblem> {
    let info = root.outside(&place.join(info));
    let metadata = read_list(&info.join("METADATA")).unwrap_or_default();
    // Headers end with the first empty line.
    let header = |key: &str| {
        let headers = metadata.lines().take_while(|line| !line.is_empty());
        headers.filter_map(|line| line.strip_prefix(key)).map(str::trim).next().map(str::to_owned)
    };
    let (of_stem, version_of_stem) = stem.split_once('-').unwrap_or((stem, ""));
    let name = header("Name:").unwrap_or_else(|| of_stem.to_owned());
    let version = header("Version:").unwrap_or_else(|| version_of_stem.to_owned());
    // A package of the distribution has no list of its own.
    let record = match info.join("RECORD") {
        record if record.exists() => read_list(&record)?,
        _ => String::new(),
    };
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record.as_bytes());
    let files = rows.records().flatten().filter_map(|row| file(place, row.get(0)?)).collect();
    Ok(Package { software: name.clone(), version, name, packager: "python", files })
}

/// A file of a record: relative to the place, and scripts lead up to `bin`.
fn file(place: &Path, listed: &str) -> Option<PathBuf> {
    let mut path = place.to_owned();
    let mut rest = listed;
    while let Some(below) = rest.strip_prefix("../") {
        path.pop();
        rest = below;
    }
    super::conda::is_below(rest).then(|| path.join(rest))
}
