//! Our turn on the processors: before all that is not urgent itself.
//!
//! A program may be gone within a tenth of a millisecond, and what it was given is seen only while
//! it runs. A process that is woken in its turn comes too late for half of such programs on a busy
//! machine. How long we run is bounded by [`crate::cpu_share`].

use rustix::process::setpriority_process;
use std::io;

/// The lowest of the real-time priorities.
const PRIORITY: libc::c_int = 1;

/// The niceness, where real time is not wanted or not permitted.
const NICE: i32 = -20;

/// Goes before ordinary processes: by real-time scheduling where that is wanted and permitted, else
/// by niceness as far as that is permitted.
pub fn hurry(in_real_time: bool) {
    let _ = setpriority_process(None, NICE);
    if in_real_time {
        let _ = use_real_time();
    }
}

fn use_real_time() -> io::Result<()> {
    // The kernel's sched_param is this number alone.
    let parameters = PRIORITY;
    // By its number: musl's own function does nothing.
    // SAFETY: the kernel reads a number at the address of one, and changes this thread's turn only.
    let failed =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &raw const parameters) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
