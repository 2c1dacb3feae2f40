//! What processes have used, exactly: CPU time, largest memory, and the CPU time of workers that
//! they forked.
//!
//! ```text
//! process connector: an exec -> what the process has used so far
//! accounting: an exit -> less what was used before the exec, with the exits of its workers
//!     -> server, which completes the end of the process that it follows
//! ```
//!
//! Policy. CPU time survives exec, so what another program used before is taken away; where nobody
//! knows how much that was, none is told. Ends that were lost take with them what rests on them.
//! The kernel gives a number again only after all others, so an exit that is read within two
//! seconds names its process for certain. Tests: `tests/end_to_end/tests/observe_ends.rs`.

mod end_watch;
mod used_before;

pub use end_watch::EndWatch;
