//! A package's imports, held against the order of its rooms.

use super::{
    circles::circles,
    modules::{Import, Modules},
    orders::{ORDERS, Order},
};
use crate::project::root;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// What cargo calls a package.
pub struct Package {
    pub name: String,
    pub modules: Modules,
    /// The rooms in its `src`, where an order is declared.
    pub order: Option<&'static Order>,
}

impl Package {
    /// The packages of a workspace, with the targets that cargo knows.
    pub fn read_all(manifest: &Path) -> Vec<Package> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
        let output = cargo.arg("--manifest-path").arg(manifest).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        metadata["packages"].as_array().unwrap().iter().map(Package::read).collect()
    }

    fn read(package: &Value) -> Package {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let targets = package["targets"].as_array().unwrap();
        let file = |target: &Value| PathBuf::from(text(&target["src_path"]));
        let is_library = |target: &&Value| matches!(target["kind"][0].as_str(), Some("lib" | "cdylib"));
        let library = targets.iter().find(is_library).map(|target| (text(&target["name"]), file(target)));
        let library = library.as_ref().map(|(name, file)| (name.as_str(), file.as_path()));
        let roots: Vec<_> = targets.iter().map(file).collect();
        let name = text(&package["name"]);
        let order = ORDERS.iter().find(|(of, _)| *of == name).map(|(_, order)| *order);
        Package { name, modules: Modules::read(&roots, library), order }
    }

    fn file(&self, module: usize) -> String {
        let path = &self.modules.all[module].file;
        path.strip_prefix(root()).unwrap_or(path).display().to_string()
    }

    fn root_of(&self, module: usize) -> usize {
        self.modules.roots.iter().copied().filter(|root| *root <= module).max().unwrap()
    }

    /// True in a target that the order is about: the library or a program, no test, bench or
    /// example.
    fn is_ordered(&self, module: usize) -> bool {
        let folder = self.modules.all[self.root_of(module)].file.parent().unwrap();
        self.order.is_some() && folder.ends_with("src")
    }

    /// The room that a module belongs to: `queue`, or `lib` and `main` for a root itself.
    fn room(&self, module: usize) -> String {
        let module = &self.modules.all[module];
        let stem = module.file.file_stem().unwrap().to_string_lossy();
        module.names.first().cloned().unwrap_or_else(|| stem.into_owned())
    }

    /// What lies in `folder` and is `of` or holds it. The folder itself counts only where it is the
    /// top of an order.
    fn entry(&self, folder: usize, of: usize) -> Option<String> {
        let (inside, names) = (&self.modules.all[of].names, &self.modules.all[folder].names);
        if self.root_of(of) != self.root_of(folder) || !inside.starts_with(names) {
            return None;
        }
        let is_top = names.is_empty() && self.is_ordered(folder);
        inside.get(names.len()).cloned().or_else(|| is_top.then(String::new))
    }

    /// Circles among what lies in one folder, each as the imports that make it.
    pub fn circles(&self) -> Vec<String> {
        let folders = self.modules.all.iter().enumerate().filter(|(_, module)| !module.children.is_empty());
        folders.flat_map(|(folder, _)| self.circles_in(folder)).collect()
    }

    fn circles_in(&self, folder: usize) -> Vec<String> {
        let mut edges: BTreeMap<(String, String), &Import> = BTreeMap::new();
        for import in &self.modules.imports {
            if let (Some(from), Some(to)) = (self.entry(folder, import.from), self.entry(folder, import.to))
                && from != to
            {
                edges.entry((from, to)).or_insert(import);
            }
        }
        let shown = |circle: &Vec<String>| {
            let pairs = circle.iter().zip(circle.iter().cycle().skip(1));
            let imports = pairs.map(|(from, to)| self.shown(edges[&(from.clone(), to.clone())]));
            imports.collect::<Vec<_>>().join(", ")
        };
        circles(&edges.keys().cloned().collect()).iter().map(shown).collect()
    }

    fn shown(&self, import: &Import) -> String {
        format!("{}:{} imports {}", self.file(import.from), import.line, self.file(import.to))
    }

    /// Imports that run upwards in the package's order or along a rung, and rooms that it does not
    /// name.
    pub fn upward(&self) -> Vec<String> {
        let order = self.order.unwrap_or_default();
        let height = |room: &str| order.iter().position(|rung| rung.contains(&room));
        let mut found = BTreeSet::new();
        for module in (0..self.modules.all.len()).filter(|module| self.is_ordered(*module)) {
            if height(&self.room(module)).is_none() {
                found.insert(format!("{}: the order of {} does not name it", self.file(module), self.name));
            }
        }
        for import in self.modules.imports.iter().filter(|import| self.is_ordered(import.from)) {
            let rooms = [self.room(import.from), self.room(import.to)];
            let [Some(from), Some(to)] = [height(&rooms[0]), height(&rooms[1])] else { continue };
            if from < to {
                found.insert(format!("{}, which stands above it", self.shown(import)));
            } else if from == to && rooms[0] != rooms[1] {
                found.insert(format!("{}, which stands on the same rung", self.shown(import)));
            }
        }
        found.into_iter().collect()
    }
}
