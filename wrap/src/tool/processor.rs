//! The processor on which the tool has started is left to the tool.
//!
//! A child begins on its parent's processor or on another one, as the kernel likes. Where both
//! share one, the kernel lets the parent go on first, and the tool stands still until the parent
//! sleeps: half of all links took 0.4 ms longer, with an idle processor beside them.

use crate::small_file;
use rustix::process::Pid;
use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::io::Read;
use std::path::Path;

/// `processor` is the 39th field of /proc/PID/stat, and the third is the first after the name
/// (proc_pid_stat(5)).
const PROCESSOR_AFTER_NAME: usize = 36;

/// /proc/PID/stat has some 300 bytes.
const STAT_BYTES_MAX: usize = 1024;

/// Moves the calling thread to another processor if `child` was started on the same one. Then the
/// thread may use all of its processors again. Nothing changes where the processors are not known,
/// or where the move fails.
pub fn leave_to(child: Pid) {
    let ours = sched_getcpu();
    if processor_of(child) == Some(ours) {
        let _ = leave(ours);
    }
}

fn leave(processor: usize) -> rustix::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut others = allowed;
    others.unset(processor);
    if others.count() > 0 {
        sched_setaffinity(None, &others)?;
        sched_setaffinity(None, &allowed)?;
    }
    Ok(())
}

fn processor_of(process: Pid) -> Option<usize> {
    let mut stat = [0; STAT_BYTES_MAX];
    let path = format!("/proc/{process}/stat");
    let len = small_file::open(Path::new(&path)).and_then(|mut file| file.read(&mut stat)).ok()?;
    processor_in(&stat[..len])
}

/// The processor of a process by its `stat`. The name in it may hold blanks and parentheses;
/// nothing after it does.
fn processor_in(stat: &[u8]) -> Option<usize> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let after = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    after.split_ascii_whitespace().nth(PROCESSOR_AFTER_NAME)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::CpuSet;

    #[test]
    fn the_processor_stands_after_whatever_name() {
        let stat = |name: &str| {
            let fields: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
            format!("4711 ({name}) R {}\n", fields.join(" "))
        };
        for name in ["ld", "a b", ") R 1 2 3", ""] {
            assert_eq!(processor_in(stat(name).as_bytes()), Some(39), "{name}");
        }
        assert_eq!(processor_in(b"4711 (ld) R 1"), None);
        assert_eq!(processor_in(b""), None);
    }

    #[test]
    fn a_thread_that_leaves_its_processor_may_come_back() {
        // In a thread of its own: the test runner's other threads stay where they are.
        let gone = std::thread::spawn(|| {
            let allowed = sched_getaffinity(None).unwrap();
            let processor = sched_getcpu();
            let mut only = CpuSet::new();
            only.set(processor);
            sched_setaffinity(None, &only).unwrap();
            // There is only one processor.
            leave(processor).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap(), only);

            sched_setaffinity(None, &allowed).unwrap();
            leave(processor).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
        });
        gone.join().unwrap();
    }

    #[test]
    fn a_process_runs_somewhere() {
        assert!(processor_of(rustix::process::getpid()).is_some());
        assert_eq!(processor_of(Pid::from_raw(i32::MAX).unwrap()), None);
    }
}
