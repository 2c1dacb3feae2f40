//! A process's directory in /proc, opened once: what is read in it later is of this process, or
//! there is nothing to read.
//!
//! Everything in it may be changed by the process while it is read: names, arguments, environment.
//! So each reading has a bound, and says where it has cut.

use crate::{
    process::process_id,
    process_stat::{ProcessStat, TICK_NS},
};
use rustix::{
    fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, major, minor, openat, readlinkat, statat},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use std::{fs::File, os::fd::OwnedFd};

/// Inode numbers of the namespaces that a machine starts with; the kernel never changes them.
pub const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
pub const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Longest path that is read from a link.
const PATH_MAX: usize = 4096;

/// Most bytes of `status` and its like.
const TEXT_MAX: usize = 16 << 10;

/// Bytes of a file that are read at first: most have fewer.
const FIRST_ROOM: usize = 8 << 10;

/// See the module.
#[derive(Debug)]
pub struct ProcessDirectory(OwnedFd);

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Its parent; 0 where that is in a namespace that we do not see.
    pub parent_pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its real group.
    pub gid: u32,
}

impl ProcessDirectory {
    /// The directory of the process that the descriptor stands for; `None` where it is gone.
    pub fn open(pid: u32, pidfd: Option<&OwnedFd>) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
        // While the descriptor's process has the number, nobody else's directory has it.
        let is_same = pidfd.is_none_or(|pidfd| process_id(pidfd).is_ok_and(|id| id == Some(pid)));
        is_same.then_some(ProcessDirectory(directory))
    }

    /// Parent, user and group.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        let status = self.status()?;
        let first = |key| numbers(&status, key)?.first().copied();
        Some(ProcessIdentity { parent_pid: first("PPid")?, uid: first("Uid")?, gid: first("Gid")? })
    }

    /// The number that it has in its own namespace, where that is not the machine's.
    pub fn namespace_pid(&self) -> Option<u32> {
        if self.namespace("pid") == Some(FIRST_PID_NAMESPACE) {
            return None;
        }
        let all = numbers(&self.status()?, "NSpid")?;
        all.last().copied().filter(|_| all.len() > 1)
    }

    fn status(&self) -> Option<String> {
        let (status, _) = self.read("status", TEXT_MAX)?;
        Some(String::from_utf8_lossy(&status).into_owned())
    }

    /// Device and inode of the file that it runs; `None` once it has ended.
    pub fn executable(&self) -> Option<(u64, u64)> {
        let file = statat(&self.0, "exe", AtFlags::empty()).ok()?;
        Some((file.st_dev, file.st_ino))
    }

    /// The file behind a link in it, such as `exe`, opened.
    pub fn open_file(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        openat(&self.0, name, flags, Mode::empty()).ok().map(File::from)
    }

    /// The folder that the process has for its root.
    pub fn open_root(&self) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.0, "root", flags, Mode::empty()).ok()
    }

    /// The devices that it has open, each with its path and its numbers. At most so many
    /// descriptors are looked at.
    pub fn open_devices(&self, descriptors_max: usize) -> Vec<(Vec<u8>, (u32, u32))> {
        self.descriptors(descriptors_max, |path, directory, entry| {
            let status = statat(directory, entry.file_name(), AtFlags::empty()).ok()?;
            let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
            is_device.then(|| (path, (major(status.st_rdev), minor(status.st_rdev))))
        })
    }

    /// The paths of files that it has open, where they end so. At most so many descriptors are
    /// looked at; no file is opened.
    pub fn open_files(&self, ending: &[u8], descriptors_max: usize) -> Vec<Vec<u8>> {
        self.descriptors(descriptors_max, |path, _, _| path.ends_with(ending).then_some(path))
    }

    /// What `read` takes of its descriptors that have a path, at most so many looked at.
    fn descriptors<T>(
        &self,
        descriptors_max: usize,
        read: impl Fn(Vec<u8>, &OwnedFd, &DirEntry) -> Option<T>,
    ) -> Vec<T> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = openat(&self.0, "fd", flags, Mode::empty()) else { return Vec::new() };
        let Ok(entries) = Dir::read_from(&directory) else { return Vec::new() };
        let one = |entry: DirEntry| {
            let path = readlinkat(&directory, entry.file_name(), Vec::new()).ok()?.into_bytes();
            // Not a socket, a pipe or their like.
            if !path.starts_with(b"/") {
                return None;
            }
            read(path, &directory, &entry)
        };
        entries.take(descriptors_max).map_while(Result::ok).filter_map(one).collect()
    }

    /// When the process was made, Unix time in nanoseconds, as exactly as the kernel says.
    pub fn began_ns(&self) -> Option<i64> {
        let (stat, _) = self.read("stat", TEXT_MAX)?;
        let ticks = ProcessStat::read(&stat)?.made_ticks;
        let [real, boot] = [ClockId::Realtime, ClockId::Boottime].map(|clock| {
            let time = clock_gettime(clock);
            time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
        });
        ticks.checked_mul(TICK_NS)?.checked_add(real.checked_sub(boot)?)
    }

    /// The target of a link, such as `exe` or `cwd`.
    pub fn link(&self, name: &str) -> Option<Vec<u8>> {
        let target = readlinkat(&self.0, name, Vec::with_capacity(PATH_MAX)).ok()?;
        Some(target.into_bytes())
    }

    /// The number in a link like `ns/pid`.
    pub fn namespace(&self, name: &str) -> Option<u64> {
        let text = self.link(&format!("ns/{name}"))?;
        let text = String::from_utf8(text).ok()?;
        text.split_once('[')?.1.strip_suffix(']')?.parse().ok()
    }

    /// A file in it, at most this many bytes of it, and whether there was more.
    pub fn read(&self, name: &str, bytes_max: usize) -> Option<(Vec<u8>, bool)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty()).ok()?;
        // One byte more, to see whether that is all.
        let mut bytes = vec![0; FIRST_ROOM.min(bytes_max + 1)];
        let mut filled = 0;
        loop {
            match rustix::io::read(&file, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
            if filled == bytes.len() {
                if filled > bytes_max {
                    break;
                }
                bytes.resize((2 * filled).min(bytes_max + 1), 0);
            }
        }
        bytes.truncate(filled.min(bytes_max));
        Some((bytes, filled > bytes_max))
    }

    /// True if the kernel runs the program with more rights than its caller has. `None` where it is
    /// not known.
    pub fn is_secure(&self, is_64_bit: bool) -> Option<bool> {
        const AT_SECURE: u64 = 23;
        let (bytes, _) = self.read("auxv", TEXT_MAX)?;
        let words: Vec<u64> = match is_64_bit {
            true => bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect(),
            false => bytes.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word).into()).collect(),
        };
        words.as_chunks::<2>().0.iter().find(|pair| pair[0] == AT_SECURE).map(|pair| pair[1] != 0)
    }
}

