//! Installations of Spack, from its database: `index.json` names each with its directory.

use super::{
    package::{Package, ReadProblem, read_list},
    root::Root,
    trees::files_below,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Deserialize)]
struct Index {
    database: Database,
}

#[derive(Deserialize)]
struct Database {
    installs: BTreeMap<String, Install>,
}

#[derive(Deserialize)]
struct Install {
    spec: Spec,
    path: Option<PathBuf>,
    #[serde(default)]
    installed: bool,
}

#[derive(Deserialize)]
struct Spec {
    name: String,
    version: Option<String>,
    external: Option<serde_json::Value>,
}

/// The installations of a database: its `index.json`, or a directory that has it, such as
/// `.spack-db` or the one that this lies in.
pub fn spack(database: &Path, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let places = ["", "index.json", ".spack-db/index.json"].map(|below| database.join(below));
    let resolved =
        places.iter().filter_map(|place| root.resolve_whole(place)).map(|place| root.outside(&place));
    let index = resolved.into_iter().find(|place| place.is_file());
    let index = index.ok_or_else(|| ReadProblem::wrong(&root.outside(database), "no index.json of Spack"))?;
    let read: Index =
        serde_json::from_str(&read_list(&index)?).map_err(|why| ReadProblem::wrong(&index, why))?;
    let mut packages = Vec::new();
    for (hash, install) in read.database.installs {
        let Install { spec: Spec { name, version, external }, path, installed } = install;
        // What Spack only knows is somebody else's.
        let (true, None, Some(path)) = (installed, external, path) else { continue };
        // It may be gone.
        let Ok(files) = files_below(&path, root) else { continue };
        let name_of_package = format!("{name}/{}", hash.get(..7).unwrap_or(&hash));
        packages.push(Package {
            software: name,
            version: version.unwrap_or_default(),
            name: name_of_package,
            packager: "spack",
            files,
        });
    }
    Ok(packages)
}
