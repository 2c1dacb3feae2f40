//! Starts of programs that libogrt.so cannot see: static ones, whatever language they are from, and
//! those that run with more rights than their caller.
//!
//! ```text
//! fanotify: a file is opened to be run -> what is it? who opens it? -> kept
//! process connector: an exec has happened -> its program -> arguments, job -> start -> server
//! ```
//!
//! Policy. Nothing is added to the process: no call, no wait. The file is the one that the kernel
//! runs, and what is read of the process in /proc is told only if the process ran that program
//! before and after the reading. What could not be seen is absent, and what was missed is counted.
//! Tests: `tests/end_to_end/tests/observe.rs`.

mod exec_opens;
mod exec_tracks;
mod start_message;
mod start_watch;

pub use start_watch::StartWatch;
