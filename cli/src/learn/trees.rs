//! Software that lies in a tree of its own: one with a name, and the installations of EasyBuild.

use super::{
    package::{Package, ReadProblem},
    root::Root,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Deepest directory of a tree, and most files in it.
const DEPTH_MAX: usize = 64;
const FILES_MAX: usize = 5_000_000;

/// All files below a directory of the root, by the paths that a process has. Symlinks are not
/// followed. An error where there is no such directory.
pub fn files_below(directory: &Path, root: &Root) -> Result<Vec<PathBuf>, ReadProblem> {
    let unknown = || ReadProblem::wrong(&root.outside(directory), "no such directory");
    let top = root.resolve_whole(directory).ok_or_else(unknown)?;
    if !root.outside(&top).is_dir() {
        return Err(unknown());
    }
    let (mut files, mut folders) = (Vec::new(), vec![(top, 0)]);
    while let Some((folder, depth)) = folders.pop() {
        // What cannot be read has no files for us.
        let Ok(entries) = fs::read_dir(root.outside(&folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = folder.join(entry.file_name());
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if kind.is_file() && files.len() < FILES_MAX {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The software in a directory, as somebody names it.
pub fn tree(directory: &Path, name: &str, version: &str, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let (software, version) = (name.to_owned(), version.to_owned());
    let files = files_below(directory, root)?;
    Ok(vec![Package { software, version, name: String::new(), packager: "tree", files }])
}

/// EasyBuild's installations: `software/NAME/VERSION` below `installpath`.
pub fn easybuild(installpath: &Path, root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let software = installpath.join("software");
    let mut packages = Vec::new();
    for name in folders(&software, root)? {
        for version in folders(&software.join(&name), root)? {
            let files = files_below(&software.join(&name).join(&version), root)?;
            let (software, name) = (name.clone(), format!("{name}/{version}"));
            packages.push(Package { software, version, name, packager: "easybuild", files });
        }
    }
    Ok(packages)
}

/// The names of the directories in a directory, sorted. One that begins with a dot is none of
/// EasyBuild's.
fn folders(directory: &Path, root: &Root) -> Result<Vec<String>, ReadProblem> {
    let path =
        root.resolve_whole(directory).map_or_else(|| root.outside(directory), |path| root.outside(&path));
    let entries = fs::read_dir(&path).map_err(|cause| ReadProblem::Unreadable { path, cause })?;
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let names = entries.flatten().filter(is_folder).filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn trees_are_walked_inside_of_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for file in [
            "apps/software/GROMACS/2024.3-foss-2023b/bin/gmx",
            "apps/software/GROMACS/.lock/x",
            "vasp/bin/vasp_std",
        ] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), "").unwrap();
        }
        symlink("/", at("vasp/loop")).unwrap();
        symlink("/etc/passwd", at("vasp/passwd")).unwrap();
        symlink("apps", at("sw")).unwrap();
        let root = Root::new(directory.path());
        let packages = easybuild(Path::new("/sw"), &root).unwrap();
        let [gromacs] = packages.as_slice() else { panic!("{packages:?}") };
        let names = [&gromacs.software, &gromacs.version, &gromacs.name];
        assert_eq!(names, ["GROMACS", "2024.3-foss-2023b", "GROMACS/2024.3-foss-2023b"]);
        assert_eq!(gromacs.files, [PathBuf::from("/apps/software/GROMACS/2024.3-foss-2023b/bin/gmx")]);
        let vasp = tree(Path::new("/vasp"), "VASP", "6.4.2", &root).unwrap();
        assert_eq!(vasp[0].files, [PathBuf::from("/vasp/bin/vasp_std")]);
        assert!(easybuild(Path::new("/vasp"), &root).is_err());
        assert!(tree(Path::new("/none"), "x", "", &root).is_err());
    }
}
