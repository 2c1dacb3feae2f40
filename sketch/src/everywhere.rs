//! Names and texts of the languages' own libraries: they are in every program that is linked
//! statically, and say nothing of it.
//!
//! `everywhere.bin` has their hashes, in order, big-endian. `sketch/examples/everywhere.rs` makes
//! it of the libraries of C, C++, Fortran, Go and Rust that a machine has. Another file is another
//! version of the format.

use crate::hash::Hash;

static HASHES: &[u8] = include_bytes!("everywhere.bin");

/// True for the hash of what is in every program of some language.
pub fn contains(hash: Hash) -> bool {
    let (hashes, _) = HASHES.as_chunks::<4>();
    hashes.binary_search(&hash.to_be_bytes()).is_ok()
}
