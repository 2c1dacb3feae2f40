//! The spool: a directory that holds events which nobody took
//! (`what_nobody_takes_waits_in_the_spool`). `ogrt flush` and the wrappers send them later.
//!
//! A file holds whole frames as they would have been sent. It is written under a temporary name and
//! then renamed, so that a reader of `*.frames` finds whole files.

use crate::{
    parts::{Event, ValueMax},
    reach::is_reachable,
    sys::{self, Errno},
};

/// The directory as its variable named it at the start: kept until the process ends.
#[derive(Clone, Copy)]
pub struct Spool {
    directory: [u8; DIRECTORY_MAX],
    len: u16,
}

/// Longer directories are refused.
const DIRECTORY_MAX: usize = 255;
/// Room for directory, slash, time, pid, random digits, ending and NUL.
const PATH_MAX: usize = DIRECTORY_MAX + 80;

impl Spool {
    /// The spool in this directory; `None` where the name is empty, relative or too long.
    pub fn new(directory: &[u8]) -> Option<Self> {
        let mut spool = Spool { directory: [0; DIRECTORY_MAX], len: directory.len() as u16 };
        if directory.first() != Some(&b'/') {
            return None;
        }
        spool.directory.get_mut(..directory.len())?.copy_from_slice(directory);
        Some(spool)
    }

    /// Its directory.
    pub fn directory(&self) -> &[u8] {
        self.directory.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Writes the event's frames from number `from` on.
    pub fn keep(&self, event: &Event, from: usize) -> Result<(), Errno> {
        let mut bytes = 0u64;
        event.frames(ValueMax::Stream).skip(from).for_each(|frame| bytes += frame.len() as u64);
        // Beyond the limit a write is a SIGXFSZ, which would kill the user's process.
        if sys::limit(sys::LIMIT_FILE_SIZE) < bytes {
            return Err(sys::WOULD_BLOCK);
        }
        let mut directory = Path::new();
        directory.push(self.directory());
        if !is_reachable(self.directory()) {
            return Err(sys::WOULD_BLOCK);
        }
        let mut name = Path::new();
        name.push(self.directory());
        name.push(b"/");
        name.push_number(sys::clock(sys::REALTIME).as_nanoseconds());
        name.push(b"-");
        name.push_number(event.pid as u64);
        name.push(b"-");
        // The last bytes of an event id are random; start and end of a process share it, but not
        // the time.
        name.push_hex(event.event_id.get(8..).unwrap_or_default());
        let mut temporary = name;
        temporary.push(b".part");
        name.push(b".frames");
        let file = match sys::create(temporary.with_nul()) {
            Err(sys::NOT_FOUND) => {
                // Another process may make it in the same moment, so the next call finds out
                // whether it exists.
                let _ = sys::make_directory(directory.with_nul());
                sys::create(temporary.with_nul())
            }
            result => result,
        }?;
        let mut written = Ok(());
        for frame in event.frames(ValueMax::Stream).skip(from) {
            for slice in frame.slices().into_iter().filter(|slice| !slice.is_empty()) {
                written = written.and_then(|()| match sys::write(file, slice)? {
                    taken if taken == slice.len() => Ok(()),
                    _ => Err(sys::WOULD_BLOCK),
                });
            }
        }
        sys::close(file);
        let kept = written.and_then(|()| sys::rename(temporary.with_nul(), name.with_nul()));
        if kept.is_err() {
            sys::remove(temporary.with_nul());
        }
        kept
    }
}

#[derive(Clone, Copy)]
struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl Path {
    fn new() -> Self {
        Path { bytes: [0; PATH_MAX], len: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0u8; 20];
        self.push(crate::say::decimal(number, &mut digits));
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            self.push(&[digit(byte >> 4), digit(byte & 15)]);
        }
    }

    fn with_nul(&self) -> &[u8] {
        self.bytes.get(..=self.len).unwrap_or_default()
    }
}
