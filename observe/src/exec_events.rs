//! Which process has become another program, and when, as the kernel's process connector tells it.
//!
//! fanotify tells which file is about to be run; that the run has begun is told here, with its
//! exact time. The kernel tells it to administrators of the machine itself (CAP_NET_ADMIN), not in
//! containers.

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink, recvfrom, send, socket_with, sockopt::set_socket_recv_buffer_size_force,
    },
    time::{ClockId, clock_gettime},
};
use std::{
    io,
    num::NonZeroU32,
    os::fd::{AsFd, BorrowedFd},
    thread,
    time::Duration,
};

/// Bytes of events that wait to be read: about 20,000.
const WAITING_BYTES: usize = 16 << 20;

/// Events that are read at once.
const AT_ONCE: usize = 1024;

/// `NETLINK_CONNECTOR`, and in it the process connector's index, which is its group, too.
const CONNECTOR: u32 = 11;
const PROCESS_EVENTS: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`, and the events of an answer and of an exec.
const LISTEN: u32 = 1;
const ANSWER: u32 = 0;
const EXEC: u32 = 2;

/// Headers of netlink and of the connector.
const HEADER: usize = 16 + 20;

/// Times a millisecond that the kernel has to answer.
const ANSWER_TRIES: u32 = 500;

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
}

/// See the module.
pub struct ExecEventSocket(OwnedFd);

impl ExecEventSocket {
    /// Begins to listen. It fails where the kernel does not answer us.
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = NonZeroU32::new(CONNECTOR).map(Protocol::from_raw);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, PROCESS_EVENTS))?;
        // Without it there is room for some hundred.
        let _ = set_socket_recv_buffer_size_force(&socket, WAITING_BYTES);
        // The second form asks for execs alone; kernels before 6.6 do not know it and tell more.
        for wish in [&[LISTEN][..], &[LISTEN, EXEC]] {
            send(&socket, &request(wish), SendFlags::empty())?;
        }
        let socket = ExecEventSocket(socket);
        socket.wait_for_answer()?;
        Ok(socket)
    }

    fn wait_for_answer(&self) -> io::Result<()> {
        for _ in 0..ANSWER_TRIES {
            let mut message = [0; 256];
            match recvfrom(&self.0, &mut message[..], RecvFlags::empty()) {
                Ok((_, length, _)) => match word(&message[..length], 0) {
                    Some(ANSWER) => return Ok(()),
                    Some(EXEC) => return Ok(()),
                    _ => {}
                },
                Err(Errno::AGAIN) => thread::sleep(Duration::from_millis(1)),
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(problem) => return Err(problem.into()),
            }
        }
        Err(io::Error::other("the kernel's process connector does not answer; in a container it never does"))
    }

    /// Takes what the kernel has told, without waiting. More may be left.
    pub fn read(&self) -> io::Result<ExecEvents> {
        let mut told = ExecEvents::default();
        let real_ns = real_minus_monotonic_ns();
        let mut message = [0; 256];
        while told.execs.len() < AT_ONCE {
            match recvfrom(&self.0, &mut message[..], RecvFlags::empty()) {
                Ok((_, length, Some(from))) => {
                    // The kernel's own number is 0.
                    let is_kernel = SocketAddrNetlink::try_from(from).is_ok_and(|from| from.pid() == 0);
                    let bytes = message.get(..length).filter(|_| is_kernel).unwrap_or_default();
                    if let Some((pid, monotonic_ns)) = exec(bytes) {
                        let time_ns = real_ns.saturating_add_unsigned(monotonic_ns);
                        told.execs.push(ExecEvent { pid, time_ns });
                    }
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => told.overflows += 1,
                Err(Errno::AGAIN) => break,
                Err(problem) => return Err(problem.into()),
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

/// A message to the process connector.
fn request(words: &[u32]) -> Vec<u8> {
    const DONE: u16 = 3;
    let length = 4 * words.len();
    let mut message = Vec::with_capacity(HEADER + length);
    message.extend_from_slice(&((HEADER + length) as u32).to_ne_bytes());
    message.extend_from_slice(&DONE.to_ne_bytes());
    // Flags, sequence and port; then index, value, sequence and acknowledgement.
    message.extend_from_slice(&[0; 10]);
    for word in [PROCESS_EVENTS, PROCESS_EVENTS, 0, 0] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(&(length as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 2]);
    words.iter().for_each(|word| message.extend_from_slice(&word.to_ne_bytes()));
    message
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(HEADER + at..HEADER + at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// The process of an exec, and the nanoseconds since the machine started.
fn exec(message: &[u8]) -> Option<(u32, u64)> {
    // What, processor, time (8 bytes), then thread and process.
    let time = message.get(HEADER + 8..HEADER + 16)?;
    let time = u64::from_ne_bytes(time.try_into().ok()?);
    let pid = word(message, 20)?;
    (word(message, 0)? == EXEC).then_some((pid, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_is_known_with_its_process_and_its_time() {
        let mut message = vec![0; HEADER];
        for word in [EXEC, 1, 5, 0, 70, 7] {
            message.extend_from_slice(&u32::to_ne_bytes(word));
        }
        let expected = if cfg!(target_endian = "big") { 5 << 32 } else { 5 };
        assert_eq!(exec(&message), Some((7, expected)));
        for length in 0..message.len() {
            assert_eq!(exec(&message[..length]), None);
        }
        message[HEADER] ^= 1;
        assert_eq!(exec(&message), None, "a fork and an exec at once is neither");
    }
}
