//! What depends on the machine, one file each: the system call, the memory functions that the compiler asks
//! for, the addresses of libc's weak symbols, and the numbers of the calls we make.
//!
//! Another architecture is one more file with the same items.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
