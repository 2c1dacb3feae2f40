//! A file system of a few megabytes, in a namespace that a process of its own holds.
//!
//! It is reached through that process's directory in /proc, so that nobody has to be root, and
//! nothing is left when the test ends in whatever way.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

pub struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    pub fn mount(mebibytes: u32) -> Self {
        let mount = format!("mount -t tmpfs -o size={mebibytes}m ogrt-test /mnt && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "no file system can be mounted in a namespace of one's own");
        let path = PathBuf::from(format!("/proc/{}/root/mnt", holder.id()));
        SmallDisk { holder, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let disk = nix::sys::statvfs::statvfs(&self.path).unwrap();
        disk.blocks_available() * disk.fragment_size()
    }

    /// Takes all that is free, as another program would.
    pub fn fill(&self) {
        let ballast = fs::File::create(self.path.join("ballast")).unwrap();
        let megabyte = vec![1; 1 << 20];
        while std::io::Write::write(&mut &ballast, &megabyte).is_ok_and(|written| written > 0) {}
    }

    /// Frees the disk again. Afterwards this much is free, whatever the outputs have written
    /// meanwhile.
    pub fn relieve(&self, mebibytes: u64) {
        fs::remove_file(self.path.join("ballast")).unwrap();
        let disk = nix::sys::statvfs::statvfs(&self.path).unwrap();
        let used = (disk.blocks() - disk.blocks_free()) * disk.fragment_size();
        let size = format!("remount,size={}", used + (mebibytes << 20));
        let holder = self.holder.id().to_string();
        let enter = ["-U", "-m", "--preserve-credentials", "-t", &holder, "mount", "-o", &size, "/mnt"];
        assert!(Command::new("nsenter").args(enter).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
