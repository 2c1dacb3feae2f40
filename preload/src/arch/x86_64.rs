//! x86_64 (System V ABI).

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
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; memory is the caller's affair.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// The address of a weak symbol, 0 where nobody defines it.
#[cfg(not(feature = "static"))]
macro_rules! weak_address {
    ($name:literal) => {
        $crate::arch::word_of_got!(concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"))
    };
}
#[cfg(not(feature = "static"))]
pub(crate) use weak_address;

/// The entry of the code in a static program. Four bytes of it are the program's linker's: it puts
/// in where its GOT has the address of `__environ` (`xtask/src/static_object`). A program whose
/// indirect jumps are checked (IBT) may come here.
#[cfg(feature = "static")]
macro_rules! static_entry {
    ($start:path) => {
        core::arch::global_asm!(
            ".pushsection .text.ogrt_entry,\"ax\",@progbits",
            ".hidden ogrt_static_entry",
            ".globl ogrt_static_entry",
            "ogrt_static_entry:",
            "endbr64",
            ".byte 0x48, 0x8b, 0x0d", // mov rcx, [rip + ...]
            ".long 0",
            "jmp {start}",
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
    "mov rax, rdi",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx", // Destination inside the source: from the end.
    "jb 2f",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "2:",
    "mov rcx, rdx",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    ".p2align 4",
    "memcpy:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 3f",
    "cmp rdx, 32",
    "ja 2f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    "2:",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "3:",
    "test rdx, rdx",
    "jz 5f",
    "4:",
    "mov cl, [rsi + rdx - 1]",
    "mov [rdi + rdx - 1], cl",
    "dec rdx",
    "jnz 4b",
    "5:",
    "ret",
    ".p2align 4",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    ".p2align 4",
    "bcmp:",
    "memcmp:",
    "xor eax, eax",
    "xor ecx, ecx",
    "2:",
    "cmp rcx, rdx",
    "je 3f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "jz 2b",
    "3:",
    "ret",
    // Sixteen aligned bytes at a time: they never reach into a page that the string does not touch.
    ".p2align 4",
    "strlen:",
    "mov rax, rdi",
    "and rax, -16",
    "pxor xmm0, xmm0",
    "movdqa xmm1, [rax]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb edx, xmm1",
    "mov ecx, edi",
    "and ecx, 15",
    "shr edx, cl",
    "test edx, edx",
    "jz 2f",
    "bsf eax, edx",
    "ret",
    "2:",
    "add rax, 16",
    "movdqa xmm1, [rax]",
    "pcmpeqb xmm1, xmm0",
    "pmovmskb edx, xmm1",
    "test edx, edx",
    "jz 2b",
    "bsf edx, edx",
    "add rax, rdx",
    "sub rax, rdi",
    "ret",
);
