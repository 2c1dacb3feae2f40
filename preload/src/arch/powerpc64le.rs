//! 64-bit POWER, little-endian (ELFv2 ABI).

use core::arch::{asm, global_asm};

/// `O_NOFOLLOW`, which differs between architectures.
pub const NOFOLLOW: u64 = 0o100000;
/// `O_DIRECTORY`, which differs too.
pub const DIRECTORY: u64 = 0o40000;

/// Makes a system call and returns what the kernel left in the result register, an error as a
/// negative number.
///
/// # Safety
/// The caller answers for the meaning of `number` and of each argument.
#[inline(always)]
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the kernel keeps r13 to r31; memory is the caller's affair. Summary overflow says
    // that r3 is an error.
    unsafe {
        asm!(
            "sc",
            "bns+ 2f",
            "neg 3, 3",
            "2:",
            inlateout("r0") number => _,
            inlateout("r3") a as isize => result,
            inlateout("r4") b => _, inlateout("r5") c => _, inlateout("r6") d => _,
            inlateout("r7") e => _, inlateout("r8") f => _,
            lateout("r9") _, lateout("r10") _, lateout("r11") _, lateout("r12") _,
            lateout("cr0") _, lateout("ctr") _, lateout("xer") _,
            options(nostack)
        );
    }
    result
}

/// The address of a weak symbol, 0 where nobody defines it. Read from a word of our own data that
/// the loader fills in: the GOT is found by r2, and only a function that the compiler knows to use
/// it has it set.
macro_rules! weak_address {
    ($name:literal) => {{
        unsafe extern "C" {
            #[link_name = concat!("ogrt_address_of_", $name)]
            static ADDRESS: usize;
        }
        // SAFETY: defined below, and written by the loader only.
        unsafe { (&raw const ADDRESS).read_volatile() }
    }};
}
pub(crate) use weak_address;

global_asm!(
    ".pushsection .data.rel,\"aw\"",
    ".p2align 3",
    ".hidden ogrt_address_of___environ, ogrt_address_of_dl_iterate_phdr",
    ".globl ogrt_address_of___environ, ogrt_address_of_dl_iterate_phdr",
    ".weak __environ, dl_iterate_phdr",
    "ogrt_address_of___environ: .quad __environ",
    "ogrt_address_of_dl_iterate_phdr: .quad dl_iterate_phdr",
    ".popsection",
);

memory_functions!(
    ".p2align 4",
    "memmove:",
    "subf 6, 4, 3",
    "cmpld 6, 5",
    "blt 3f", // Destination inside the source: from the end.
    "memcpy:",
    "cmpldi 5, 0",
    "beqlr",
    "mtctr 5",
    "addi 6, 3, -1",
    "addi 4, 4, -1",
    "2:",
    "lbzu 7, 1(4)",
    "stbu 7, 1(6)",
    "bdnz 2b",
    "blr",
    "3:",
    "mtctr 5", // More than nothing: the distance is smaller than the length.
    "add 6, 3, 5",
    "add 4, 4, 5",
    "4:",
    "lbzu 7, -1(4)",
    "stbu 7, -1(6)",
    "bdnz 4b",
    "blr",
    ".p2align 4",
    "memset:",
    "cmpldi 5, 0",
    "beqlr",
    "mtctr 5",
    "addi 6, 3, -1",
    "2:",
    "stbu 4, 1(6)",
    "bdnz 2b",
    "blr",
    ".p2align 4",
    "bcmp:",
    "memcmp:",
    "addi 6, 3, -1",
    "addi 4, 4, -1",
    "li 3, 0",
    "cmpldi 5, 0",
    "beqlr",
    "mtctr 5",
    "2:",
    "lbzu 7, 1(6)",
    "lbzu 8, 1(4)",
    "subf 3, 8, 7",
    "cmpdi 3, 0",
    "bnelr",
    "bdnz 2b",
    "blr",
    ".p2align 4",
    "strlen:",
    "addi 4, 3, -1",
    "2:",
    "lbzu 5, 1(4)",
    "cmpldi 5, 0",
    "bne 2b",
    "subf 3, 3, 4",
    "blr",
);
