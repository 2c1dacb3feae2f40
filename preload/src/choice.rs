//! The decision whether a process is tracked, before anything is asked of the kernel.

use crate::{glob, path_buffer::PathBuffer, settings::Settings, sys};

/// The decision of OGRT_SKIP and OGRT_ONLY by the path as it was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It is left out.
    LeaveOut,
    /// It is tracked.
    LetIn,
    /// The canonical path decides.
    Unknown,
}

/// Decides by the path as it was called, as far as possible. So a process that is left out costs no
/// system call, or one readlink: it finds out whether the file is a link, whose target OGRT_ONLY
/// may name.
pub fn choice_as_called(settings: Settings, path: &[u8]) -> Choice {
    // /bin and /sbin have been links to /usr for ten years.
    const USR: &[u8] = b"/usr";
    let mut room = PathBuffer::new();
    let Some(joined) = room.of_pieces(USR, path) else { return Choice::Unknown };
    let is_merged = path.starts_with(b"/bin/") || path.starts_with(b"/sbin/");
    let merged =
        joined.get(if is_merged { 0 } else { USR.len() }..USR.len() + path.len()).unwrap_or_default();
    let is_in = |list| [path, merged].into_iter().any(|form| glob::any_matches(list, form));
    if is_in(settings.skip()) {
        return Choice::LeaveOut;
    }
    if settings.only().is_empty() || is_in(settings.only()) {
        return Choice::LetIn;
    }
    let mut target = [0u8; 1];
    match sys::read_link(joined.get(USR.len()..).unwrap_or_default(), &mut target) {
        Ok(_) => Choice::Unknown,
        Err(_) => Choice::LeaveOut,
    }
}
