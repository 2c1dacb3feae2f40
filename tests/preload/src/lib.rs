//! What the tests of libogrt.so use: the library as it is shipped, C programs that are compiled
//! here, and a server's end that keeps what it receives.

mod built;
mod needs;
mod program;
mod receiver;

pub use built::{MACHINES, Machine, empty_library, libraries, library};
pub use needs::{has, has_all, has_target};
pub use program::{Compiler, Folder, tracked, tracked_to_its_end};
pub use receiver::{Process, Receiver};
