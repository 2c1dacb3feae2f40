//! A path that is being put together, in a static program: on the stack, as long as the kernel's
//! own.

use crate::{
    room,
    sys::{self, Errno},
};

/// Longest path in bytes, as in the kernel.
const PATH_MAX: usize = 4096;
/// Stands for what is not known in front of the rest of a path. No absolute path begins so.
const UNKNOWN_FRONT: &[u8] = b".../";

/// A path.
pub struct PathBuffer {
    bytes: [u8; PATH_MAX],
    len: usize,
}

impl PathBuffer {
    /// An empty path.
    #[inline(never)]
    pub fn new() -> Self {
        PathBuffer { bytes: [0; PATH_MAX], len: 0 }
    }

    /// A path with a NUL behind it, as the kernel takes it.
    pub fn of(&mut self, path: &[u8]) -> Option<&[u8]> {
        self.of_pieces(path, b"")
    }

    /// Two pieces of a path with a NUL behind them.
    pub fn of_pieces(&mut self, path: &[u8], end: &[u8]) -> Option<&[u8]> {
        self.len = 0;
        for piece in [path, end, b"\0"] {
            self.push(piece)?;
        }
        Some(self.as_bytes())
    }

    /// The path.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Cuts it to its first bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds bytes; `None` where they do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> Option<()> {
        // One byte is left for a NUL.
        self.len = room::put(&mut self.bytes, self.len, bytes).filter(|end| *end < PATH_MAX)?;
        Some(())
    }

    /// Becomes the end of a path whose front is not known.
    pub fn set_end(&mut self, end: &[u8]) -> &[u8] {
        self.len = 0;
        let cut = end.get(end.len().saturating_sub(PATH_MAX / 2)..).unwrap_or_default();
        let _ = self.push(UNKNOWN_FRONT).and_then(|()| self.push(cut));
        self.as_bytes()
    }

    /// Writes a slash and the target of the link that the first `end` bytes name into `target`.
    pub fn link_at(&mut self, end: usize, target: &mut PathBuffer) -> Result<(), Errno> {
        let Some(behind) = self.bytes.get_mut(end) else { return Err(sys::RANGE) };
        let byte = core::mem::replace(behind, 0);
        let read = target.read_link(self.bytes.get(..=end).unwrap_or_default());
        if let Some(behind) = self.bytes.get_mut(end) {
            *behind = byte;
        }
        read
    }

    fn read_link(&mut self, link: &[u8]) -> Result<(), Errno> {
        let room = self.bytes.get_mut(1..).unwrap_or_default();
        let room_len = room.len();
        let len = sys::read_link(link, room)?.len();
        // What fills the room may be longer.
        if len + 1 >= room_len {
            return Err(sys::RANGE);
        }
        self.bytes[0] = b'/';
        self.len = len + 1;
        Ok(())
    }

    /// Becomes the target of a link; `link` ends in NUL.
    pub fn set_to_link(&mut self, link: &[u8]) -> Option<&[u8]> {
        self.read_link(link).ok()?;
        self.as_bytes().get(1..)
    }

    /// Becomes the working directory; `None` where it was removed, is outside the root, or is
    /// longer than the kernel tells.
    pub fn set_to_working_directory(&mut self) -> Option<&[u8]> {
        self.len = sys::working_directory(&mut self.bytes).ok()?;
        Some(self.as_bytes()).filter(|path| path.first() == Some(&b'/'))
    }
}
