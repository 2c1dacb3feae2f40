//! The file that this process executes, without procfs where that is possible.
//!
//! The kernel's AT_EXECFN is the path that `execve` was given. It is another file than the one that
//! runs where an interpreter runs it (`a_script_is_its_interpreter`,
//! `a_registered_format_is_its_interpreter`). It is a descriptor for `fexecve` and its like
//! (`fexecve_is_found_too`, `a_program_in_memory_is_named`). And it is the loader where that was
//! called by name (`a_program_that_the_loader_was_called_for_is_named`).

use crate::{canonical::Paths, loader::Loader, path_buffer::PathBuffer, process::Process, sys};

/// The kernel follows four scripts that name scripts as their interpreter; each adds up to two
/// arguments.
const INTERPRETER_ARGUMENTS_MAX: usize = 10;

/// The path of the executable as it was called, not yet canonical.
pub fn executable_path<'a>(process: &Process, loader: Loader, room: &'a mut PathBuffer) -> &'a [u8]
where
    'static: 'a,
{
    if let Some(named) = loader.named_executable(process) {
        return named;
    }
    let called = process.executed_path();
    if called.is_empty() || called.starts_with(b"/dev/fd/") || called.starts_with(b"/proc/") {
        return by_procfs(room).unwrap_or(called);
    }
    // For a script and for a registered format the kernel puts together: interpreter, its argument,
    // the file, arguments.
    let mut arguments = process.arguments;
    let Some(interpreter) = arguments.next() else { return called };
    if arguments.take(INTERPRETER_ARGUMENTS_MAX).any(|argument| argument == called) {
        if is_script(called, room) {
            return interpreter;
        }
        // Either a program that was given its own path as an argument, or a registered format.
        return by_procfs(room).unwrap_or(called);
    }
    called
}

/// The canonical path of the executable. Where the path that was called names nothing any more, or
/// only a descriptor, procfs is asked.
pub fn canonical_executable<'o>(paths: &mut Paths, called: &[u8], room: &'o mut PathBuffer) -> &'o [u8] {
    let (path, is_there) = paths.canonical_or_missing(called, room);
    let is_whole = is_there && path.first() == Some(&b'/') && !path.starts_with(b"/proc/");
    if !is_whole {
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

fn is_script(path: &[u8], room: &mut PathBuffer) -> bool {
    let Some(name) = room.of(path) else { return false };
    let Ok(file) = sys::open(name) else { return false };
    let mut start = [0u8; 2];
    let read = sys::read(file, &mut start);
    sys::close(file);
    read == Ok(2) && &start == b"#!"
}
