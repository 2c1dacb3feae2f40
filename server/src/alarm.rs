//! Wakes a thread that sleeps until one of its descriptors has something.
//!
//! Threads that are busy look at their sockets by a timer, so that no sender pays for waking them.
//! After some seconds of silence they sleep here, and cost nothing: then the first sender pays for
//! all.

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    thread,
    time::Duration,
};

/// Time without any event after which a thread sleeps until the next one.
pub const SILENCE: Duration = Duration::from_secs(5);

/// The longest sleep.
pub const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A sleep where the kernel gives no descriptor to wake by.
const BLIND_SLEEP: Duration = Duration::from_millis(10);

/// See the module.
pub struct Alarm(Option<EventFd>);

impl Alarm {
    /// One that has not been rung.
    pub fn new() -> Self {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Alarm(EventFd::from_value_and_flags(0, flags).ok())
    }

    /// Wakes the thread, or keeps it from its next sleep.
    pub fn ring(&self) {
        if let Some(bell) = &self.0 {
            // It fails where it has been rung very often and nobody slept: that wakes as well.
            let _ = bell.write(1);
        }
    }

    /// Sleeps until it is rung, one of these can be read, or the time is over.
    pub fn sleep(&self, others: &[BorrowedFd<'_>], at_most: Duration) {
        let Some(bell) = &self.0 else { return thread::sleep(at_most.min(BLIND_SLEEP)) };
        let mut awaited: Vec<PollFd<'_>> =
            others.iter().map(|other| PollFd::new(*other, PollFlags::POLLIN)).collect();
        awaited.push(PollFd::new(bell.as_fd(), PollFlags::POLLIN));
        // A part of a millisecond counts as a whole one.
        let timeout = PollTimeout::try_from(at_most.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        if poll(&mut awaited, timeout).is_ok() {
            // Not rung is not an error.
            let _ = bell.read();
        }
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Alarm::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::net::UnixStream, time::Instant};

    /// Longer than any test waits.
    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn a_ring_wakes_before_the_sleep_and_within_it() {
        let alarm = Alarm::new();
        let since = Instant::now();
        alarm.ring();
        alarm.ring();
        alarm.sleep(&[], LONG);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                alarm.ring();
            });
            alarm.sleep(&[], LONG);
        });
        assert!(since.elapsed() < LONG / 2);
        // Both rings were for one sleep.
        let since = Instant::now();
        alarm.sleep(&[], Duration::from_millis(50));
        assert!(since.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn something_to_read_wakes() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let (alarm, since) = (Alarm::new(), Instant::now());
        near.write_all(b"x").unwrap();
        alarm.sleep(&[far.as_fd()], LONG);
        assert!(since.elapsed() < LONG / 2);
    }
}
