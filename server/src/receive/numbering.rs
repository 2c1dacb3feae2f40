//! Numbers of processes in one numbering: the server's own.
//!
//! A process in a container tells the numbers that it and its parent have there, and the kernel
//! tells the process's number here. The two must not stand side by side: the parent would be
//! another process (`a_process_of_a_container_has_a_parent_of_the_same_numbering`). So the parent's
//! number is looked up: among the processes of that container which the kernel has told of before,
//! else in procfs while the process is there. Where neither knows it, the event has none.

use crate::{
    bounded_map::BoundedMap,
    fields::{Fields, Value},
    queue::Credentials,
};
use bytes::BytesMut;
use ogrt_proto::field_numbers::{process_end, process_info};
use std::{
    borrow::Cow,
    fs,
    sync::{Mutex, PoisonError},
};

/// Processes of containers that are remembered: about 2 MB. The oldest is forgotten.
const REMEMBERED_MAX: usize = 16_384;

/// A process as it is known in its container: the user outside, the container, and the number.
type Inside = (u32, u64, i32);

/// The processes of containers.
#[derive(Debug, Default)]
pub struct Numbering(Mutex<BoundedMap<Inside, u32, REMEMBERED_MAX>>);

/// What a start says of its numbers.
#[derive(Default)]
struct Claim {
    pid: Option<i32>,
    parent_pid: Option<i32>,
    namespace: Option<u64>,
}

impl Claim {
    fn read(message: &[u8]) -> Claim {
        let mut claim = Claim::default();
        for (number, value) in Fields::of(message).map_while(Result::ok) {
            match (number, value) {
                (process_info::PID, Value::Varint(pid)) => claim.pid = Some(pid as i32),
                (process_info::PARENT_PID, Value::Varint(pid)) => claim.parent_pid = Some(pid as i32),
                (process_info::PID_NAMESPACE, Value::Varint(inode)) => claim.namespace = Some(inode),
                _ => {}
            }
        }
        claim
    }
}

impl Numbering {
    /// The start of a process that the kernel knows, with numbers as they are here; `None` where it
    /// tells of another process than its sender.
    pub fn translate<'a>(&self, message: &'a [u8], kernel: Credentials) -> Option<Cow<'a, [u8]>> {
        let claim = Claim::read(message);
        let Some(pid) = claim.pid.filter(|pid| *pid != kernel.pid as i32 && kernel.pid != 0) else {
            return Some(Cow::Borrowed(message));
        };
        let alive = Alive::read(kernel.pid);
        match &alive {
            Some(alive) if alive.inside != pid => return None,
            // A process of a container names it. One that is gone is believed that this was its
            // number there: the user and the number here are the kernel's all the same.
            None if claim.namespace.is_none() => return None,
            _ => {}
        }
        let known = claim.namespace.and_then(|namespace| {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.remember((kernel.uid, namespace, pid), kernel.pid);
            let parent = (kernel.uid, namespace, claim.parent_pid?);
            known.get(&parent).copied()
        });
        let parent = known.or_else(|| alive?.parent_pid);
        // Of two values of a field the later counts.
        let mut written = message.to_vec();
        if claim.parent_pid.is_some() {
            push(&mut written, process_info::PARENT_PID, parent.unwrap_or(0));
        }
        push(&mut written, process_info::NAMESPACE_PID, pid as u32);
        Some(Cow::Owned(written))
    }

    /// True if the sender of an end is the process that it names.
    pub fn is_own_end(message: &[u8], kernel: Credentials) -> bool {
        let pid = Fields::of(message).map_while(Result::ok).fold(None, |pid, field| match field {
            (process_end::PID, Value::Varint(value)) => Some(value as i32),
            _ => pid,
        });
        let is_other = |pid: i32| pid != kernel.pid as i32 && kernel.pid != 0;
        pid.is_none_or(|pid| {
            !is_other(pid) || Alive::read(kernel.pid).is_some_and(|alive| alive.inside == pid)
        })
    }
}

/// What procfs says of a process that is there.
struct Alive {
    /// Its number in the innermost container.
    inside: i32,
    /// Its parent; `None` where that is outside of all that we can name.
    parent_pid: Option<u32>,
}

impl Alive {
    fn read(pid: u32) -> Option<Alive> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        Some(Alive {
            inside: line("NSpid")?.split_whitespace().next_back()?.parse().ok()?,
            parent_pid: line("PPid")?.trim().parse().ok().filter(|parent| *parent != 0),
        })
    }
}

fn push(message: &mut Vec<u8>, field: u32, value: u32) {
    let mut bytes = BytesMut::new();
    prost::encoding::uint32::encode(field, &value, &mut bytes);
    message.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::ProcessInfo;
    use prost::Message;

    fn translated(numbering: &Numbering, pid: i32, parent: i32, container: u64, kernel: u32) -> ProcessInfo {
        let start = ProcessInfo {
            pid: Some(pid),
            parent_pid: Some(parent),
            pid_namespace: Some(container),
            ..ProcessInfo::default()
        };
        let sender = Credentials { pid: kernel, uid: 7, gid: 7 };
        ProcessInfo::decode(&*numbering.translate(&start.encode_to_vec(), sender).unwrap()).unwrap()
    }

    #[test]
    fn a_parent_is_known_by_its_container() {
        // No process has these numbers (they are above PID_MAX_LIMIT), so procfs knows none.
        const BASE: u32 = 1 << 30;
        let numbering = Numbering::default();
        let first = translated(&numbering, 1, 0, 11, BASE + 1);
        assert_eq!((first.parent_pid, first.namespace_pid), (Some(0), Some(1)), "nobody knows it");
        translated(&numbering, 1, 0, 22, BASE + 2);
        let child = translated(&numbering, 2, 1, 11, BASE + 3);
        assert_eq!(child.parent_pid, Some(BASE as i32 + 1));
        let other = translated(&numbering, 2, 1, 22, BASE + 4);
        assert_eq!(other.parent_pid, Some(BASE as i32 + 2), "another container");
        let outside = translated(&numbering, BASE as i32 + 5, 1, 11, BASE + 5);
        assert_eq!((outside.parent_pid, outside.namespace_pid), (Some(1), None), "one numbering");
    }

    #[test]
    fn only_so_many_are_remembered() {
        let numbering = Numbering::default();
        for pid in 1..=REMEMBERED_MAX as i32 + 9 {
            translated(&numbering, pid, 0, 11, (1 << 30) + pid as u32);
        }
        let known = numbering.0.lock().unwrap();
        assert_eq!(known.len(), REMEMBERED_MAX);
    }
}
