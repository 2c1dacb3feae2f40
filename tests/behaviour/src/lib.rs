//! Real programs with and without us have the same output, status, files and environment.
//!
//! A case is a shell file in `cases/` that says what it is in its first line, what it needs, how it
//! is prepared (once, untracked), and what is run. It is run in a directory of the same path each
//! time, once with an empty library under the name `libogrt.so` and then with ours under that name,
//! so that even the environment of every child is the same to the byte. The server's end is a real
//! socket that is read, one that nobody answers, or none.

mod case;
mod library;
mod observe;
mod receiver;

pub use case::Case;
pub use library::Libraries;
pub use observe::{Observation, Stage};
pub use receiver::Receiver;
