//! Whether a directory can be looked up without waiting for a file server that may be dead.
//!
//! The kernel can be asked to walk a path only as far as it has it in memory (openat2 with RESOLVE_CACHED, Linux
//! 5.12). What is not in memory is harmless on a disk of this machine: the deepest directory that is in memory
//! tells, since a mount point never leaves it.

use crate::sys;

/// Longest directory that is looked at.
const DIRECTORY_MAX: usize = 256;

/// Whether looking up this directory cannot hang. Where the kernel cannot tell, it is taken to be so.
pub fn is_reachable(directory: &[u8]) -> bool {
    let mut room = [0u8; DIRECTORY_MAX];
    let mut len = directory.len();
    match room.get_mut(..len) {
        Some(copy) if len + 1 < DIRECTORY_MAX => copy.copy_from_slice(directory),
        _ => return false,
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
            // It is known not to be there, or the call is not known.
            Err(_) => return true,
        }
        asked_for_itself = false;
        // To the parent.
        let walked = room.get(..len).unwrap_or_default();
        len = match walked.iter().rposition(|&byte| byte == b'/') {
            Some(slash) if len > 1 => slash.max(1),
            _ => return false,
        };
        if let Some(end) = room.get_mut(len..) {
            end.iter_mut().for_each(|byte| *byte = 0);
        }
    }
}
