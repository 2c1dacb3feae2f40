//! Which processes the kernel has killed because memory was short, as its log names them.
//!
//! A process that was killed so cannot be told from others by its status. The log has a line for
//! each, with the number that the machine itself knows it by. Only the kernel can write such a
//! line: what programs write there has another origin.

use rustix::{
    fs::{Mode, OFlags, SeekFrom, open, seek},
    io::{Errno, read},
};
use std::{io, os::fd::OwnedFd};

/// Longest line, and lines that are read at once.
const LINE_MAX: usize = 8192;
const AT_ONCE: usize = 1024;

/// See the module.
pub struct OomLog(OwnedFd);

impl OomLog {
    /// Begins with what is logged from now on. It may need CAP_SYSLOG, and needs nothing later.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let log = open("/dev/kmsg", flags, Mode::empty())?;
        seek(&log, SeekFrom::End(0))?;
        Ok(OomLog(log))
    }

    /// The processes that were killed since this was last asked.
    pub fn victims(&self) -> Vec<u32> {
        let (mut victims, mut line) = (Vec::new(), [0; LINE_MAX]);
        for _ in 0..AT_ONCE {
            match read(&self.0, &mut line[..]) {
                Ok(0) => break,
                Ok(length) => victims.extend(line.get(..length).and_then(victim)),
                // Lines were overwritten before they were read; the next is a whole one.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(_) => break,
            }
        }
        victims
    }
}

/// The process of a line such as `3,1150,17069086075,-;Memory cgroup out of memory: Killed process
/// 7 (x) ...`, where the kernel wrote it.
fn victim(line: &[u8]) -> Option<u32> {
    let (head, text) = line.split_at(line.iter().position(|byte| *byte == b';')?);
    let origin: u32 = str::from_utf8(head.split(|byte| *byte == b',').next()?).ok()?.parse().ok()?;
    // Above the eight levels stands who wrote it; the kernel is 0.
    if origin >= 8 {
        return None;
    }
    let text = String::from_utf8_lossy(text.get(1..)?);
    let is_oom = text.starts_with("Memory cgroup out of memory") || text.starts_with("Out of memory");
    let (_, victim) = text.split_once(": Killed process ").filter(|_| is_oom)?;
    victim.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_says_who_was_killed() {
        let line =
            |origin: u32, text: &str| victim(format!("{origin},1150,17069086075,-;{text}\n").as_bytes());
        let killed = "Memory cgroup out of memory: Killed process 30532 (python3) total-vm:118956kB";
        assert_eq!(line(3, killed), Some(30532));
        assert_eq!(line(3, "Out of memory: Killed process 7 (: Killed process 9 ) x"), Some(7));
        assert_eq!(line(11, killed), None, "a program wrote it");
        for other in ["oom-kill:constraint=CONSTRAINT_NONE,task=a,pid=7,uid=0", "a: Killed process 7 (b)", ""]
        {
            assert_eq!(line(3, other), None, "{other}");
        }
        assert_eq!(victim(b"3,1,2,-"), None);
        assert_eq!(victim(b""), None);
    }
}
