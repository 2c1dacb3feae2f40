//! The name of a followed process.

/// Marks a key that is a pid; the kernel's numbers do not reach so far.
const BY_PID: u64 = 1 << 63;

/// Names a followed process: by the kernel's number, which no other process gets, or by its pid on
/// kernels without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey(u64);

impl ProcessKey {
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
