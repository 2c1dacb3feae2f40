//! Tells whether a directory can be looked up without waiting for a file server that may be dead.
//!
//! The kernel can be asked to walk a path only as far as it has it in memory (openat2 with
//! RESOLVE_CACHED, Linux 5.12). A directory that is not in memory is harmless on a disk of this
//! machine. The deepest directory that is in memory shows which file system it is, since a mount
//! point stays in memory. No test has a dead file server: these are the kernel's own rules.

use crate::{room, sys};

/// Longest path that is looked up.
const DIRECTORY_MAX: usize = 256;

/// Tells whether a lookup of this directory returns at once. Where the kernel does not know the
/// call, the answer is yes.
pub fn is_reachable(directory: &[u8]) -> bool {
    let mut room = [0u8; DIRECTORY_MAX];
    let mut len = directory.len();
    if room::put(&mut room, 0, directory).is_none_or(|end| end + 1 >= DIRECTORY_MAX) {
        return false;
    }
    let mut asked_for_itself = true;
    loop {
        let Some(path) = room.get(..=len) else { return false };
        match sys::open_cached(path) {
            Ok(found) => {
                let on_disk = asked_for_itself || sys::is_on_disk(found);
                sys::close(found);
                return on_disk;
            }
            Err(sys::WOULD_BLOCK) => {}
            // The kernel knows that it does not exist, or does not know the call.
            Err(_) => return true,
        }
        asked_for_itself = false;
        // To the parent.
        let walked = room.get(..len).unwrap_or_default();
        len = match walked.iter().rposition(|&byte| byte == b'/') {
            Some(slash) if len > 1 => slash.max(1),
            _ => return false,
        };
        if let Some(end) = room.get_mut(len) {
            *end = 0;
        }
    }
}
