//! Where frames come from, as far as that is known before they are read.

use crate::{queue::Credentials, tokens::TokenHolder};
use std::{cell::Cell, os::fd::OwnedFd};

/// The way in which a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It sends and waits for nothing.
    #[default]
    Sends,
    /// It said Hello, and waits for acknowledgements.
    Greets,
    /// It said that the events are others'.
    PassesOn,
    /// It brings records of XALT, and may.
    Imports,
}

/// The time of receipt, and the sender if the kernel told.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Unix time in nanoseconds.
    pub received_ns: i64,
    /// The sender, on Unix sockets.
    pub credentials: Option<Credentials>,
    /// The name of the sender, where it is a relay that has authenticated itself.
    pub relay: Option<&'a str>,
    /// The way in which the sender speaks.
    pub manner: Manner,
    /// The sender may register builds.
    pub may_register: bool,
    /// Whoever holds the token that the sender showed.
    pub holder: Option<&'a TokenHolder>,
    /// The process that sends, where it speaks for itself.
    pub speaker: Option<&'a Speaker>,
}

impl Origin<'_> {
    /// The origin of what comes without a Hello, from nobody known.
    pub fn unannounced(received_ns: i64, may_register: bool) -> Self {
        Origin {
            received_ns,
            credentials: None,
            relay: None,
            manner: Manner::Sends,
            may_register,
            holder: None,
            speaker: None,
        }
    }
}

/// A process that tells of its own start, in one part or several. A further start on the same
/// connection is another process's.
pub struct Speaker {
    pidfd: Cell<Option<OwnedFd>>,
    started: Cell<Option<[u8; 16]>>,
}

impl Speaker {
    /// The process, with its pidfd where the kernel gave one.
    pub fn new(pidfd: Option<OwnedFd>) -> Self {
        Speaker { pidfd: Cell::new(pidfd), started: Cell::new(None) }
    }

    /// True if this is its own start, or a further part of it.
    pub fn starts(&self, event_id: [u8; 16]) -> bool {
        self.started.replace(self.started.get().or(Some(event_id))).is_none_or(|known| known == event_id)
    }

    /// Its pidfd, to whoever asks first.
    pub fn take_pidfd(&self) -> Option<OwnedFd> {
        self.pidfd.take()
    }
}
