//! The spool of a static program's event: the same files as those of `spool.rs`, one frame in each.

use crate::{parts::Event, path_buffer::PathBuffer, reach::is_reachable, say::decimal, sys};
use core::slice;

/// The directory as its variable named it.
#[derive(Clone, Copy)]
pub struct Spool(&'static [u8]);

impl Spool {
    /// The spool in this directory; `None` where the name is empty or relative.
    pub fn new(directory: &'static [u8]) -> Option<Self> {
        (directory.first() == Some(&b'/')).then_some(Spool(directory))
    }

    /// Writes the event.
    pub fn keep(&self, event: &Event) -> Option<()> {
        // Beyond the limit a write is a SIGXFSZ, which would kill the user's process.
        let fits = sys::limit(sys::LIMIT_FILE_SIZE) >= event.frame_len() as u64;
        if !fits || !is_reachable(self.0) {
            return None;
        }
        let mut temporary = PathBuffer::new();
        let mut name = PathBuffer::new();
        name.push(self.0)?;
        // The last bytes of an event id are random.
        let random = event.event_id.last_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let numbers = [sys::clock(sys::REALTIME).as_nanoseconds(), event.pid as u64, random];
        for (front, number) in b"/--".iter().zip(numbers) {
            let mut digits = [0; 20];
            let digits = decimal(number, &mut digits);
            name.push(slice::from_ref(front)).and_then(|()| name.push(digits))?;
        }
        let temporary = temporary.of_pieces(name.as_bytes(), b".part")?;
        name.push(b".frames\0")?;
        let file = match sys::create(temporary) {
            Err(sys::NOT_FOUND) => {
                // Another process may make it in the same moment, so the next call finds out
                // whether it exists.
                if let Some(directory) = PathBuffer::new().of(self.0) {
                    let _ = sys::make_directory(directory);
                }
                sys::create(temporary)
            }
            result => result,
        }
        .ok()?;
        let header = event.header();
        let is_written =
            [&header, event.message].into_iter().all(|bytes| sys::write(file, bytes) == Ok(bytes.len()));
        sys::close(file);
        if is_written && sys::rename(temporary, name.as_bytes()).is_ok() {
            return Some(());
        }
        sys::remove(temporary);
        None
    }
}
