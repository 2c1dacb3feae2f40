//! The directory that is `/` for what is learned: this machine's, or that of a container image.
//!
//! A path is resolved as the kernel would inside of it, and never leads out. So `/bin/ls` is
//! `/usr/bin/ls` where `/bin` is a symlink, which is what a process has as its path.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// Most symlinks on the way to one directory, as Linux has it.
const SYMLINKS_MAX: usize = 40;

/// See the module.
pub struct Root {
    directory: PathBuf,
    /// Directories that were resolved; `None` for one that does not exist.
    known: HashMap<PathBuf, Option<PathBuf>>,
}

impl Root {
    /// The root in this directory.
    pub fn new(directory: &Path) -> Self {
        Root { directory: directory.to_owned(), known: HashMap::new() }
    }

    /// The place of a resolved path outside of the root.
    pub fn outside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(below) => self.directory.join(below),
            Err(_) => self.directory.join(path),
        }
    }

    /// The path of a file with its directory resolved; `None` where there is no such directory.
    pub fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        if let Some(known) = self.known.get(parent) {
            return known.as_ref().map(|known| known.join(name));
        }
        let resolved = self.resolve_whole(parent);
        let file = resolved.as_ref().map(|resolved| resolved.join(name));
        self.known.insert(parent.to_owned(), resolved);
        file
    }

    /// The path of what a path leads to, with every symlink resolved.
    pub fn resolve_whole(&self, path: &Path) -> Option<PathBuf> {
        self.follow(path, &mut 0)
    }

    fn follow(&self, path: &Path, symlinks: &mut usize) -> Option<PathBuf> {
        let mut resolved = PathBuf::from("/");
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    let whole = resolved.join(name);
                    let kind = fs::symlink_metadata(self.outside(&whole)).ok()?.file_type();
                    if !kind.is_symlink() {
                        resolved = whole;
                        continue;
                    }
                    *symlinks += 1;
                    if *symlinks > SYMLINKS_MAX {
                        return None;
                    }
                    let target = fs::read_link(self.outside(&whole)).ok()?;
                    resolved = self.follow(&resolved.join(target), symlinks)?;
                }
                Component::ParentDir => drop(resolved.pop()),
                Component::RootDir => resolved = PathBuf::from("/"),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Some(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_resolved_inside_of_the_root_and_never_leads_out() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for folder in ["usr/bin", "usr/lib", "etc"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("usr/bin/ls"), "").unwrap();
        for (link, target) in [
            ("bin", "usr/bin"),
            ("absolute", "/usr/lib"),
            ("out", "../../../../../etc"),
            ("usr/up", "../../.."),
            ("loop", "loop"),
            ("one", "two"),
            ("two", "/one"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let mut root = Root::new(directory.path());
        let mut resolved = |path: &str| root.resolve(Path::new(path)).map(|path| path.display().to_string());
        for _ in 0..2 {
            assert_eq!(resolved("/bin/ls").as_deref(), Some("/usr/bin/ls"));
            assert_eq!(resolved("/absolute/x.so").as_deref(), Some("/usr/lib/x.so"));
            assert_eq!(resolved("/out/passwd").as_deref(), Some("/etc/passwd"));
            assert_eq!(resolved("/usr/up/usr/up/bin/ls").as_deref(), Some("/usr/bin/ls"));
            for none in ["/loop/x", "/one/x", "/nowhere/x", "/bin/ls/x/y"] {
                assert_eq!(resolved(none), None, "{none}");
            }
        }
        assert_eq!(root.outside(Path::new("/usr/bin/ls")), at("usr/bin/ls"));
        // This machine's own root is resolved as its kernel does it.
        let mut machine = Root::new(Path::new("/"));
        let ours = machine.resolve(Path::new("/bin/ls")).unwrap();
        assert_eq!(ours, fs::canonicalize("/bin").unwrap().join("ls"));
    }
}
