//! Bytes that are copied into a room of fixed length.

/// Copies bytes into the room from `at` on, and returns where they end; `None` where they do not
/// fit.
#[inline(never)]
pub fn put(room: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at.checked_add(bytes.len())?;
    let part = room.get_mut(at..end)?;
    // SAFETY: the part is as long as the bytes, and nobody else has it.
    unsafe { part.as_mut_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Some(end)
}
