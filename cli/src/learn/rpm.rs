//! Packages of RPM, as `rpm` itself lists them: its database has one of several formats.

use super::{
    package::{Package, ReadProblem},
    root::Root,
};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Most bytes of the list.
const LIST_BYTES_MAX: u64 = 1 << 30;

/// The places of the database in distributions, and the names of its files in its formats.
const DATABASES: [&str; 2] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
const FORMATS: [&str; 3] = ["rpmdb.sqlite", "Packages.db", "Packages"];

/// What `rpm` prints of a package: its names, and a line for each file.
const FORMAT: &str =
    "P\t%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{SOURCERPM}\n[F\t%{FILENAMES}\n]";

/// The packages that RPM has installed.
pub fn rpm(root: &Root) -> Result<Vec<Package>, ReadProblem> {
    let directory = root.outside(Path::new("/"));
    let unreadable = |cause| ReadProblem::Unreadable { path: PathBuf::from("rpm"), cause };
    let mut command = Command::new("rpm");
    command.arg("--root").arg(&directory).args(["-qa", "--qf", FORMAT]);
    // The `rpm` of another distribution looks in another place.
    let database = DATABASES.iter().filter_map(|place| root.resolve_whole(Path::new(place)));
    if let Some(database) = database.into_iter().find(|database| has_database(&root.outside(database))) {
        command.arg("--dbpath").arg(database);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(LIST_BYTES_MAX).read_to_end(&mut bytes),
        None => Ok(0),
    };
    let status = child.wait().map_err(unreadable)?;
    read.map_err(unreadable)?;
    match status.success() {
        true => Ok(packages(&String::from_utf8_lossy(&bytes))),
        false => Err(ReadProblem::wrong(Path::new("rpm"), format!("it ended with {status}"))),
    }
}

fn has_database(directory: &Path) -> bool {
    FORMATS.iter().any(|name| directory.join(name).exists())
}

fn packages(list: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for line in list.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["P", name, version, source] => packages.push(Package {
                software: source_name(source).unwrap_or(name).to_owned(),
                version: version.to_owned(),
                name: name.to_owned(),
                packager: "rpm",
                files: Vec::new(),
            }),
            ["F", file] if file.starts_with('/') => {
                if let Some(package) = packages.last_mut() {
                    package.files.push(PathBuf::from(file));
                }
            }
            _ => {}
        }
    }
    // Keys of signatures are listed like packages.
    packages.retain(|package| package.name != "gpg-pubkey");
    packages
}

/// The name in `gcc-12.2.1-4.fc37.src.rpm`.
fn source_name(source: &str) -> Option<&str> {
    let rest = source.strip_suffix(".src.rpm").or_else(|| source.strip_suffix(".nosrc.rpm"))?;
    let (rest, _) = rest.rsplit_once('-')?;
    rest.rsplit_once('-').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_name_of_their_source() {
        let list = "P\tlibgcc\t12.2.1-4.fc37\tgcc-12.2.1-4.fc37.src.rpm\nF\t/lib64/libgcc_s.so.1\n\
                    F\trelative\nP\tgpg-pubkey\t1-2\t(none)\nP\tvim-minimal\t2:9.0-1\tvim-9.0-1.src.rpm\nF\t/usr/bin/vi\n";
        let packages = packages(list);
        let shown = |package: &Package| {
            let Package { software, version, name, files, .. } = package.clone();
            (software, version, name, files.len())
        };
        let of =
            |software: &str, version: &str, name: &str| (software.into(), version.into(), name.into(), 1);
        let all: Vec<_> = packages.iter().map(shown).collect();
        assert_eq!(all, [of("gcc", "12.2.1-4.fc37", "libgcc"), of("vim", "2:9.0-1", "vim-minimal")]);
        assert_eq!(source_name("(none)"), None);
    }
}
