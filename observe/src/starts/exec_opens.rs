//! Files that are opened in order to be run, as fanotify tells it: the file itself, and the
//! process.
//!
//! The kernel hands over a descriptor of the very file that it is about to run, so nobody can put
//! another one in its place. Programs, scripts, the interpreters of scripts and the loaders of
//! programs are all told, before the kernel knows whether it can run them.

use crate::process::{PidfdIdentity, pidfd_identity};
use nix::{
    errno::Errno,
    sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags},
};
use rustix::fs::CWD;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
    path::Path,
};

/// Bytes that are read at once: about 500 events.
const BUFFER: usize = 16 << 10;

/// `struct fanotify_event_metadata`, and what of it we read.
const METADATA: usize = 24;
const VERSION: u8 = 3;

/// `FAN_EVENT_INFO_TYPE_PIDFD`.
const PIDFD_RECORD: u8 = 4;

/// A file that a process opened to run it.
#[derive(Debug)]
pub struct ExecOpen {
    /// The file; only to be read.
    pub file: File,
    /// The process, by its number.
    pub pid: u32,
    /// The process, where the kernel gives it (Linux 5.15) and still knows it.
    pub pidfd: Option<OwnedFd>,
    /// Who it is, asked at once: a process may be gone within a tenth of a millisecond.
    pub identity: Option<PidfdIdentity>,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct ExecOpens {
    /// The files, in the order of their openings.
    pub opens: Vec<ExecOpen>,
    /// The number of times that the kernel's queue was full, and events were lost.
    pub overflows: u64,
}

/// A group of marks on filesystems, and the queue of what the kernel tells of them.
pub struct ExecWatch {
    group: Fanotify,
    buffer: Vec<u8>,
}

impl ExecWatch {
    /// Opens a group without marks.
    pub fn open() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | InitFlags::FAN_CLASS_NOTIF;
        let files = EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC;
        // The kernel bounds the queue: fs.fanotify.max_queued_events.
        let group = Fanotify::init(flags | InitFlags::FAN_REPORT_PIDFD, files)
            .or_else(|_| Fanotify::init(flags, files))?;
        Ok(ExecWatch { group, buffer: vec![0; BUFFER] })
    }

    /// Watches the filesystem that has this path, with all its mounts.
    pub fn watch(&self, path: &Path) -> io::Result<()> {
        let mask = MaskFlags::FAN_OPEN_EXEC;
        let mark = |kind| self.group.mark(MarkFlags::FAN_MARK_ADD | kind, mask, CWD, Some(path));
        match mark(MarkFlags::FAN_MARK_FILESYSTEM) {
            // Before Linux 4.20 there are single mounts only.
            Err(Errno::EINVAL) => Ok(mark(MarkFlags::FAN_MARK_MOUNT)?),
            marked => Ok(marked?),
        }
    }

    /// Watches this file no more, until it is changed.
    pub fn leave_out(&self, file: &File) {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_IGNORED_MASK;
        // It costs more where the kernel refuses.
        let _ = self.group.mark(flags, MaskFlags::FAN_OPEN_EXEC, CWD, Some(path.as_str()));
    }

    /// Takes what the kernel has told, without waiting. More may be left.
    pub fn read(&mut self) -> io::Result<ExecOpens> {
        let mut told = ExecOpens::default();
        let length = match rustix::io::read(&self.group, &mut self.buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(told),
            Err(problem) => return Err(problem.into()),
        };
        let mut rest = self.buffer.get(..length).unwrap_or_default();
        while let Some(event) = Event::first(rest) {
            rest = rest.get(event.length..).unwrap_or_default();
            if event.mask & MaskFlags::FAN_Q_OVERFLOW.bits() != 0 {
                told.overflows += 1;
            }
            // SAFETY: the kernel has just opened these two descriptors for us, and wrote their
            // numbers into this event alone; nobody else has taken them.
            let [file, pidfd] =
                [event.file, event.pidfd].map(|fd| (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) }));
            if let (Some(file), Ok(pid @ 1..)) = (file, u32::try_from(event.pid)) {
                let identity = pidfd.as_ref().and_then(pidfd_identity);
                told.opens.push(ExecOpen { file: file.into(), pid, pidfd, identity });
            }
        }
        Ok(told)
    }
}

impl AsFd for ExecWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// An event as the kernel wrote it.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    length: usize,
    mask: u64,
    file: i32,
    pid: i32,
    pidfd: i32,
}

impl Event {
    /// The event at the front of what the kernel wrote.
    fn first(bytes: &[u8]) -> Option<Self> {
        let length = number(bytes, 0).map(u32::from_ne_bytes)? as usize;
        let head_length = usize::from(number(bytes, 6).map(u16::from_ne_bytes)?);
        if length < METADATA || head_length < METADATA || bytes.get(4) != Some(&VERSION) {
            return None;
        }
        let mut records = bytes.get(head_length..length).unwrap_or_default();
        let mut pidfd = -1;
        while let Some(record_length) =
            number(records, 2).map(u16::from_ne_bytes).filter(|length| *length >= 4)
        {
            if records.first() == Some(&PIDFD_RECORD) {
                pidfd = number(records, 4).map_or(-1, i32::from_ne_bytes);
            }
            records = records.get(usize::from(record_length)..).unwrap_or_default();
        }
        Some(Event {
            length,
            mask: number(bytes, 8).map(u64::from_ne_bytes)?,
            file: number(bytes, 16).map(i32::from_ne_bytes)?,
            pid: number(bytes, 20).map(i32::from_ne_bytes)?,
            pidfd,
        })
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_with_its_records() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&32_u32.to_ne_bytes());
        bytes.extend_from_slice(&[VERSION, 0]);
        bytes.extend_from_slice(&24_u16.to_ne_bytes());
        bytes.extend_from_slice(&0x1000_u64.to_ne_bytes());
        bytes.extend_from_slice(&7_i32.to_ne_bytes());
        bytes.extend_from_slice(&99_i32.to_ne_bytes());
        bytes.extend_from_slice(&[PIDFD_RECORD, 0]);
        bytes.extend_from_slice(&8_u16.to_ne_bytes());
        bytes.extend_from_slice(&8_i32.to_ne_bytes());
        let expected = Event { length: 32, mask: 0x1000, file: 7, pid: 99, pidfd: 8 };
        assert_eq!(Event::first(&bytes), Some(expected));
        for cut in 0..24 {
            assert_eq!(Event::first(&bytes[..cut]), None);
        }
        bytes[0] = 24;
        assert_eq!(Event::first(&bytes).map(|event| event.pidfd), Some(-1), "no record");
    }
}
