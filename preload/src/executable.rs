//! The file that this process executes, without procfs where that is possible.
//!
//! The kernel's AT_EXECFN is the path that `execve` was given. Two cases are different: for a
//! script it is the script (`a_script_is_its_interpreter`), and for `fexecve` it is a name below
//! /dev/fd (`fexecve_is_found_too`).

use crate::{process::Process, sys};

/// The kernel follows four scripts that name scripts as their interpreter; each adds up to two
/// arguments.
const INTERPRETER_ARGUMENTS_MAX: usize = 10;

/// The path of the executable as it was called, not yet canonical.
pub fn executable_path<'a>(process: &Process, room: &'a mut [u8; 512]) -> &'a [u8]
where
    'static: 'a,
{
    let called = process.executed_path();
    if called.starts_with(b"/dev/fd/") || called.starts_with(b"/proc/self/fd/") || called.is_empty() {
        return sys::read_link(b"/proc/self/exe\0", room).unwrap_or(called);
    }
    // For a script the kernel puts together: interpreter, its argument, script, arguments.
    let mut arguments = process.arguments;
    let Some(interpreter) = arguments.next() else { return called };
    if arguments.take(INTERPRETER_ARGUMENTS_MAX).any(|argument| argument == called) && is_script(called, room)
    {
        return interpreter;
    }
    called
}

fn is_script(path: &[u8], room: &mut [u8; 512]) -> bool {
    let Some(named) = room.get_mut(..=path.len()) else { return false };
    let Some((nul, name)) = named.split_last_mut() else { return false };
    name.copy_from_slice(path);
    *nul = 0;
    let Ok(file) = sys::open(named) else { return false };
    let mut start = [0u8; 2];
    let read = sys::read(file, &mut start);
    sys::close(file);
    read == Ok(2) && &start == b"#!"
}
