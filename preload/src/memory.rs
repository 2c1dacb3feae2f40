//! Memory of our own for what outgrows the stack: anonymous pages, given back when dropped.

use crate::sys;
use core::{ptr::NonNull, slice};

/// A mapping.
pub struct Memory {
    start: NonNull<u8>,
    len: usize,
}

impl Memory {
    /// Maps `len` bytes, all zero; `None` where the kernel has none.
    pub fn new(len: usize) -> Option<Self> {
        Some(Memory { start: NonNull::new(sys::map(len).ok()?.cast())?, len })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: ours alone, `len` bytes long, and mapped until it is dropped.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Its bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference is left.
        unsafe { sys::unmap(self.start.as_ptr().cast(), self.len) };
    }
}
