//! RISC-V, 64 bit (psABI, LP64D).

use core::arch::asm;

/// `O_NOFOLLOW`, which differs between architectures.
pub const NOFOLLOW: u64 = 0o400000;
/// `O_DIRECTORY`, which differs too.
pub const DIRECTORY: u64 = 0o200000;

/// Makes a system call and returns what the kernel left in the result register.
///
/// # Safety
/// The caller answers for the meaning of `number` and of each argument.
#[inline(always)]
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel keeps all registers but a0; memory is the caller's affair.
    unsafe {
        asm!(
            "ecall",
            in("a7") number,
            inlateout("a0") a as isize => result,
            in("a1") b, in("a2") c, in("a3") d, in("a4") e, in("a5") f,
            options(nostack)
        );
    }
    result
}

/// The address of a weak symbol, 0 where nobody defines it.
macro_rules! weak_address {
    ($name:literal) => {
        $crate::arch::word_of_got!(concat!("lga {0}, ", $name))
    };
}
pub(crate) use weak_address;

memory_functions!(
    ".p2align 2",
    "memmove:",
    "sub a3, a0, a1",
    "bltu a3, a2, 4f", // Destination inside the source: from the end.
    "memcpy:",
    "mv a3, a0",
    "2:",
    "beqz a2, 3f",
    "lbu a4, 0(a1)",
    "sb a4, 0(a3)",
    "addi a1, a1, 1",
    "addi a3, a3, 1",
    "addi a2, a2, -1",
    "j 2b",
    "3:",
    "ret",
    "4:",
    "beqz a2, 3b",
    "addi a2, a2, -1",
    "add a4, a1, a2",
    "lbu a4, 0(a4)",
    "add a5, a0, a2",
    "sb a4, 0(a5)",
    "j 4b",
    ".p2align 2",
    "memset:",
    "mv a3, a0",
    "2:",
    "beqz a2, 3f",
    "sb a1, 0(a3)",
    "addi a3, a3, 1",
    "addi a2, a2, -1",
    "j 2b",
    "3:",
    "ret",
    ".p2align 2",
    "bcmp:",
    "memcmp:",
    "mv a3, a0",
    "li a0, 0",
    "2:",
    "beqz a2, 3f",
    "lbu a4, 0(a3)",
    "lbu a5, 0(a1)",
    "addi a3, a3, 1",
    "addi a1, a1, 1",
    "addi a2, a2, -1",
    "sub a0, a4, a5",
    "beqz a0, 2b",
    "3:",
    "ret",
    ".p2align 2",
    "strlen:",
    "mv a1, a0",
    "2:",
    "lbu a2, 0(a1)",
    "addi a1, a1, 1",
    "bnez a2, 2b",
    "sub a0, a1, a0",
    "addi a0, a0, -1",
    "ret",
);
