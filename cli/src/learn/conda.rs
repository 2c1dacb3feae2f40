//! Packages of conda environments, from `conda-meta`: a JSON file for each package, with its files.

use super::{
    package::{Package, ReadProblem, read_list},
    root::Root,
};
use serde::Deserialize;
use std::{
    fs,
    path::{Component, Path},
};

#[derive(Deserialize)]
struct Meta {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    build: String,
    #[serde(default)]
    files: Vec<String>,
}

/// The packages of the environment in `prefix`.
pub fn conda(prefix: &Path, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let prefix = root.resolve_whole(prefix).unwrap_or_else(|| prefix.to_owned());
    let metas = root.outside(&prefix.join("conda-meta"));
    let entries = fs::read_dir(&metas).map_err(|cause| ReadProblem::Unreadable { path: metas, cause })?;
    let mut packages = Vec::new();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    for path in paths {
        let meta: Meta =
            serde_json::from_str(&read_list(&path)?).map_err(|why| ReadProblem::wrong(&path, why))?;
        let files = meta.files.iter().filter(|file| is_below(file)).map(|file| prefix.join(file)).collect();
        let build = if meta.build.is_empty() { String::new() } else { format!("-{}", meta.build) };
        let name = format!("{}-{}{build}", meta.name, meta.version);
        packages.push(Package { software: meta.name, version: meta.version, name, packager: "conda", files });
    }
    Ok(packages)
}

/// True where a path stays in the directory that it is relative to.
pub fn is_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
