//! The name of a followed process.

use ogrt_observe::process_number;
use std::os::fd::OwnedFd;

/// Marks a key that is a pid; the kernel's numbers do not reach so far.
const BY_PID: u64 = 1 << 63;

/// Names a followed process: by the kernel's number, which no other process gets, or by its pid on
/// kernels without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey(u64);

impl ProcessKey {
    /// The number of its pidfd, where there is one and the kernel gives numbers; else its pid.
    pub fn of(pid: u32, pidfd: Option<&OwnedFd>) -> Self {
        pidfd.and_then(process_number).map_or(ProcessKey::of_pid(pid), ProcessKey::of_number)
    }

    /// The number of its pidfd.
    pub fn of_number(number: u64) -> Self {
        ProcessKey(number)
    }

    /// Its pid.
    pub fn of_pid(pid: u32) -> Self {
        ProcessKey(BY_PID | u64::from(pid))
    }

    /// The number of its pidfd, which is no other process's ever.
    pub fn number(self) -> Option<u64> {
        (self.0 & BY_PID == 0).then_some(self.0)
    }

    /// The key as an event of epoll carries it.
    pub fn to_event(self) -> u64 {
        self.0
    }

    /// The key of such an event.
    pub fn of_event(data: u64) -> Self {
        ProcessKey(data)
    }
}
