//! Marks in what is received: whether all that lay in our sockets at a moment has been taken since.
//!
//! It has when they were found empty, or when as many connections were accepted as their queue
//! holds: it is first in, first out. So a flood that never lets them be empty delays nobody's end
//! for long.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

/// See the module.
#[derive(Default)]
pub struct Receipts {
    /// The number of times that the Unix sockets were found empty.
    emptied: AtomicU64,
    /// Connections that were accepted.
    accepted: AtomicU64,
    /// Connections that wait to be accepted, at most; 0 where that is not known.
    waiting_max: u64,
}

/// What has been received when everything is that lay in our sockets at some moment.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptMark {
    emptied: u64,
    accepted: u64,
}

impl Receipts {
    /// Connections that are accepted at once, at most: what is taken, and not noted here yet.
    pub const AT_ONCE: u64 = 512;

    /// Reads how many connections the kernel lets wait.
    pub fn new() -> Self {
        let text = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        Receipts { waiting_max: text.trim().parse().unwrap_or(0), ..Receipts::default() }
    }

    /// Notes that so many connections were accepted, and whether the sockets are empty now.
    pub fn have_come(&self, accepted: u64, are_empty: bool) {
        self.accepted.fetch_add(accepted, Ordering::Release);
        self.emptied.fetch_add(are_empty.into(), Ordering::Release);
    }

    /// The mark for what lies in our sockets now. The emptying that goes on may be past them
    /// already; the next is not.
    pub fn mark(&self) -> ReceiptMark {
        let accepted = self.accepted.load(Ordering::Acquire);
        let accepted = match self.waiting_max {
            0 => u64::MAX,
            waiting => accepted.saturating_add(waiting + Self::AT_ONCE),
        };
        ReceiptMark { emptied: self.emptied.load(Ordering::Acquire) + 2, accepted }
    }

    /// True once all of that has been received.
    pub fn are_past(&self, mark: ReceiptMark) -> bool {
        mark.emptied <= self.emptied.load(Ordering::Acquire)
            || mark.accepted <= self.accepted.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lay_in_the_sockets_is_received_when_they_were_empty_or_the_queue_has_passed() {
        let receipts = Receipts { waiting_max: 1000, ..Receipts::default() };
        receipts.have_come(7, true);
        let mark = receipts.mark();
        receipts.have_come(500, true);
        assert!(!receipts.are_past(mark), "this emptying may have begun before");
        receipts.have_come(0, true);
        assert!(receipts.are_past(mark));
        let mark = receipts.mark();
        (0..3).for_each(|_| receipts.have_come(500, false));
        assert!(!receipts.are_past(mark));
        receipts.have_come(12, false);
        assert!(receipts.are_past(mark), "a queue's length, and what was taken and not noted");
        let unknown = Receipts::default();
        let mark = unknown.mark();
        unknown.have_come(1 << 40, false);
        assert!(!unknown.are_past(mark));
    }
}
