//! AArch64 (AAPCS64).

use core::arch::asm;

/// `O_NOFOLLOW`, which differs between architectures.
pub const NOFOLLOW: u64 = 0o100000;
/// `O_DIRECTORY`, which differs too.
pub const DIRECTORY: u64 = 0o40000;

/// Makes a system call and returns what the kernel left in the result register.
///
/// # Safety
/// The caller answers for the meaning of `number` and of each argument.
#[inline(always)]
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel keeps all registers but x0; memory is the caller's affair.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

/// The address of a weak symbol, 0 where nobody defines it.
#[cfg(not(feature = "static"))]
macro_rules! weak_address {
    ($name:literal) => {
        $crate::arch::word_of_got!(
            concat!("adrp {0}, :got:", $name),
            concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
        )
    };
}
#[cfg(not(feature = "static"))]
pub(crate) use weak_address;

/// The entry of the code in a static program. Two instructions of it are the program's linker's: it
/// puts in where its GOT has the address of `__environ` (`xtask/src/static_object`). A program
/// whose indirect jumps are checked (BTI) may come here.
#[cfg(feature = "static")]
macro_rules! static_entry {
    ($start:path) => {
        core::arch::global_asm!(
            ".pushsection .text.ogrt_entry,\"ax\",@progbits",
            ".hidden ogrt_static_entry",
            ".globl ogrt_static_entry",
            "ogrt_static_entry:",
            "hint #34", // bti c
            ".inst 0x90000003", // adrp x3, ...
            ".inst 0xf9400063", // ldr x3, [x3, ...]
            "b {start}",
            ".popsection",
            start = sym $start,
        );
    };
}
#[cfg(feature = "static")]
pub(crate) use static_entry;

memory_functions!(
    ".p2align 4",
    "memmove:",
    "sub x3, x0, x1",
    "cmp x3, x2", // Destination inside the source: from the end.
    "b.lo 4f",
    "memcpy:",
    "mov x3, x0",
    "2:",
    "cbz x2, 3f",
    "ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "sub x2, x2, #1",
    "b 2b",
    "3:",
    "ret",
    "4:",
    "cbz x2, 3b",
    "sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "b 4b",
    ".p2align 4",
    "memset:",
    "mov x3, x0",
    "2:",
    "cbz x2, 3f",
    "strb w1, [x3], #1",
    "sub x2, x2, #1",
    "b 2b",
    "3:",
    "ret",
    ".p2align 4",
    "bcmp:",
    "memcmp:",
    "mov x3, x0",
    "mov w0, #0",
    "2:",
    "cbz x2, 3f",
    "ldrb w4, [x3], #1",
    "ldrb w5, [x1], #1",
    "sub x2, x2, #1",
    "subs w0, w4, w5",
    "b.eq 2b",
    "3:",
    "ret",
    ".p2align 4",
    "strlen:",
    "mov x1, x0",
    "2:",
    "ldrb w2, [x1], #1",
    "cbnz w2, 2b",
    "sub x0, x1, x0",
    "sub x0, x0, #1",
    "ret",
);
