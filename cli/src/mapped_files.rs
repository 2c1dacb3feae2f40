//! The files whose code a running process has mapped: its executable and its shared objects.
//!
//! They are read through `/proc/PID/root`, so that a process in a container or chroot is seen with
//! its own files, not with ours that happen to have the same names. Source: proc(5),
//! `/proc/pid/maps`.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file with executable pages in a process.
#[derive(Debug, PartialEq)]
pub struct MappedFile {
    /// The path as the process sees it.
    pub name: String,
    /// A path that opens the file from here.
    pub path: PathBuf,
}

/// Lists the files that process `pid` runs code from, in the order of their addresses, each once.
pub fn of_process(pid: u32) -> Result<Vec<MappedFile>> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let maps_path = process.join("maps");
    let maps = fs::read(&maps_path).with_context(|| format!("process {pid}: {}", maps_path.display()))?;
    Ok(executable_names(&String::from_utf8_lossy(&maps))
        .into_iter()
        .map(|name| MappedFile { path: path_from_here(&process, &name), name })
        .collect())
}

/// The path that opens a mapped file: its name below `/proc/PID/root`. The executable is
/// `/proc/PID/exe`, which opens it even after it was deleted.
fn path_from_here(process: &Path, name: &str) -> PathBuf {
    let executable = process.join("exe");
    if fs::read_link(&executable).is_ok_and(|target| target.as_os_str() == name) {
        return executable;
    }
    process.join("root").join(name.trim_start_matches('/'))
}

/// The absolute paths of executable mappings in the text of `/proc/PID/maps`, each once.
fn executable_names(maps: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in maps.lines() {
        // address perms offset dev inode pathname; a path may hold spaces, and a newline in it is
        // written \012.
        let mut rest = line;
        let mut field = || {
            let (field, after) = rest.split_once(' ')?;
            rest = after.trim_start();
            Some(field)
        };
        let (Some(_address), Some(permissions), Some(_offset), Some(_device), Some(_inode)) =
            (field(), field(), field(), field(), field())
        else {
            continue;
        };
        let name = rest.replace("\\012", "\n");
        if permissions.contains('x') && name.starts_with('/') && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_counts_and_data_does_not() {
        let maps = "\
55d4c0000000-55d4c0002000 r--p 00000000 fe:01 1234   /opt/my app/prog
55d4c0002000-55d4c0006000 r-xp 00002000 fe:01 1234   /opt/my app/prog
7f0000000000-7f0000300000 r--p 00000000 fe:01 99     /usr/lib/locale/locale-archive
7f0001000000-7f0001021000 r-xp 00001000 fe:01 77     /usr/lib/libz.so.1 (deleted)
7f0001030000-7f0001031000 r-xp 00001000 fe:01 77     /usr/lib/libz.so.1 (deleted)
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0      [vdso]
7ffd00000000-7ffd00002000 rwxp 00000000 00:00 0 
broken line
";
        assert_eq!(executable_names(maps), ["/opt/my app/prog", "/usr/lib/libz.so.1 (deleted)"]);
    }

    #[test]
    fn this_very_process_maps_its_executable() {
        let files = of_process(std::process::id()).unwrap();
        let own = std::env::current_exe().unwrap();
        assert!(files.iter().any(|file| Path::new(&file.name) == own), "{files:?}");
        assert!(files.iter().all(|file| file.path.exists()), "{files:?}");
    }
}
