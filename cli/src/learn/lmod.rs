//! Software that Lmod's modules show, from its spider cache: each module's name and version, and
//! the directories that it puts on `PATH` and `LD_LIBRARY_PATH`.
//!
//! A module's software lies in the tree around such a directory: `/apps/gromacs/2024.1` for
//! `/apps/gromacs/2024.1/bin`. A tree within another one is the inner module's. What many have in
//! common, such as `/usr`, is nobody's, and so is a tree of which modules say different things.

use super::{
    lua_table,
    package::{Package, ReadProblem, read_list},
    root::Root,
    trees::files_below,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

/// Names of directories inside of a tree that modules put on their paths.
const INNER: [&str; 8] = ["bin", "games", "lib", "lib32", "lib64", "libexec", "sbin", "scripts"];

/// Directories that are no tree of one software.
const SHARED: [&str; 8] = ["bin", "home", "lib", "lib64", "opt", "sbin", "usr", "usr/local"];

/// A module, as far as it is told here; the keys are Lmod's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Module {
    #[serde(rename = "fullName")]
    full_name: String,
    #[serde(rename = "Version")]
    version: Value,
    whatis: Value,
    #[serde(rename = "pathA")]
    path: Value,
    #[serde(rename = "lpathA")]
    library_path: Value,
}

/// What a module calls its software.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    software: String,
    version: String,
    module: String,
}

/// The software of a spider cache: `spiderT.lua`, the directory that has it, or what the command
/// `spider -o spider-json` prints.
pub fn lmod(cache: &Path, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let places = ["", "spiderT.lua"].map(|below| cache.join(below));
    let resolved =
        places.iter().filter_map(|place| root.resolve_whole(place)).map(|place| root.outside(&place));
    let file = resolved.into_iter().find(|place| place.is_file());
    let file = file.ok_or_else(|| ReadProblem::wrong(&root.outside(cache), "no spiderT.lua of Lmod"))?;
    let modules = modules(&read_list(&file)?).map_err(|why| ReadProblem::wrong(&file, why))?;
    let trees = trees(&modules, root);
    let mut packages = Vec::new();
    for (tree, Named { software, version, module }) in &trees {
        // It may be gone.
        let Ok(mut files) = files_below(tree, root) else { continue };
        let inner: Vec<&PathBuf> =
            trees.keys().filter(|other| *other != tree && other.starts_with(tree)).collect();
        files.retain(|file| !inner.iter().any(|inner| file.starts_with(inner)));
        let (software, version, name) = (software.clone(), version.clone(), module.clone());
        packages.push(Package { software, version, name, packager: "lmod", files });
    }
    Ok(packages)
}

/// The modules of a cache, with their names.
fn modules(text: &str) -> Result<Vec<(String, Module)>, String> {
    let mut modules = Vec::new();
    if text.trim_start().starts_with(['{', '[']) {
        let read: Value = serde_json::from_str(text).map_err(|why| why.to_string())?;
        let all = read.as_object().ok_or("what `spider -o spider-json` prints is expected")?;
        for (name, files) in all {
            let of_name = of_files(name, files)?;
            modules.extend(of_name.into_iter().map(|(_, module)| (name.clone(), module)));
        }
        return Ok(modules);
    }
    let read = lua_table::read(text)?;
    let trees = read.get("spiderT").and_then(Value::as_object).ok_or("no spiderT of Lmod")?;
    for (name, entry) in trees.values().filter_map(Value::as_object).flatten() {
        for (full_name, mut module) in of_files(name, &entry["fileT"])? {
            module.full_name = full_name;
            modules.push((name.clone(), module));
        }
    }
    Ok(modules)
}

/// The modules of one name, each with its key.
fn of_files(name: &str, files: &Value) -> Result<Vec<(String, Module)>, String> {
    let read = |(key, file): (&String, &Value)| match Module::deserialize(file) {
        Ok(module) => Ok((key.clone(), module)),
        Err(why) => Err(format!("{name}: {why}")),
    };
    files.as_object().into_iter().flatten().map(read).collect()
}

impl Module {
    /// What `whatis("Key: value")` says.
    fn whatis(&self, key: &str) -> Option<String> {
        let texts = self.whatis.as_array().into_iter().flatten().filter_map(Value::as_str);
        let value = |text: &str| {
            let (known, value) = text.split_once(':')?;
            known.trim().eq_ignore_ascii_case(key).then(|| value.trim().to_owned())
        };
        texts.filter_map(value).find(|value| !value.is_empty())
    }

    fn named(&self, name: &str) -> Named {
        let own = name.rsplit('/').next().unwrap_or(name).to_owned();
        let of_file = self.full_name.strip_prefix(name).unwrap_or_default().trim_start_matches('/');
        let version = match &self.version {
            Value::String(version) if !version.is_empty() => version.clone(),
            Value::Number(version) => version.to_string(),
            _ => of_file.to_owned(),
        };
        Named { software: self.whatis("name").unwrap_or(own), version, module: self.full_name.clone() }
    }

    /// The trees around its directories.
    fn trees(&self) -> BTreeSet<PathBuf> {
        let paths = [&self.path, &self.library_path].into_iter().filter_map(Value::as_object).flatten();
        paths.filter_map(|(path, _)| tree_around(Path::new(path))).collect()
    }
}

