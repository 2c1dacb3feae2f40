//! Who forked whom, as the kernel tells it to this machine's administrators.
//!
//! A process that forks and never becomes another program, such as a shell's copy of itself, sends
//! nothing, and may be gone before anybody looks. The kernel tells of each fork over a netlink
//! socket (its process connector), to root and with CAP_NET_ADMIN, outside of containers. The
//! message of a fork is there before its child runs, so it is there before what the child sends.
//! Nobody sleeps on the socket: it is emptied by the thread that looks for ends.

use crate::{bounded_map::BoundedMap, clock::now_ns};
use ogrt_observe::{FORK, ProcessConnector, ProcessEvent, Told};

/// Forks that are remembered: about 2 MB. The oldest is forgotten.
const REMEMBERED_MAX: usize = 65_536;

/// Forks that are read at once: who asks must not wait for ever.
const AT_ONCE: usize = 50_000;

type Parents = BoundedMap<u32, Fork, REMEMBERED_MAX>;

/// The fork that a process came from.
#[derive(Clone, Copy)]
pub struct Fork {
    pub parent: u32,
    /// The time at which we heard of it.
    pub heard_ns: i64,
}

/// See the module.
pub struct Forks {
    socket: ProcessConnector,
    /// The parent of each child.
    parents: Parents,
}

impl Forks {
    /// Begins to listen; `None` where we may not.
    pub fn listen() -> Option<Forks> {
        let socket = ProcessConnector::listen(FORK).ok()?;
        Some(Forks { socket, parents: Parents::default() })
    }

    /// Takes up what the kernel has told.
    pub fn read(&mut self) {
        let heard_ns = now_ns();
        for _ in 0..AT_ONCE {
            match self.socket.next(fork) {
                Ok(Told::Event((parent, child))) => {
                    self.parents.remember(child, Fork { parent, heard_ns });
                }
                // Some were lost; there are more.
                Ok(Told::Other | Told::Overflow) => {}
                Ok(Told::Nothing) | Err(_) => return,
            }
        }
    }

    /// The fork that the last process with this pid came from.
    pub fn of(&self, pid: u32) -> Option<Fork> {
        self.parents.get(&pid).copied()
    }
}

/// The parent and the child, where the event is a fork and not a new thread.
fn fork(event: ProcessEvent<'_>) -> Option<(u32, u32)> {
    // What, processor, time (8 bytes), then thread and process of the parent and of the child.
    let [parent, thread, child] = [20, 24, 28].map(|at| event.word(at));
    (event.word(0)? == FORK && thread == child).then_some((parent?, child?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_known_and_a_thread_is_none() {
        let event = |what: u32, words: [u32; 4]| {
            let mut message = Vec::new();
            for word in [what, 0, 0, 0].into_iter().chain(words) {
                message.extend_from_slice(&word.to_ne_bytes());
            }
            message
        };
        let fork = |message: &[u8]| fork(ProcessEvent::of_bytes(message));
        assert_eq!(fork(&event(FORK, [7, 6, 9, 9])), Some((6, 9)));
        assert_eq!(fork(&event(FORK, [7, 6, 9, 6])), None, "a thread");
        assert_eq!(fork(&event(2, [7, 6, 9, 9])), None, "an exec");
        for length in 0..32 {
            assert_eq!(fork(&event(FORK, [7, 6, 9, 9])[..length]), None);
        }
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut parents = Parents::default();
        for child in 0..REMEMBERED_MAX as u32 + 9 {
            parents.remember(child, Fork { parent: 1, heard_ns: 0 });
        }
        assert_eq!(parents.len(), REMEMBERED_MAX);
        assert!(parents.get(&8).is_none() && parents.get(&9).is_some());
    }
}
