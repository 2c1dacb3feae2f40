//! What depends on the machine. A file for each machine has the system call, the memory functions
//! that the compiler asks for, and the addresses of libc's weak symbols. One table has the numbers
//! of the calls that we make.
//!
//! Another architecture is one more file with the same items, and a column of the table if it has
//! its own numbers.

/// The functions that the compiler calls by name, as lines of assembly: a loop in Rust may be
/// recognised as the very function it implements. They are hidden: exported, they would take the
/// place of libc's in the whole process.
macro_rules! memory_functions {
    ($($line:literal),* $(,)?) => {
        core::arch::global_asm!(
            ".hidden memcpy, memmove, memset, memcmp, bcmp, strlen",
            ".globl memcpy, memmove, memset, memcmp, bcmp, strlen",
            ".type memcpy, @function",
            ".type memmove, @function",
            ".type memset, @function",
            ".type memcmp, @function",
            ".type bcmp, @function",
            ".type strlen, @function",
            $($line),*
        );
    };
}

/// One word of our own GOT, read by these lines into `{0}`: a direct reference to an undefined weak
/// symbol may be folded away.
#[cfg(not(any(target_arch = "powerpc64", feature = "static")))]
macro_rules! word_of_got {
    ($($line:expr),* $(,)?) => {{
        let word: usize;
        // SAFETY: reads memory that the loader filled in before anything of us ran.
        unsafe {
            core::arch::asm!($($line),*, out(reg) word, options(pure, readonly, nostack, preserves_flags));
        }
        word
    }};
}
#[cfg(not(any(target_arch = "powerpc64", feature = "static")))]
pub(crate) use word_of_got;

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub mod number;
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
