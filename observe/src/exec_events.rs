//! Which process has become another program, and when, as the kernel's process connector tells it.
//!
//! fanotify tells which file is about to be run; that the run has begun is told here, with its
//! exact time. The kernel tells it to administrators of the machine itself (CAP_NET_ADMIN), not in
//! containers.

use crate::{
    netlink::Told,
    process_connector::{ANSWER, EXEC, ProcessConnector, ProcessEvent},
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// Events that are read at once.
const AT_ONCE: usize = 1024;

/// A process that has become another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecEvent {
    /// The process.
    pub pid: u32,
    /// The moment, Unix time in nanoseconds.
    pub time_ns: i64,
}

/// What one reading brought.
#[derive(Debug, Default)]
pub struct ExecEvents {
    /// The events in their order.
    pub execs: Vec<ExecEvent>,
    /// The number of times that the kernel had no room, and events were lost.
    pub overflows: u64,
    /// Nothing more is left.
    pub is_all: bool,
}

/// See the module.
pub struct ExecEventSocket(ProcessConnector);

impl ExecEventSocket {
    /// Begins to listen. It fails where the kernel does not answer us.
    pub fn listen() -> io::Result<Self> {
        let socket = ExecEventSocket(ProcessConnector::listen(EXEC)?);
        socket.wait_for_answer()?;
        Ok(socket)
    }

    fn wait_for_answer(&self) -> io::Result<()> {
        let answer = |event: ProcessEvent<'_>| event.word(0).filter(|kind| [ANSWER, EXEC].contains(kind));
        let silence = "the kernel's process connector does not answer; in a container it never does";
        self.0.wait_for(answer, silence).map(drop)
    }

    /// Takes what the kernel has told, without waiting. More may be left.
    pub fn read(&self) -> io::Result<ExecEvents> {
        let mut told = ExecEvents::default();
        let real_ns = real_minus_monotonic_ns();
        while told.execs.len() < AT_ONCE {
            match self.0.next(exec)? {
                Told::Event((pid, monotonic_ns)) => {
                    let time_ns = real_ns.saturating_add_unsigned(monotonic_ns);
                    told.execs.push(ExecEvent { pid, time_ns });
                }
                Told::Overflow => told.overflows += 1,
                Told::Other => {}
                Told::Nothing => {
                    told.is_all = true;
                    break;
                }
            }
        }
        Ok(told)
    }
}

impl AsFd for ExecEventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The time of day at which the machine started, as its clock says now.
fn real_minus_monotonic_ns() -> i64 {
    let [real, monotonic] = [ClockId::Realtime, ClockId::Monotonic].map(|clock| {
        let time = clock_gettime(clock);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    });
    real.saturating_sub(monotonic)
}

/// The process of an exec, and the nanoseconds since the machine started.
fn exec(event: ProcessEvent<'_>) -> Option<(u32, u64)> {
    // What, processor, time (8 bytes), then thread and process.
    let (time, pid) = (event.monotonic_ns()?, event.word(20)?);
    (event.word(0)? == EXEC).then_some((pid, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_is_known_with_its_process_and_its_time() {
        let mut message = Vec::new();
        for word in [EXEC, 1, 5, 0, 70, 7] {
            message.extend_from_slice(&u32::to_ne_bytes(word));
        }
        let expected = if cfg!(target_endian = "big") { 5 << 32 } else { 5 };
        assert_eq!(exec(ProcessEvent::of_bytes(&message)), Some((7, expected)));
        for length in 0..message.len() {
            assert_eq!(exec(ProcessEvent::of_bytes(&message[..length])), None);
        }
        message[0] ^= 1;
        assert_eq!(exec(ProcessEvent::of_bytes(&message)), None, "a fork and an exec at once is neither");
    }
}
