//! What procfs tells of the resources that a process has used so far, and of the children that it
//! has.
//!
//! Everybody may read it, unless `/proc` hides processes of others. A process that has ended and is
//! not reaped still has its CPU time.

use crate::clock::now_ns;
use nix::time::{ClockId, clock_gettime};
use ogrt_observe::TICK_NS;
use std::{fs, fs::File, io::Read};

/// Bytes of `/proc/PID/status` that hold what we read.
const STATUS_BYTES: usize = 4096;

/// Threads of one process whose CPUs are asked for.
const THREADS_MAX: usize = 256;

/// Children of one process that are looked at.
const CHILDREN_MAX: usize = 256;

/// The time of so many ticks since the machine started, Unix time in nanoseconds.
pub fn made_ns(ticks: i64) -> Option<i64> {
    let since_start = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let since_start = since_start.tv_sec().checked_mul(1_000_000_000)?.checked_add(since_start.tv_nsec())?;
    now_ns().checked_sub(since_start)?.checked_add(ticks.checked_mul(TICK_NS)?)
}

/// The largest resident set that the program of a process has had, in KiB.
pub fn peak_kib(pid: u32) -> Option<u64> {
    status_field(&format!("/proc/{pid}/status"), b"VmHWM:")?.parse().ok()
}

/// The number of CPUs that the threads of a process may run on; `None` where it has too many
/// threads to be told. A runtime such as OpenMP may have bound each to one of them.
pub fn cpus_allowed(pid: u32) -> Option<u32> {
    let mut allowed: Vec<u32> = Vec::new();
    for (count, thread) in fs::read_dir(format!("/proc/{pid}/task")).ok()?.enumerate() {
        if count == THREADS_MAX {
            return None;
        }
        let status = thread.ok()?.path().join("status");
        // A thread may have ended.
        let Some(mask) = status_field(status.to_str()?, b"Cpus_allowed:") else { continue };
        // Words of 32 bits, the highest first.
        let words = mask.rsplit(',').map(|word| u32::from_str_radix(word, 16).ok());
        for (place, word) in words.enumerate() {
            allowed.resize(allowed.len().max(place + 1), 0);
            allowed[place] |= word?;
        }
    }
    Some(allowed.iter().map(|word| word.count_ones()).sum()).filter(|count| *count > 0)
}

/// The first word behind a name in a file such as `/proc/PID/status`.
fn status_field(path: &str, name: &[u8]) -> Option<String> {
    let mut buffer = [0; STATUS_BYTES];
    let length = File::open(path).ok()?.read(&mut buffer).ok()?;
    let line = buffer.get(..length)?.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().next().map(str::to_owned)
}

/// The children of a process's first thread.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().take(CHILDREN_MAX).filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_known_and_one_that_is_not_there_is_not() {
        let ours = std::process::id();
        assert!(peak_kib(ours).is_some_and(|peak| peak > 100));
        assert_eq!(peak_kib(u32::MAX), None);
        let allowed = std::thread::available_parallelism().unwrap().get() as u32;
        assert!(cpus_allowed(ours).is_some_and(|count| count >= allowed));
        assert_eq!(cpus_allowed(u32::MAX), None);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // This test may run in another thread than the first.
        let found: Vec<u32> = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .flat_map(|thread| {
                let path = thread.unwrap().path().join("children");
                fs::read_to_string(path)
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(|pid| pid.parse().unwrap())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(found.is_empty() || found.contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
