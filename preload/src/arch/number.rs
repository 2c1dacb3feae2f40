//! Numbers of the system calls we make.
//!
//! x86_64 and POWER have a table of their own (Linux, arch/x86/entry/syscalls/syscall_64.tbl and
//! arch/powerpc/kernel/syscalls/syscall.tbl). Later architectures share one
//! (include/uapi/asm-generic/unistd.h).

// The code for static programs does not make all of these calls.
macro_rules! numbers {
    ($($name:ident $x86_64:literal $powerpc64:literal $generic:literal;)*) => { $(
        #[cfg(target_arch = "x86_64")]
        #[cfg_attr(feature = "static", allow(dead_code))]
        pub const $name: usize = $x86_64;
        #[cfg(target_arch = "powerpc64")]
        #[cfg_attr(feature = "static", allow(dead_code))]
        pub const $name: usize = $powerpc64;
        #[cfg(not(any(target_arch = "x86_64", target_arch = "powerpc64")))]
        #[cfg_attr(feature = "static", allow(dead_code))]
        pub const $name: usize = $generic;
    )* };
}

#[rustfmt::skip]
numbers! {
    //            x86_64 POWER generic
    GETCWD             79   182    17;
    FCNTL              72    55    25;
    MKDIRAT           258   287    34;
    UNLINKAT          263   292    35;
    OPENAT            257   286    56;
    CLOSE               3     6    57;
    READ                0     3    63;
    WRITE               1     4    64;
    PPOLL             271   281    73;
    READLINKAT        267   296    78;
    CLOCK_GETTIME     228   246   113;
    RT_SIGPROCMASK     14   174   135;
    UNAME              63   122   160;
    GETRUSAGE          98    77   165;
    GETPID             39    20   172;
    GETPPID           110    64   173;
    GETPGID           121   132   155;
    SOCKET             41   326   198;
    CONNECT            42   328   203;
    GETSOCKOPT         55   340   209;
    SENDMSG            46   341   211;
    MUNMAP             11    91   215;
    MREMAP             25   163   216;
    MMAP                9    90   222;
    PRLIMIT64         302   325   261;
    RENAMEAT2         316   357   276;
    GETRANDOM         318   359   278;
    STATX             332   383   291;
    OPENAT2           437   437   437;
}
