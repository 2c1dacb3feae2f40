//! The program of this process, if its start is told: what OGRT_SKIP and OGRT_ONLY leave out is
//! none. The library and the code for static programs decide alike.

use crate::{
    canonical::Paths,
    choice::{Choice, choice_as_called},
    executable::{canonical_executable, executable_path},
    loader::Loader,
    path_buffer::PathBuffer,
    process::Process,
    settings::Settings,
};

/// Most calls of readlink for the executable and the directories of its objects; each object allows
/// one more. A bound, not a budget: most processes need eight.
const READLINKS_MAX: u32 = 96;

/// See the module.
pub struct TrackedProgram<'a> {
    /// The canonical path of the executable.
    pub executable: &'a [u8],
    /// The working directory; empty where it is not known.
    pub directory: &'a [u8],
    /// The way to canonical paths.
    pub paths: Paths<'a>,
}

/// Calls `tell` with the program of this process, unless it is left out. What it has is in memory
/// that ends with the call.
#[inline(always)]
pub fn with_tracked_program(
    process: &Process,
    loader: Loader,
    settings: Settings,
    tell: impl FnOnce(TrackedProgram<'_>),
) {
    let mut path_room = PathBuffer::new();
    let called = executable_path(process, loader, &mut path_room);
    // A process with an absolute path is left out without asking the kernel anything.
    let is_absolute = called.first() == Some(&b'/');
    let mut choice = match is_absolute {
        true => choice_as_called(settings, called),
        false => Choice::Unknown,
    };
    if choice == Choice::LeaveOut {
        return;
    }
    let mut directory_room = PathBuffer::new();
    let directory = directory_room.set_to_working_directory().unwrap_or_default();
    let mut paths = Paths::new(directory, READLINKS_MAX);
    let mut room = PathBuffer::new();
    if !is_absolute {
        choice = choice_as_called(settings, paths.absolute(called, &mut room));
    }
    if choice == Choice::LeaveOut {
        return;
    }
    let executable = canonical_executable(&mut paths, called, &mut room);
    if settings.skips(executable) || choice == Choice::Unknown && !settings.lets_in(executable) {
        return;
    }
    tell(TrackedProgram { executable, directory, paths });
}
