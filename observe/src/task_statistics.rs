//! What a process has used, as the kernel's accounting tells it when its last thread ends
//! (taskstats, over generic netlink): to administrators of the machine itself (CAP_NET_ADMIN), not
//! in containers.
//!
//! Each thread that ends is told. The last one of a process has the sums of them all beside its
//! own. The right is needed to begin; afterwards the socket goes on without it.

use crate::netlink::{NetlinkSocket, Told};
use rustix::{
    fd::{AsFd, BorrowedFd},
    net::{SocketType, netlink::GENERIC},
};
use std::{fs, io, thread};

/// Longest message: it has two structures of some hundred bytes.
const MESSAGE_MAX: usize = 4096;

/// Bytes of the headers of netlink and of generic netlink.
const HEADER: usize = 20;

/// Types of messages: an error or an acknowledgement, and the family that knows the others.
const ERROR: u16 = 2;
const CONTROL_FAMILY: u16 = 16;

/// Bits of a message's type that mark an attribute, and are no part of it.
const ATTRIBUTE_FLAGS: u16 = 0xC000;

/// The first version with the number of a thread's process, and with a mark at its last thread:
/// Linux 5.19.
const VERSION_MIN: u16 = 12;

/// Marks in the flags: forked and never became another program; the last thread of its process.
const FORKED: u8 = 0x01;
const LAST_THREAD: u8 = 0x20;

/// A process that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    pub pid: u32,
    pub parent_pid: u32,
    /// The real user.
    pub uid: u32,
    /// The time between its making and its end.
    pub life_ns: i64,
    pub user_us: u64,
    pub system_us: u64,
    /// The largest resident set of the program that it was at last.
    pub peak_kib: u64,
    /// The status as `wait` tells it; `None` where only another thread's is known.
    pub wait_status: Option<u32>,
    /// It was made by fork, and never became another program.
    pub is_fork: bool,
}

/// A socket that the kernel tells ends.
pub struct ExitSocket(NetlinkSocket<MESSAGE_MAX>);

impl ExitSocket {
    /// Begins to listen. It fails where the kernel does not tell us the end of a thread of ours.
    pub fn listen() -> io::Result<Self> {
        let socket = ExitSocket(NetlinkSocket::open(SocketType::RAW, Some(GENERIC), 0)?);
        let family = socket.family()?;
        let processors = fs::read_to_string("/sys/devices/system/cpu/possible")?;
        /// `TASKSTATS_CMD_GET`, and its attribute for the processors to listen to.
        const GET: u8 = 1;
        const REGISTER: u16 = 3;
        let text = [processors.trim().as_bytes(), b"\0"].concat();
        socket.ask(family, GET, REGISTER, &text, |_| Some(()))?;
        socket.wait_for_own_thread()?;
        Ok(socket)
    }

    /// The number of the family that tells of tasks.
    fn family(&self) -> io::Result<u16> {
        /// `CTRL_CMD_GETFAMILY`, and its attributes for the name and the number of a family.
        const GET_FAMILY: u8 = 3;
        const NAME: u16 = 2;
        const NUMBER: u16 = 1;
        self.ask(CONTROL_FAMILY, GET_FAMILY, NAME, b"TASKSTATS\0", |message| {
            let number = Attributes(message.get(HEADER..)?).find(|(kind, _)| *kind == NUMBER)?.1;
            Some(u16::from_ne_bytes(number.get(..2)?.try_into().ok()?))
        })
    }

