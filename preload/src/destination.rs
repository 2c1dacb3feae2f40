//! The server that events are sent to: OGRT_SERVER, as an address that the kernel takes.

use crate::{glob, literal, room, sys};

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
        let literal::Address { bytes, is_v6, port } = literal::read(server)?;
        let mut destination = Destination { route: Route::Udp, address: [0; ADDRESS_MAX], len: 0 };
        // Behind an IPv4 address stand eight zeros. In front of one of IPv6 stands the flow label,
        // and behind it the scope: both are 0.
        let (family, len, address_at) = if is_v6 { (sys::AF_INET6, 28, 8) } else { (sys::AF_INET, 16, 4) };
        let ([f0, f1], [p0, p1]) = (family.to_ne_bytes(), port.to_be_bytes());
        room::put(&mut destination.address, 0, &[f0, f1, p0, p1])?;
        room::put(&mut destination.address, address_at, &bytes)?;
        destination.len = len;
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
        self.len = room::put(&mut self.address, self.len.into(), bytes)? as u8;
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
        // One text, since a list of texts is a list of addresses that the loader must change.
        const LOCAL: &[u8] = b"/run/:/tmp/:/var/run/:/dev/shm/";
        let path = self.address().get(2..)?;
        let is_named = self.route == Route::Unix && path.first() == Some(&b'/');
        if !is_named || glob::entries(LOCAL).any(|prefix| path.starts_with(prefix)) {
            return None;
        }
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        path.get(..slash.max(1))
    }
}
