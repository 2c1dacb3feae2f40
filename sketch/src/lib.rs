//! Sketches: what a program or library resembles, in at most two kilobytes.
//!
//! A program that nobody knows may be another version of one that somebody does. Its names of
//! functions and its messages are mostly the same. A sketch keeps the 256 smallest hashes of its
//! names, and the 256 smallest of its texts: [`Sketch::of_file`]. How many of them two files share
//! estimates how much of all they share: [`compare`].
//!
//! A sketch is a pure function of the file's bytes, and neither runs nor maps the file. The file
//! may be hostile, so each table is bounded (`elf.rs`), and so are the bytes that are looked at.
//! docs/sketch.md has the format, which strangers can write too.
//!
//! What each program contains says nothing of it. The names and texts of the languages' own
//! libraries are left out (`everywhere.rs`). A file with little beside them has no sketch.

mod compare;
mod elf;
mod everywhere;
mod go;
mod hash;
mod minima;
mod sketch;
mod symbols;
mod texts;

pub use compare::{Shares, compare};
pub use elf::{ElfBytes, NotElf};
pub use hash::{Hash, hash};
pub use minima::{MINIMA_MAX, Minima};
pub use sketch::{ENCODED_MAX, Evidence, Sketch};