    /// Sends a request with one attribute, and waits for the kernel's answer.
    fn ask<T>(
        &self,
        family: u16,
        command: u8,
        attribute: u16,
        value: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<T> {
        self.0.send(&request(family, command, attribute, value))?;
        let answer = |message: &[u8]| {
            let is_answer = kind(message) == Some(family) || kind(message) == Some(ERROR);
            let answer = || read(message).filter(|_| is_answer).map(Ok);
            refusal(message).map(Err).or_else(answer)
        };
        self.0.wait_for(answer, "the kernel's accounting of tasks does not answer")?
    }

    /// Has a thread end, and waits until the kernel tells it: in a network namespace of its own
    /// nobody hears anything.
    fn wait_for_own_thread(&self) -> io::Result<()> {
        thread::spawn(|| ()).join().map_err(|_| io::Error::other("a thread failed"))?;
        let own_end = |message: &[u8]| {
            let task = TaskMessage::read(message)?.task;
            if task.half(0) < Some(VERSION_MIN) {
                return Some(Err(io::Error::other("the kernel's accounting of tasks needs Linux 5.19")));
            }
            (task.word(Task::PROCESS) == Some(std::process::id())).then_some(Ok(()))
        };
        self.0.wait_for(own_end, "the kernel tells no ends here; in a container it never does")?
    }

    /// Takes one message, without waiting. The end of one of several threads is none of a process.
    pub fn next(&self) -> io::Result<Told<ProcessExit>> {
        self.0.next(|message| TaskMessage::read(message)?.exit())
    }
}

impl AsFd for ExitSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message to a family, with one attribute.
fn request(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    /// It is a request, and wants an answer.
    const FLAGS: u16 = 1 | 4;
    let padded = value.len().next_multiple_of(4);
    let mut message = Vec::with_capacity(HEADER + 4 + padded);
    message.extend_from_slice(&((HEADER + 4 + padded) as u32).to_ne_bytes());
    message.extend_from_slice(&family.to_ne_bytes());
    message.extend_from_slice(&FLAGS.to_ne_bytes());
    // Sequence and port; then command, version and two bytes that mean nothing.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[command, 1, 0, 0]);
    message.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    message.extend_from_slice(&attribute.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(HEADER + 4 + padded, 0);
    message
}

fn kind(message: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?))
}

/// The kernel's refusal, if the message is one.
fn refusal(message: &[u8]) -> Option<io::Error> {
    let code = i32::from_ne_bytes(message.get(16..20)?.try_into().ok()?);
    (kind(message)? == ERROR && code != 0).then(|| io::Error::from_raw_os_error(code.saturating_neg()))
}

/// Attributes one after the other, each its type and its value.
struct Attributes<'m>(&'m [u8]);

impl<'m> Iterator for Attributes<'m> {
    type Item = (u16, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let half = |at: usize| Some(u16::from_ne_bytes(self.0.get(at..at + 2)?.try_into().ok()?));
        let (length, kind) = (usize::from(half(0)?), half(2)? & !ATTRIBUTE_FLAGS);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The kernel's `struct taskstats`: it grows at its end from version to version.
#[derive(Clone, Copy)]
struct Task<'m>(&'m [u8]);

impl Task<'_> {
    const STATUS: usize = 4;
    const FLAGS: usize = 8;
    /// Time on a processor as the scheduler counts it, in nanoseconds.
    const RUN_NS: usize = 72;
    const UID: usize = 120;
    const THREAD: usize = 128;
    const PARENT: usize = 132;
    /// Times in user and in system mode as clock ticks found them.
    const USER_US: usize = 152;
    const SYSTEM_US: usize = 160;
    const PEAK_KIB: usize = 200;
    const PROCESS: usize = 368;
    /// The time since the process was made.
    const LIFE_US: usize = 376;

    fn half(&self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(self.0.get(at..at + 2)?.try_into().ok()?))
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }

    fn long(&self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(self.0.get(at..at + 8)?.try_into().ok()?))
    }
}

/// A thread that has ended, with the sums of its process where it was the last of several.
struct TaskMessage<'m> {
    task: Task<'m>,
    process: Option<Task<'m>>,
}

impl<'m> TaskMessage<'m> {
    fn read(message: &'m [u8]) -> Option<Self> {
        /// A thread's attribute, a process's, and in each of them the structure.
        const THREAD: u16 = 4;
        const PROCESS: u16 = 5;
        const STRUCTURE: u16 = 3;
        let (mut task, mut process) = (None, None);
        for (kind, value) in Attributes(message.get(HEADER..)?) {
            let structure = Attributes(value).find(|(kind, _)| *kind == STRUCTURE);
            match kind {
                THREAD => task = structure,
                PROCESS => process = structure,
                _ => {}
            }
        }
        let task = Task(task?.1);
        Some(TaskMessage { task, process: process.map(|(_, structure)| Task(structure)) })
    }

