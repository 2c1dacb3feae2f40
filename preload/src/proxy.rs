//! The proxy of MPICH's launcher that started this process, which has been told what names the
//! launch.
//!
//! MPICH gives its ranks no name for their launch, but its proxy on each node has the launcher's
//! port and the number of the group of ranks on its command line. Only ranks look there
//! (`a_rank_of_mpich_has_the_name_that_its_proxy_was_told`): their parent is the proxy, and that
//! of what they start is not.

use crate::{path_buffer::PathBuffer, say::decimal, sys};

/// Bytes of a command line that are read. A proxy's has about 300.
const ROOM: usize = 1024;

/// The command line of the parent.
pub struct Proxy {
    room: [u8; ROOM],
    len: usize,
}

impl Proxy {
    /// Reads the command line of this process.
    pub fn read(pid: i32) -> Option<Self> {
        let mut digits = [0u8; 20];
        let mut path = PathBuffer::new();
        path.push(b"/proc/")?;
        path.push(decimal(u64::try_from(pid).ok()?, &mut digits))?;
        path.push(b"/cmdline")?;
        let file = sys::open(path.with_nul()?).ok()?;
        let mut proxy = Proxy { room: [0; ROOM], len: 0 };
        let read = sys::read(file, &mut proxy.room);
        sys::close(file);
        proxy.len = read.ok()?;
        Some(proxy)
    }

    /// The pieces of the launch's name; `None` where it is no proxy.
    pub fn launch(&self) -> Option<[&[u8]; 4]> {
        Some([b"hydra:", self.after(b"--control-port")?, b".", self.after(b"--pgid").unwrap_or_default()])
    }

    fn after(&self, name: &[u8]) -> Option<&[u8]> {
        let mut arguments = self.room.get(..self.len)?.split(|&byte| byte == 0);
        arguments.find(|argument| *argument == name)?;
        arguments.next().filter(|value| !value.is_empty())
    }
}
