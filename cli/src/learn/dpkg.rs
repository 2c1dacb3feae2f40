//! Packages of Debian and Ubuntu, from dpkg's own files: what is installed, the list of each
//! package, and files that a package puts into another place (diversions).

use super::{
    package::{Package, ReadProblem, read_list},
    root::Root,
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

const DATABASE: &str = "/var/lib/dpkg";

/// The states of a package whose files are there.
const STATES: [&str; 6] =
    ["installed", "unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending"];

/// The packages that dpkg has installed.
pub fn dpkg(root: &mut Root) -> Result<Vec<Package>, ReadProblem> {
    let database = Path::new(DATABASE);
    let database = root
        .resolve(&database.join("status"))
        .map_or_else(|| root.outside(database), |status| root.outside(status.parent().unwrap_or(database)));
    let status = read_list(&database.join("status"))?;
    let diversions = Diversions::read(&read_list(&database.join("diversions")).unwrap_or_default());
    let mut packages = Vec::new();
    for block in status.split("\n\n") {
        let Some((mut package, architecture)) = package(block) else { continue };
        // Packages of several architectures have theirs in the name of the list.
        let names = [package.name.clone(), format!("{}:{architecture}", package.name)];
        let lists = names.iter().map(|name| database.join("info").join(format!("{name}.list")));
        let Some(list) = lists.into_iter().find(|list| list.exists()) else { continue };
        let lines = read_list(&list)?;
        let mut lines = lines.lines().filter(|line| line.starts_with('/')).peekable();
        while let Some(line) = lines.next() {
            // A directory stands before what lies in it.
            let below = lines.peek().and_then(|next| next.strip_prefix(line));
            if !below.is_some_and(|below| below.starts_with('/')) {
                package.files.push(diversions.place(line, &package.name));
            }
        }
        packages.push(package);
    }
    Ok(packages)
}

/// Reads a package of the status file, and its architecture.
fn package(block: &str) -> Option<(Package, &str)> {
    let (mut name, mut status, mut version, mut source, mut architecture) = ("", "", "", "", "");
    for line in block.lines() {
        // A line that goes on with the field before begins with a space.
        let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else {
            continue;
        };
        let value = value.trim();
        match key {
            "Package" => name = value,
            "Status" => status = value,
            "Version" => version = value,
            "Source" => source = value,
            "Architecture" => architecture = value,
            _ => {}
        }
    }
    let state = status.split_whitespace().last()?;
    // The name becomes part of a path.
    if name.is_empty() || name.contains('/') || architecture.contains('/') || !STATES.contains(&state) {
        return None;
    }
    // `gcc-12 (12.2.0-14)`: the version stands there where it is another one.
    let (software, of_source) = match source.split_once(' ') {
        Some((software, version)) => (software, version.trim_matches(['(', ')', ' '])),
        None if source.is_empty() => (name, version),
        None => (source, version),
    };
    let package = Package {
        software: software.to_owned(),
        version: of_source.to_owned(),
        name: name.to_owned(),
        packager: "dpkg",
        files: Vec::new(),
    };
    Some((package, architecture))
}

/// Files that stand in another place than their package says: three lines each, from, to, and the
/// package that may keep the old place; `:` stands for the administrator.
#[derive(Default)]
struct Diversions(HashMap<String, (PathBuf, String)>);

impl Diversions {
    fn read(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let diversion =
            |three: &[&str]| (three[0].to_owned(), (PathBuf::from(three[1]), three[2].to_owned()));
        Diversions(lines.chunks_exact(3).map(diversion).collect())
    }

    /// The place of a package's file.
    fn place(&self, path: &str, package: &str) -> PathBuf {
        match self.0.get(path) {
            Some((place, owner)) if owner != package => place.clone(),
            _ => PathBuf::from(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn packages_are_read_from_the_files_of_dpkg() {
        let directory = tempfile::tempdir().unwrap();
        let info = directory.path().join("var/lib/dpkg/info");
        fs::create_dir_all(&info).unwrap();
        let status = "Package: coreutils\nStatus: install ok installed\nVersion: 9.1-1\nArchitecture: amd64\n\
             Description: basic\n Package: not-this-one\n .\n\n\
             Package: libgcc-s1\nStatus: install ok installed\nSource: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\n\
             Architecture: amd64\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n\
             Package: ../evil\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
        fs::write(directory.path().join("var/lib/dpkg/status"), status).unwrap();
        fs::write(
            directory.path().join("var/lib/dpkg/diversions"),
            "/usr/bin/ls\n/usr/bin/ls.old\nmyls\n/usr/bin/cp\n/usr/bin/cp.own\ncoreutils\n/half\n",
        )
        .unwrap();
        fs::write(
            info.join("coreutils.list"),
            "/.\n/usr\n/usr/bin\n/usr/bin/ls\n/usr/bin/cp\nnot-absolute\n",
        )
        .unwrap();
        fs::write(info.join("libgcc-s1:amd64.list"), "/lib/x86_64-linux-gnu/libgcc_s.so.1\n").unwrap();
        fs::write(info.join("gone.list"), "/etc/gone\n").unwrap();
        let packages = dpkg(&mut Root::new(directory.path())).unwrap();
        let [coreutils, gcc] = packages.as_slice() else { panic!("{packages:?}") };
        assert_eq!((&coreutils.software[..], &coreutils.version[..]), ("coreutils", "9.1-1"));
        let files: Vec<_> = ["/.", "/usr/bin/ls.old", "/usr/bin/cp"].map(PathBuf::from).to_vec();
        assert_eq!(coreutils.files, files);
        let names = [&gcc.software, &gcc.version, &gcc.name];
        assert_eq!(names, ["gcc-12", "12.2.0-14", "libgcc-s1"]);
        assert_eq!(gcc.files, [PathBuf::from("/lib/x86_64-linux-gnu/libgcc_s.so.1")]);
        assert!(dpkg(&mut Root::new(&directory.path().join("usr"))).is_err());
    }
}