    /// The end of the process; `None` while it has other threads.
    fn exit(&self) -> Option<ProcessExit> {
        let task = &self.task;
        let flags = *task.0.get(Task::FLAGS)?;
        if flags & LAST_THREAD == 0 {
            return None;
        }
        let pid = task.word(Task::PROCESS)?;
        let sums = self.process.as_ref().unwrap_or(task);
        let (user_us, system_us) =
            split(sums.long(Task::RUN_NS)? / 1000, sums.long(Task::USER_US)?, sums.long(Task::SYSTEM_US)?);
        // Another thread than the first may have had a status of its own.
        let is_status = self.process.is_none() || task.word(Task::THREAD)? == pid;
        Some(ProcessExit {
            pid,
            parent_pid: task.word(Task::PARENT)?,
            uid: task.word(Task::UID)?,
            life_ns: i64::try_from(task.long(Task::LIFE_US)?).ok()?.checked_mul(1000)?,
            user_us,
            system_us,
            peak_kib: task.long(Task::PEAK_KIB)?,
            wait_status: is_status.then_some(task.word(Task::STATUS)?),
            is_fork: flags & FORKED != 0,
        })
    }
}

/// The exact time on a processor, in the shares of user and system mode that clock ticks found; as
/// the kernel does it for `getrusage`.
pub fn split(run_us: u64, user_us: u64, system_us: u64) -> (u64, u64) {
    let ticks = u128::from(user_us) + u128::from(system_us);
    let system = u128::from(run_us) * u128::from(system_us);
    let system = system.checked_div(ticks).and_then(|system| u64::try_from(system).ok()).unwrap_or(0);
    (run_us - system, system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn task(run_ns: u64, flags: u8, thread: u32) -> Vec<u8> {
        let mut task = vec![0; 416];
        let mut put = |at: usize, bytes: &[u8]| task[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &16_u16.to_ne_bytes());
        put(Task::STATUS, &0x300_u32.to_ne_bytes());
        put(Task::FLAGS, &[flags]);
        put(Task::RUN_NS, &run_ns.to_ne_bytes());
        put(Task::USER_US, &3000_u64.to_ne_bytes());
        put(Task::SYSTEM_US, &1000_u64.to_ne_bytes());
        put(Task::THREAD, &thread.to_ne_bytes());
        put(Task::PROCESS, &7_u32.to_ne_bytes());
        put(Task::PEAK_KIB, &640_u64.to_ne_bytes());
        put(Task::LIFE_US, &5000_u64.to_ne_bytes());
        task
    }

    fn message(tasks: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; HEADER];
        for (kind, task) in tasks {
            let inner = [attribute(1, &7_u32.to_ne_bytes()), attribute(3, task)].concat();
            message.extend(attribute(*kind, &inner));
        }
        message
    }

    fn exit(message: &[u8]) -> Option<ProcessExit> {
        TaskMessage::read(message)?.exit()
    }

    #[test]
    fn the_last_thread_tells_of_all_and_the_others_are_no_ends() {
        let single = message(&[(4, &task(8_000_000, LAST_THREAD, 7))]);
        let expected = ProcessExit {
            pid: 7,
            life_ns: 5_000_000,
            user_us: 6000,
            system_us: 2000,
            peak_kib: 640,
            wait_status: Some(0x300),
            ..ProcessExit::default()
        };
        assert_eq!(exit(&single), Some(expected));
        assert_eq!(exit(&message(&[(4, &task(8_000_000, 0, 9))])), None);
        let group = message(&[(4, &task(1_000_000, LAST_THREAD, 9)), (5, &task(40_000_000, 0, 0))]);
        let sum = ProcessExit { user_us: 30_000, system_us: 10_000, wait_status: None, ..expected };
        assert_eq!(exit(&group), Some(sum), "the status is another thread's");
        let forked = message(&[(4, &task(0, LAST_THREAD | FORKED, 7))]);
        assert!(exit(&forked).is_some_and(|exit| exit.is_fork && exit.user_us == 0));
    }

    #[test]
    fn a_message_that_is_cut_is_no_end() {
        let whole = message(&[(4, &task(8_000_000, LAST_THREAD, 7))]);
        for length in 0..whole.len() {
            assert_eq!(exit(&whole[..length]), None, "{length}");
        }
        // A length of nothing must not be read for ever.
        let mut endless = whole;
        endless[HEADER..HEADER + 2].copy_from_slice(&[0; 2]);
        assert_eq!(exit(&endless), None);
    }

    #[test]
    fn time_on_a_processor_is_split_as_the_ticks_found_it() {
        assert_eq!(split(1000, 0, 0), (1000, 0));
        assert_eq!(split(1000, 0, 4000), (0, 1000));
        assert_eq!(split(1000, 12_000, 4000), (750, 250));
        assert_eq!(split(u64::MAX, 1, u64::MAX), (1, u64::MAX - 1));
    }
}
