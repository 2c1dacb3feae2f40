//! The server that events are sent to: OGRT_SERVER, as an address that the kernel takes.

use crate::{literal, sys};

/// A socket address ready for the kernel, small enough to be kept until the process ends.
#[derive(Clone, Copy)]
pub struct Destination {
    /// The kind of transport.
    pub route: Route,
    address: [u8; ADDRESS_MAX],
    len: u8,
}

/// The transport by which a destination is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A Unix socket: a stream, or the datagram socket beside it.
    Unix,
    /// UDP.
    Udp,
}

/// `sockaddr_un`: two bytes of family, 108 of path.
const ADDRESS_MAX: usize = 110;

/// The ending by which a datagram socket's name differs from that of the stream beside it.
const DATAGRAM_SUFFIX: &[u8] = b".dgram";

impl Destination {
    /// Reads `unix:/path`, `unix:@abstract` or `address:port`. `None` for anything else: names are
    /// not looked up in a user's process.
    pub fn parse(server: &[u8]) -> Option<Self> {
        if let Some(path) = server.strip_prefix(b"unix:") {
            return Self::unix(path);
        }
        let mut destination = Destination { route: Route::Udp, address: [0; ADDRESS_MAX], len: 0 };
        match literal::read(server)? {
            literal::Address::V4(address, port) => {
                destination.push(&sys::AF_INET.to_ne_bytes())?;
                destination.push(&port.to_be_bytes())?;
                destination.push(&address)?;
                destination.push(&[0; 8])?;
            }
            literal::Address::V6(groups, port) => {
                destination.push(&sys::AF_INET6.to_ne_bytes())?;
                destination.push(&port.to_be_bytes())?;
                // Flow label.
                destination.push(&[0; 4])?;
                groups.into_iter().try_for_each(|group| destination.push(&group.to_be_bytes()))?;
                // Scope.
                destination.push(&[0; 4])?;
            }
        }
        Some(destination)
    }

    fn unix(path: &[u8]) -> Option<Self> {
        let mut destination = Destination { route: Route::Unix, address: [0; ADDRESS_MAX], len: 0 };
        destination.push(&sys::AF_UNIX.to_ne_bytes())?;
        match path {
            [b'@', name @ ..] => {
                destination.push(&[0])?;
                destination.push(name)?;
            }
            [b'/', ..] => destination.push(path)?,
            _ => return None,
        }
        Some(destination)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let start = usize::from(self.len);
        let end = start.checked_add(bytes.len())?;
        self.address.get_mut(start..end)?.copy_from_slice(bytes);
        self.len = end as u8;
        Some(())
    }

    /// `struct sockaddr`.
    pub fn address(&self) -> &[u8] {
        self.address.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The family of the address.
    pub fn family(&self) -> u16 {
        u16::from_ne_bytes([self.address[0], self.address[1]])
    }

    /// The datagram socket beside the stream, where its name is not too long.
    pub fn datagram_twin(&self) -> Option<Self> {
        let mut twin = *self;
        twin.push(DATAGRAM_SUFFIX)?;
        Some(twin)
    }

    /// The directory of a Unix socket that may lie on a file system which does not answer. /run,
    /// /tmp and their like are in memory or on the machine's own disk.
    pub fn remote_directory(&self) -> Option<&[u8]> {
        const LOCAL: [&[u8]; 4] = [b"/run/", b"/tmp/", b"/var/run/", b"/dev/shm/"];
        let path = self.address().get(2..)?;
        let is_named = self.route == Route::Unix && path.first() == Some(&b'/');
        if !is_named || LOCAL.iter().any(|prefix| path.starts_with(prefix)) {
            return None;
        }
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        path.get(..slash.max(1))
    }
}
