//! What the tests of the wrappers need: an installed prefix, a place to build in, a server that
//! answers.
//!
//! The tests run the real compilers and linkers, once with us in front and once without, and
//! compare.

mod bench;
mod elf;
mod language;
mod prefix;
mod reader;
mod server;
mod static_code;

pub use bench::{Bench, Outcome, executable, has_tool};
pub use elf::{Protections, protections, signatures_of};
pub use language::{CLANG, CLANGXX, GCC, GFORTRAN, GXX, Language, MUSL, ProgramTexts, linkers};
pub use prefix::prefix;
pub use reader::{LOADER, READER};
pub use server::{Manner, TestServer};
pub use static_code::{carries_code, static_object, static_objects};
