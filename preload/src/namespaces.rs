//! The namespaces that this process is in, and its user outside of its own.
//!
//! A container may have numbers of processes and users of its own. Most processes are not in one,
//! and that must cost them next to nothing: two calls tell
//! (`a_process_in_a_container_says_so`). Only a process in a container asks procfs.

use crate::{literal, path_buffer::PathBuffer, sys};

/// Inode numbers, as far as they are known. All are absent outside of containers.
#[derive(Default)]
pub struct Namespaces {
    /// Numbers of processes.
    pub pid: Option<u64>,
    /// Numbers of users.
    pub user: Option<u64>,
    /// Name of the host.
    pub uts: Option<u64>,
    /// Mounted file systems.
    pub mount: Option<u64>,
}

impl Namespaces {
    /// Reads them, if the process has numbers of its own.
    pub fn read(parent_pid: i32, has_own_users: bool) -> Self {
        if !has_own_users && !has_own_pids(parent_pid) {
            return Namespaces::default();
        }
        Namespaces {
            pid: inode(b"/proc/self/ns/pid\0"),
            user: inode(b"/proc/self/ns/user\0"),
            uts: inode(b"/proc/self/ns/uts\0"),
            mount: inode(b"/proc/self/ns/mnt\0"),
        }
    }
}

/// Tells whether the process has a number of its own in a container. On the machine itself process
/// 2 is the kernel's, which is in no process group, and every program is in one.
fn has_own_pids(parent_pid: i32) -> bool {
    const KERNEL: i32 = 2;
    const OURSELVES: i32 = 0;
    parent_pid == 0 || sys::process_group(KERNEL) != Ok(0) || sys::process_group(OURSELVES) == Ok(0)
}

/// Tells whether users have other numbers here than on the machine. There, the null device belongs
/// to root.
pub fn has_own_users() -> bool {
    sys::owner(b"/dev/null\0").is_some_and(|owner| owner != 0)
}

/// The number that a user or a group has outside, by /proc/self/uid_map or gid_map; `None` where it
/// is not known. Root of a container within a container is never taken for root.
pub fn outside(map: &[u8], inside: u32) -> Option<u32> {
    let mut room = [0u8; 4096];
    let file = sys::open(map).ok()?;
    let read = sys::read(file, &mut room);
    sys::close(file);
    let text = room.get(..read.ok()?)?;
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut numbers = line
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty())
            .map_while(|word| literal::number(word, 10, u32::MAX));
        let [first, outside, count] = [numbers.next()?, numbers.next()?, numbers.next()?];
        let at = inside.checked_sub(first).filter(|at| *at < count)?;
        outside.checked_add(at).filter(|outside| *outside != 0)
    })
}

/// The number in a link like `pid:[4026531836]`.
fn inode(link: &[u8]) -> Option<u64> {
    let mut room = PathBuffer::new();
    let text = room.set_to_link(link)?;
    let start = text.iter().position(|&byte| byte == b'[')? + 1;
    let digits = text.get(start..)?.strip_suffix(b"]")?;
    literal::number(digits, 10, u32::MAX).map(u64::from)
}
