//! The proxy of MPICH's launcher that started this process, which has been told what names the
//! launch.
//!
//! MPICH gives its ranks no name for their launch, but its proxy on each node has the launcher's
//! port and the number of the group of ranks on its command line. Only ranks look there
//! (`a_rank_of_mpich_has_the_name_that_its_proxy_was_told`): their parent is the proxy, and that
//! of what they start is not.

use crate::{glob, path_buffer::PathBuffer, say::decimal, sys};

/// Bytes of a command line that are read. A proxy's has about 300.
pub const ROOM: usize = 1024;

/// The command line of a process, with a NUL behind each argument.
pub type CommandLine = [u8; ROOM];

/// The pieces of the launch's name; `None` where the process with this pid is no proxy.
pub fn launch(pid: i32, line: &mut CommandLine) -> Option<(&[u8], &[u8])> {
    let mut digits = [0u8; 20];
    let pid = decimal(u64::try_from(pid).ok()?, &mut digits);
    let mut path = PathBuffer::new();
    path.push(b"/proc/")?;
    path.push(pid)?;
    path.push(b"/cmdline\0")?;
    let file = sys::open(path.as_bytes()).ok()?;
    let read = sys::read(file, line);
    sys::close(file);
    read.ok()?;
    let port = after(line, b"\0--control-port\0")?;
    Some((port, after(line, b"\0--pgid\0").unwrap_or_default()))
}

#[inline(never)]
fn after<'a>(line: &'a CommandLine, name: &[u8]) -> Option<&'a [u8]> {
    let at = glob::find(line, name, u8::MAX)?;
    let value = line.get(at + name.len()..)?;
    let end = value.iter().position(|&byte| byte == 0)?;
    value.get(..end).filter(|value| !value.is_empty())
}
