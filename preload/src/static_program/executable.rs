//! The file that a static program is. AT_EXECFN, which the kernel says, is another file where it is
//! the interpreter of a script or of a registered format, and a descriptor for `fexecve`: then
//! procfs is asked (`executable.rs` tells more).

use crate::{canonical::Paths, loader::Loader, path_buffer::PathBuffer, process::Process};

/// The kernel follows four scripts that name scripts as their interpreter; each adds up to two
/// arguments.
const INTERPRETER_ARGUMENTS_MAX: usize = 10;

/// The path of the executable as it was called, not yet canonical.
pub fn executable_path<'a>(process: &Process, _: Loader, room: &'a mut PathBuffer) -> &'a [u8]
where
    'static: 'a,
{
    let called = process.executed_path();
    let mut arguments = process.arguments;
    let first = arguments.next().unwrap_or_default();
    // The kernel puts the script's path among the arguments; a program that is given its own path
    // is the only other case.
    let is_interpreter = arguments.take(INTERPRETER_ARGUMENTS_MAX).any(|argument| argument == called);
    if is_interpreter || called.is_empty() || called.starts_with(b"/dev/fd/") {
        return by_procfs(room).unwrap_or(if is_interpreter { first } else { called });
    }
    called
}

/// The canonical path of the executable. Where the path that was called names nothing any more,
/// procfs is asked.
pub fn canonical_executable<'o>(paths: &mut Paths, called: &[u8], room: &'o mut PathBuffer) -> &'o [u8] {
    let (path, is_there) = paths.canonical_or_missing(called, room);
    if !is_there || path.first() != Some(&b'/') || path.starts_with(b"/proc/") {
        let mut other = PathBuffer::new();
        if let Some(path) = by_procfs(&mut other) {
            room.truncate(0);
            let _ = room.push(path);
        }
    }
    room.as_bytes()
}

fn by_procfs(room: &mut PathBuffer) -> Option<&[u8]> {
    room.set_to_link(b"/proc/self/exe\0")
}
