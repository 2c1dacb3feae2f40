//! A path that is being put together. A usual one stays on the stack; a longer one moves to memory
//! of its own (`long_paths_are_whole`).

use crate::{
    memory::Memory,
    sys::{self, Errno},
};

/// Bytes on the stack.
const ROOM: usize = 1024;
/// Longest path in bytes. The kernel's own are at most 4,096, and a directory of that length comes
/// in front.
pub const PATH_MAX: usize = 64 << 10;
/// Stands for what is not known in front of the rest of a path. No absolute path begins so.
const UNKNOWN_FRONT: &[u8] = b".../";

/// A path.
pub struct PathBuffer {
    small: [u8; ROOM],
    large: Option<Memory>,
    len: usize,
}

impl PathBuffer {
    /// An empty path.
    pub fn new() -> Self {
        PathBuffer { small: [0; ROOM], large: None, len: 0 }
    }

    /// A path with a NUL behind it, as the kernel takes it.
    pub fn of(&mut self, path: &[u8]) -> Option<&[u8]> {
        self.of_pieces(path, b"")
    }

    /// Two pieces of a path with a NUL behind them.
    pub fn of_pieces(&mut self, path: &[u8], end: &[u8]) -> Option<&[u8]> {
        self.len = 0;
        self.push(path)?;
        self.push(end)?;
        self.with_nul()
    }

    /// The path.
    pub fn as_bytes(&self) -> &[u8] {
        self.room().get(..self.len).unwrap_or_default()
    }

    /// Its length.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Cuts it to its first bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Adds bytes; `None` where they do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let start = self.len;
        let end = start.checked_add(bytes.len())?;
        if end >= self.room().len() {
            self.grow(end)?;
        }
        self.room_mut().get_mut(start..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// Takes the last component off.
    pub fn pop(&mut self) {
        self.len = self.as_bytes().iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    }

    /// The path with a NUL behind it.
    pub fn with_nul(&mut self) -> Option<&[u8]> {
        let len = self.len;
        *self.room_mut().get_mut(len)? = 0;
        self.room().get(..=len)
    }

    /// Becomes the end of a path whose front is not known.
    pub fn set_end(&mut self, end: &[u8]) -> &[u8] {
        const END_MAX: usize = ROOM / 2;
        let cut = end.get(end.len().saturating_sub(END_MAX)..).unwrap_or_default();
        self.len = 0;
        if self.push(UNKNOWN_FRONT).and_then(|()| self.push(end)).is_none() {
            self.len = UNKNOWN_FRONT.len();
            let _ = self.push(cut);
        }
        self.as_bytes()
    }

    /// Becomes the target of a link; `link` ends in NUL.
    pub fn set_to_link(&mut self, link: &[u8]) -> Option<&[u8]> {
        self.fill(|room| {
            let room_len = room.len();
            let len = sys::read_link(link, room)?.len();
            // What fills the room may be longer.
            if len < room_len { Ok(len) } else { Err(sys::RANGE) }
        })
    }

    /// Becomes the working directory; `None` where it was removed, is outside the root, or is
    /// longer than the kernel tells.
    pub fn set_to_working_directory(&mut self) -> Option<&[u8]> {
        self.fill(sys::working_directory).filter(|path| path.first() == Some(&b'/'))
    }

    fn fill(&mut self, mut get: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Option<&[u8]> {
        self.len = 0;
        let mut got = get(self.room_mut());
        if got == Err(sys::RANGE) && self.large.is_none() {
            self.grow(ROOM)?;
            got = get(self.room_mut());
        }
        self.len = got.ok()?;
        Some(self.as_bytes())
    }

    fn grow(&mut self, needed: usize) -> Option<()> {
        if self.large.is_some() || needed >= PATH_MAX {
            return None;
        }
        let mut memory = Memory::new(PATH_MAX)?;
        let small = self.small.get(..self.len)?;
        memory.bytes_mut().get_mut(..small.len())?.copy_from_slice(small);
        self.large = Some(memory);
        Some(())
    }

    fn room(&self) -> &[u8] {
        self.large.as_ref().map_or(&self.small, Memory::bytes)
    }

    fn room_mut(&mut self) -> &mut [u8] {
        match &mut self.large {
            Some(memory) => memory.bytes_mut(),
            None => &mut self.small,
        }
    }
}
