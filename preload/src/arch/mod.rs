//! What depends on the machine, one file each: the system call, the memory functions that the compiler asks
//! for, the addresses of libc's weak symbols, and the numbers of the calls we make.
//!
//! Another architecture is one more file with the same items.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod asm_generic;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
mod powerpc64le;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub use powerpc64le::*;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
