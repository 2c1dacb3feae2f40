//! The memory of a process, as the kernel lets us read it.

use super::{
    interpreters::{Executable, Python, read_pythons},
    mappings::Mappings,
    memory::{Memory, Unreadable, long},
};
use rustix::fs::{Mode, OFlags, open, openat};
use std::{
    cell::OnceCell,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::fs::FileExt},
    ptr,
};

/// Text of `/proc/PID/maps` that is read: some 30,000 mappings.
const MAPS_BYTES_MAX: u64 = 4 << 20;

/// Ranges of one call; the kernel takes 1,024.
const RANGES_AT_ONCE: usize = 512;

/// Words about the program that the kernel gave it when it started; usually 400 bytes.
const AUXILIARY_BYTES_MAX: u64 = 4096;

/// Every Python that runs in the process, and what it has imported. The process is not stopped, and
/// nothing runs in it. We must be allowed to trace it.
///
/// The call may wait for ever, if the process wants it: see [`super::pythons_within`].
pub fn pythons(pid: u32) -> io::Result<Vec<Python>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(format!("/proc/{pid}"), flags, Mode::empty())?;
    let memory = ProcessMemory { pid: pid.try_into().map_err(io::Error::other)? };
    let auxiliary = read_text(&folder, "auxv", AUXILIARY_BYTES_MAX)?;
    let maps = read_text(&folder, "maps", MAPS_BYTES_MAX)?;
    memory.check_permission()?;
    let file = ProgramFile { folder: &folder, file: OnceCell::new() };
    let executable =
        headers_address(&auxiliary).map(|headers_address| Executable { file: &file, headers_address });
    let pythons = read_pythons(&memory, &Mappings::parse(&maps), executable.as_ref());
    // The folder stays that of the first process, whoever gets its number. The addresses in these
    // words are others after an exec.
    if read_text(&folder, "auxv", AUXILIARY_BYTES_MAX)? == auxiliary {
        Ok(pythons)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "the program ended while it was looked at"))
    }
}

/// The memory of a process.
struct ProcessMemory {
    pid: libc::pid_t,
}

impl ProcessMemory {
    /// Fails where nothing may be read. What may be read, but is not there, is no failure.
    fn check_permission(&self) -> io::Result<()> {
        match self.read_ranges(&[(0, 1)], &mut [0]) {
            Err(problem) if problem.raw_os_error() != Some(libc::EFAULT) => Err(problem),
            _ => Ok(()),
        }
    }

    /// Reads the ranges into the buffer, one behind the other, up to the first that is not there.
    /// What it says is how many bytes were read.
    fn read_ranges(&self, ranges: &[(u64, usize)], buffer: &mut [u8]) -> io::Result<usize> {
        let theirs: Vec<_> = ranges.iter().filter_map(|&(address, length)| remote(address, length)).collect();
        if theirs.len() != ranges.len() {
            return Ok(0);
        }
        let ours = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: the kernel writes into the buffer, which lives longer than the call, no more than
        // its length. The other addresses are never used in this process; there are as many as we
        // say.
        let read = unsafe {
            libc::process_vm_readv(self.pid, &raw const ours, 1, theirs.as_ptr(), theirs.len() as _, 0)
        };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }
}

/// A range of the other process. `None` for an address that no process has.
fn remote(address: u64, length: usize) -> Option<libc::iovec> {
    let address = usize::try_from(address).ok()?;
    Some(libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: length })
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let length = buffer.len();
        let read = self.read_ranges(&[(address, length)], buffer);
        if read.is_ok_and(|bytes| bytes == length) { Ok(()) } else { Err(Unreadable) }
    }

    fn read_each(&self, mut ranges: &[(u64, usize)], mut buffer: &mut [u8]) -> Vec<bool> {
        let mut are_there = Vec::with_capacity(ranges.len());
        while !ranges.is_empty() {
            let (batch, _) = ranges.split_at(ranges.len().min(RANGES_AT_ONCE));
            let bytes = batch.iter().map(|range| range.1).sum();
            let Some((part, _)) = buffer.split_at_mut_checked(bytes) else { break };
            let mut left = self.read_ranges(batch, part).unwrap_or(0);
            let whole = batch.iter().take_while(|range| {
                let is_whole = range.1 <= left;
                left = left.saturating_sub(range.1);
                is_whole
            });
            let whole = whole.count();
            are_there.resize(are_there.len() + whole, true);
            // The first that is not there ends a batch. The next begins behind it.
            let done = if whole < batch.len() { whole + 1 } else { whole };
            are_there.resize(are_there.len() + done - whole, false);
            let done_bytes = batch[..done].iter().map(|range| range.1).sum();
            ranges = &ranges[done..];
            buffer = &mut buffer[done_bytes..];
        }
        are_there
    }
}

/// The bytes of a process's program, by their places in its file. It is opened when they are asked
/// for: that is seldom.
struct ProgramFile<'f> {
    folder: &'f OwnedFd,
    file: OnceCell<Option<File>>,
}

impl Memory for ProgramFile<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        let file = self.file.get_or_init(|| open_file(self.folder, "exe").ok());
        file.as_ref().ok_or(Unreadable)?.read_exact_at(buffer, address).map_err(|_| Unreadable)
    }
}

fn open_file(folder: &OwnedFd, name: &str) -> io::Result<File> {
    Ok(openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
}

fn read_text(folder: &OwnedFd, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_file(folder, name)?.take(bytes_max).read_to_end(&mut text)?;
    Ok(text)
}

/// The address of the program's headers, from the words that the kernel gave it when it started.
fn headers_address(auxiliary: &[u8]) -> Option<u64> {
    const AT_PHDR: u64 = 3;
    let pair = |pair: &[u8]| Some((long(pair, 0).ok()?, long(pair, 8).ok()?));
    auxiliary.chunks_exact(16).filter_map(pair).find_map(|(tag, value)| (tag == AT_PHDR).then_some(value))
}
