//! The half of a stream that is read, and its end when the server stops.
//!
//! A local process that sends and closes asks for no acknowledgement: that the kernel took its
//! bytes is all it knows. So a Unix stream is first closed to its sender and then read to the end;
//! what comes later fails at the sender, who spools it. TCP has no such end: a sender who wants to
//! know asks for acknowledgements.

use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd;
use tokio::{
    io::{AsyncRead, ReadHalf},
    net::{tcp, unix},
};

/// The half of a stream that is read.
pub trait ReadingHalf: AsyncRead + Unpin {
    /// Makes the kernel refuse what the peer sends from now on. True when it does: an end comes
    /// after what it has taken.
    fn refuse_more(&self) -> bool {
        false
    }
}

impl ReadingHalf for unix::OwnedReadHalf {
    fn refuse_more(&self) -> bool {
        shutdown(self.as_ref().as_raw_fd(), Shutdown::Read).is_ok()
    }
}

impl ReadingHalf for tcp::OwnedReadHalf {}

impl<S: AsyncRead> ReadingHalf for ReadHalf<S> {}