/// The tree of a directory; `None` where it is no tree of one software.
fn tree_around(directory: &Path) -> Option<PathBuf> {
    let is_plain = |part: &Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !directory.is_absolute() || !directory.components().all(|part| is_plain(&part)) {
        return None;
    }
    let mut tree: PathBuf = directory.components().collect();
    while tree.file_name().and_then(OsStr::to_str).is_some_and(|name| INNER.contains(&name)) {
        tree.pop();
    }
    let below = tree.strip_prefix("/").ok()?;
    let is_shared = below.as_os_str().is_empty() || SHARED.iter().any(|shared| below == Path::new(shared));
    (!is_shared && below.components().count() > 1).then_some(tree)
}

/// The trees of which it is known what they are.
fn trees(modules: &[(String, Module)], root: &Root) -> BTreeMap<PathBuf, Named> {
    let mut all: BTreeMap<PathBuf, BTreeSet<Named>> = BTreeMap::new();
    for (name, module) in modules {
        for tree in module.trees() {
            if let Some(resolved) = root.resolve_whole(&tree)
                && tree_around(&resolved).as_ref() == Some(&resolved)
            {
                all.entry(resolved).or_default().insert(module.named(name));
            }
        }
    }
    all.into_iter().filter_map(|(tree, named)| Some((tree.clone(), one_of(&tree, named)?))).collect()
}

/// The name of a tree: of several, the one that stands in its path with its version.
fn one_of(tree: &Path, named: BTreeSet<Named>) -> Option<Named> {
    let path = tree.to_string_lossy().to_lowercase();
    let is_in_path = |text: &str| !text.is_empty() && path.contains(&text.to_lowercase());
    let names: BTreeSet<_> = named.iter().map(|one| (&one.software, &one.version)).collect();
    if names.len() == 1 {
        return named.into_iter().next();
    }
    let mut fitting = named.iter().filter(|one| is_in_path(&one.software) && is_in_path(&one.version));
    let first = fitting.next()?;
    fitting
        .all(|one| (&one.software, &one.version) == (&first.software, &first.version))
        .then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tree_is_what_lies_around_a_directory() {
        for (directory, tree) in [
            ("/apps/gromacs/2024.1/bin", Some("/apps/gromacs/2024.1")),
            ("/apps/gcc/13/lib64", Some("/apps/gcc/13")),
            ("/apps/cuda/12/lib64/bin/", Some("/apps/cuda/12")),
            ("/opt/vasp", Some("/opt/vasp")),
            ("/opt/bin", None),
            ("/usr/local/bin", None),
            ("/usr/lib", None),
            ("/apps/bin", None),
            ("/apps/x/../../usr/bin", None),
            ("bin", None),
            ("/", None),
        ] {
            assert_eq!(tree_around(Path::new(directory)), tree.map(PathBuf::from), "{directory}");
        }
    }

    #[test]
    fn modules_name_trees_and_what_is_in_doubt_has_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for file in [
            "apps/gromacs/2024.1/bin/gmx",
            "apps/intel/bin/icc",
            "apps/intel/mpi/2021/bin/mpirun",
            "apps/shared/bin/tool",
            "apps/two/1.5/bin/two",
        ] {
            std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            std::fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink("gromacs", at("apps/gmx")).unwrap();
        let module = |full: &str, version: &str, path: &str| json!({ "fullName": full, "Version": version, "pathA": { path: 1 }, "hidden": false });
        let mut gromacs = module("chem/gromacs/2024.1", "2024.1", "/apps/gromacs/2024.1/bin");
        gromacs["whatis"] = json!(["Name: GROMACS", "Version: 2024.1"]);
        gromacs["lpathA"] = json!({ "/apps/gmx/2024.1/lib64": 1, "/usr/lib": 1 });
        let cache = json!({
            "chem/gromacs": { "/m/1.lua": gromacs },
            "intel": { "/m/2": module("intel/2021", "2021", "/apps/intel/bin") },
            "impi": { "/m/3": module("impi/2021", "2021", "/apps/intel/mpi/2021/bin") },
            "a": { "/m/4": module("a/1", "1", "/apps/shared/bin") },
            "b": { "/m/5": module("b/1", "1", "/apps/shared/bin") },
            "two": { "/m/6": module("two/1.5", "1.5", "/apps/two/1.5/bin"),
                "/m/7": module("two/latest", "latest", "/apps/two/1.5/bin") },
            "gone": { "/m/8": module("gone/1", "1", "/apps/gone/1/bin") },
            "none": {},
        });
        std::fs::write(at("cache.json"), cache.to_string()).unwrap();
        let packages = lmod(Path::new("/cache.json"), &Root::new(directory.path())).unwrap();
        let told: Vec<String> = packages
            .iter()
            .map(|Package { software, version, name, files, .. }| {
                let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
                format!("{software} {version} {name} {}", files.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "GROMACS 2024.1 chem/gromacs/2024.1 /apps/gromacs/2024.1/bin/gmx",
                "intel 2021 intel/2021 /apps/intel/bin/icc",
                "impi 2021 impi/2021 /apps/intel/mpi/2021/bin/mpirun",
                "two 1.5 two/1.5 /apps/two/1.5/bin/two",
            ]
        );
        for wrong in ["[]", "{", "x = 1", "spiderT = f()"] {
            std::fs::write(at("wrong"), wrong).unwrap();
            assert!(lmod(Path::new("/wrong"), &Root::new(directory.path())).is_err(), "{wrong}");
        }
    }
}
