//! x86_64 (System V ABI).

use core::arch::{asm, global_asm};

/// Numbers of the system calls we make (Linux, arch/x86/entry/syscalls/syscall_64.tbl).
#[allow(missing_docs)]
pub mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MUNMAP: usize = 11;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const MREMAP: usize = 25;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SENDMSG: usize = 46;
    pub const GETSOCKOPT: usize = 55;
    pub const UNAME: usize = 63;
    pub const FCNTL: usize = 72;
    pub const GETCWD: usize = 79;
    pub const GETRUSAGE: usize = 98;
    pub const GETUID: usize = 102;
    pub const GETGID: usize = 104;
    pub const GETPPID: usize = 110;
    pub const CLOCK_GETTIME: usize = 228;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const UNLINKAT: usize = 263;
    pub const RENAMEAT2: usize = 316;
    pub const READLINKAT: usize = 267;
    pub const PPOLL: usize = 271;
    pub const PRLIMIT64: usize = 302;
    pub const GETRANDOM: usize = 318;
    pub const STATX: usize = 332;
    pub const OPENAT2: usize = 437;
}

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

/// The address of a weak symbol, 0 where nobody defines it. Read through the GOT: a direct reference to an
/// undefined weak symbol may be folded away.
macro_rules! weak_address {
    ($name:literal) => {{
        let address: usize;
        // SAFETY: reads one word of our own GOT.
        unsafe {
            core::arch::asm!(
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(crate) use weak_address;

// The compiler calls these by name. They are hidden: exported, they would take the place of libc's in the whole
// process. In assembly, because a loop in Rust may be recognised as the very function it implements.
global_asm!(
    ".hidden memcpy",
    ".hidden memmove",
    ".hidden memset",
    ".hidden memcmp",
    ".hidden bcmp",
    ".hidden strlen",
    ".globl memcpy, memmove, memset, memcmp, bcmp, strlen",
    ".type memcpy, @function",
    ".type memmove, @function",
    ".type memset, @function",
    ".type memcmp, @function",
    ".type bcmp, @function",
    ".type strlen, @function",
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