/// The numbers behind a key of `status`.
fn numbers(status: &str, key: &str) -> Option<Vec<u32>> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::pidfd_identity;
    use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn our_own_directory_tells_what_we_are() {
        let pid = getpid();
        let number = pid.as_raw_nonzero().get().cast_unsigned();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let directory = ProcessDirectory::open(number, Some(&pidfd)).unwrap();
        let identity = directory.identity().unwrap();
        assert_eq!(identity.parent_pid, std::os::unix::process::parent_id());
        assert_eq!(identity.uid, rustix::process::getuid().as_raw());
        if let Some(told) = pidfd_identity(&pidfd) {
            let ProcessIdentity { parent_pid, uid, gid } = identity;
            assert_eq!((told.parent_pid, told.uid, told.gid), (parent_pid, uid, gid));
        }
        let file = std::fs::metadata("/proc/self/exe").unwrap();
        assert_eq!(directory.executable(), Some((file.dev(), file.ino())));
        assert_eq!(directory.is_secure(cfg!(target_pointer_width = "64")), Some(false));
        let (line, is_cut) = directory.read("cmdline", 3).unwrap();
        assert_eq!((line.len(), is_cut), (3, true));
        assert!(directory.namespace("pid").is_some());
    }

    #[test]
    fn a_descriptor_of_another_process_opens_nothing() {
        let parent = Pid::from_raw(std::os::unix::process::parent_id().cast_signed()).unwrap();
        let pidfd = pidfd_open(parent, PidfdFlags::empty()).unwrap();
        assert!(ProcessDirectory::open(std::process::id(), Some(&pidfd)).is_none());
    }

    #[test]
    fn a_process_that_is_gone_tells_nothing() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd =
            pidfd_open(Pid::from_raw(child.id().cast_signed()).unwrap(), PidfdFlags::empty()).unwrap();
        let directory = ProcessDirectory::open(child.id(), Some(&pidfd)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(directory.executable(), None);
        assert_eq!(directory.identity(), None);
        assert!(ProcessDirectory::open(child.id(), Some(&pidfd)).is_none());
    }
}
