//! The namespaces that this process is in, and its user outside of its own.
//!
//! A container may have numbers of processes and users of its own. Most processes are not in one,
//! and that must cost them next to nothing: two calls tell
//! (`a_process_in_a_container_says_so`). Only a process in a container asks procfs.

use crate::{encoder::Encoder, field_numbers::process_info, glob, literal, path_buffer::PathBuffer, sys};

/// Writes the inode numbers of the namespaces, as far as they are known.
pub fn write_namespaces(out: &mut Encoder) {
    const NAMES: &[u8] = b"pid user uts mnt";
    const FIELDS: [u32; 4] = [
        process_info::PID_NAMESPACE,
        process_info::USER_NAMESPACE,
        process_info::UTS_NAMESPACE,
        process_info::MOUNT_NAMESPACE,
    ];
    for (name, &field) in glob::entries(NAMES).zip(&FIELDS) {
        let mut path = PathBuffer::new();
        out.varint_if_known(field, path.of_pieces(b"/proc/self/ns/", name).and_then(inode));
    }
}

/// Tells whether the process has a number of its own in a container. On the machine itself process
/// 2 is the kernel's, which is in no process group, and every program is in one.
pub fn has_own_pids(parent_pid: i32) -> bool {
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
    // Three numbers a line.
    let mut numbers = glob::entries(text).map_while(|word| literal::number(word, 10, u32::MAX));
    loop {
        let [first, outside, count] = [numbers.next()?, numbers.next()?, numbers.next()?];
        if let Some(at) = inside.checked_sub(first).filter(|at| *at < count) {
            return outside.checked_add(at).filter(|outside| *outside != 0);
        }
    }
}

/// The number in a link like `pid:[4026531836]`.
fn inode(link: &[u8]) -> Option<u64> {
    let mut room = PathBuffer::new();
    let text = room.set_to_link(link)?;
    let start = text.iter().position(|&byte| byte == b'[')? + 1;
    let digits = text.get(start..)?.strip_suffix(b"]")?;
    literal::number(digits, 10, u32::MAX).map(u64::from)
}
