//! The priority of threads that must keep up with the processes of their machine.

/// The niceness of such a thread: where more processes start than the processors can run, it has a
/// share like each of them, and thousands wait for it in a second. It needs a few microseconds for
/// each.
const NICE: i32 = -10;

/// Puts this thread before what users run. Without the right to it, or where it is so already, it
/// stays as it is.
pub fn put_in_front() {
    // Of this thread alone (Linux).
    let _ = rustix::process::setpriority_process(None, NICE);
}
