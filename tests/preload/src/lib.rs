//! What the tests of libogrt.so stand on: the library as it is shipped, C programs compiled here and now, and a
//! server's end that keeps what it receives.

mod built;
mod needs;
mod program;
mod receiver;

pub use built::{MACHINES, Machine, empty_library, libraries, library};
pub use needs::{has, has_all, has_target};
pub use program::{Compiler, Folder, tracked};
pub use receiver::{Process, Receiver};
