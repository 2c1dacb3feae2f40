//! The system calls that we make, each one function with types.
//!
//! They go straight to the kernel: libc's wrappers would set `errno`, may be replaced by the
//! program, and are absent under LD_AUDIT. A failed call gives its [`Errno`]. Nothing is tried
//! again, because nothing is worth a wait in somebody else's process.

use crate::arch::{DIRECTORY, NOFOLLOW, number, syscall};
use core::{ffi::c_void, mem::MaybeUninit};

/// Why a call failed. A word, so that a result is in registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub usize);

/// An open descriptor. It does not close itself: each flow visibly closes what it opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Descriptor(pub usize);

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

/// One of the pieces that `sendmsg` gathers: `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Piece {
    base: *const u8,
    len: usize,
}

/// `struct msghdr`, 64-bit.
#[repr(C)]
struct MessageHeader {
    name: *const u8,
    name_len: u32,
    pieces: *const Piece,
    piece_count: usize,
    control: *const u8,
    control_len: usize,
    flags: i32,
}

/// `struct rusage`, of which we read three fields.
#[cfg(not(feature = "static"))]
#[repr(C)]
#[derive(Clone, Copy)]
struct ResourceUsage {
    user: [i64; 2],
    system: [i64; 2],
    max_rss_kib: i64,
    _rest: [i64; 13],
}

/// The answer of `getrusage` about this process.
#[cfg(not(feature = "static"))]
#[derive(Clone, Copy)]
pub struct Usage {
    /// CPU time in user mode, microseconds.
    pub user_us: u64,
    /// CPU time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident set, KiB.
    pub max_rss_kib: u64,
}

/// `CLOCK_REALTIME`: Unix time.
pub const REALTIME: usize = 0;
/// `CLOCK_MONOTONIC`, for durations.
#[cfg(not(feature = "static"))]
pub const MONOTONIC: usize = 1;
/// `AF_UNIX`.
pub const AF_UNIX: u16 = 1;
/// `AF_INET`.
pub const AF_INET: u16 = 2;
/// `AF_INET6`.
pub const AF_INET6: u16 = 10;
/// `SOCK_STREAM`.
pub const STREAM: usize = 1;
/// `SOCK_DGRAM`.
pub const DATAGRAM: usize = 2;
/// `RLIMIT_FSIZE`.
pub const LIMIT_FILE_SIZE: usize = 1;
/// `ENOENT`.
pub const NOT_FOUND: Errno = Errno(2);
/// `ERANGE`.
pub const RANGE: Errno = Errno(34);
/// `EAGAIN`.
pub const WOULD_BLOCK: Errno = Errno(11);

const AT_FDCWD: usize = -100isize as usize;
const NONBLOCK_CLOEXEC: usize = 0o4000 | 0o2000000;
const DONTWAIT_NOSIGNAL: usize = 0x40 | 0x4000;

impl Time {
    /// Nanoseconds since the clock's beginning.
    pub fn as_nanoseconds(self) -> u64 {
        (self.seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(self.nanoseconds as u64)
    }

    /// Whole seconds.
    pub fn as_seconds(self) -> i64 {
        self.seconds
    }
}

impl Piece {
    /// The bytes, which must stay where they are until the call.
    pub fn new(bytes: &[u8]) -> Self {
        Piece { base: bytes.as_ptr(), len: bytes.len() }
    }
}

/// Makes a call. The arguments of a function are in registers, as those of a system call are: so a
/// call is little code. None of ours has a sixth argument that is not 0.
#[inline(never)]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> Result<usize, Errno> {
    // SAFETY: every caller below passes what the manual of that call asks for.
    let result = unsafe { syscall(number, [a, b, c, d, e, 0]) };
    if (-4095..0).contains(&result) { Err(Errno(-result as usize)) } else { Ok(result as usize) }
}

/// A call by its name and its arguments; those that it does not have are 0.
macro_rules! call {
    ($name:ident) => {
        call!($name, 0)
    };
    ($name:ident, $a:expr) => {
        call!($name, $a, 0)
    };
    ($name:ident, $a:expr, $b:expr) => {
        call!($name, $a, $b, 0)
    };
    ($name:ident, $a:expr, $b:expr, $c:expr) => {
        call!($name, $a, $b, $c, 0)
    };
    ($name:ident, $a:expr, $b:expr, $c:expr, $d:expr) => {
        call!($name, $a, $b, $c, $d, 0)
    };
    ($name:ident, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        call(number::$name, $a, $b, $c, $d, $e)
    };
}

/// Time by one of the clocks.
pub fn clock(clock: usize) -> Time {
    let mut time = Time::default();
    let _ = call!(CLOCK_GETTIME, clock, &raw mut time as usize);
    time
}

/// The number of this process.
pub fn pid() -> i32 {
    call!(GETPID).unwrap_or(0) as i32
}

/// The number of its parent.
pub fn parent_pid() -> i32 {
    call!(GETPPID).unwrap_or(0) as i32
}

/// The process group of a process, 0 where it is in none of our namespace.
pub fn process_group(pid: i32) -> Result<usize, Errno> {
    call!(GETPGID, pid as usize)
}

/// Fills `out` from the kernel's random generator, and fails where that is not seeded yet.
pub fn random(out: &mut [u8]) -> Result<(), Errno> {
    const NONBLOCK: usize = 1;
    match call!(GETRANDOM, out.as_mut_ptr() as usize, out.len(), NONBLOCK)? {
        len if len == out.len() => Ok(()),
        _ => Err(WOULD_BLOCK),
    }
}

/// The node name of `uname`.
pub fn host_name(storage: &mut [u8; 390]) -> &[u8] {
    // struct utsname: six arrays of 65 bytes, the second is the node name.
    if call!(UNAME, storage.as_mut_ptr() as usize).is_err() {
        return &[];
    }
    until_nul(storage.get(65..130).unwrap_or_default())
}

/// Writes the working directory and returns its length. The kernel says "(unreachable)" in front of
/// a directory outside the root.
pub fn working_directory(out: &mut [u8]) -> Result<usize, Errno> {
    // The kernel counts the NUL.
    call!(GETCWD, out.as_mut_ptr() as usize, out.len()).map(|len| len.saturating_sub(1))
}

/// The target of a symbolic link; `path` ends in NUL.
pub fn read_link<'a>(path: &[u8], out: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    debug_assert!(path.last() == Some(&0));
    let room = out.len();
    let len = call!(READLINKAT, AT_FDCWD, path.as_ptr() as usize, out.as_mut_ptr() as usize, room)?;
    out.get(..len).ok_or(WOULD_BLOCK)
}

/// Resources that this process and its threads have used.
#[cfg(not(feature = "static"))]
pub fn usage() -> Usage {
    let mut usage = ResourceUsage { user: [0; 2], system: [0; 2], max_rss_kib: 0, _rest: [0; 13] };
    let _ = call!(GETRUSAGE, 0, &raw mut usage as usize);
    let microseconds = |[seconds, rest]: [i64; 2]| (seconds * 1_000_000 + rest) as u64;
    Usage {
        user_us: microseconds(usage.user),
        system_us: microseconds(usage.system),
        max_rss_kib: usage.max_rss_kib as u64,
    }
}

/// The soft limit of a resource; the largest number where there is none.
pub fn limit(resource: usize) -> u64 {
    let mut limits = [u64::MAX; 2];
    let _ = call!(PRLIMIT64, 0, resource, 0, limits.as_mut_ptr() as usize);
    limits[0]
}

/// Makes a non-blocking socket that no program executed later inherits. It is not descriptor 0, 1
/// or 2 (`closed_standard_descriptors_are_never_ours`).
pub fn socket(family: u16, kind: usize) -> Result<Descriptor, Errno> {
    let socket = call!(SOCKET, family as usize, kind | NONBLOCK_CLOEXEC)?;
    above_standard(Descriptor(socket))
}

/// Moves a descriptor above the first three. Where a program has closed one of these, ours must not
/// stand in for it while another thread may print.
fn above_standard(descriptor: Descriptor) -> Result<Descriptor, Errno> {
    const DUPFD_CLOEXEC: usize = 1030;
    if descriptor.0 > 2 {
        return Ok(descriptor);
    }
    let moved = call!(FCNTL, descriptor.0, DUPFD_CLOEXEC, 3);
    close(descriptor);
    moved.map(Descriptor)
}

/// Connects. A Unix socket connects at once or fails.
pub fn connect(socket: Descriptor, address: &[u8]) -> Result<(), Errno> {
    let [at, len] = [address.as_ptr() as usize, address.len()];
    call!(CONNECT, socket.0, at, len).map(drop)
}

/// Sends the pieces as one message to `address`, or to the connected peer where that is empty.
/// Returns the number of bytes that were taken.
pub fn send(socket: Descriptor, address: &[u8], pieces: &[Piece]) -> Result<usize, Errno> {
    let header = MessageHeader {
        name: if address.is_empty() { core::ptr::null() } else { address.as_ptr() },
        name_len: address.len() as u32,
        pieces: pieces.as_ptr(),
        piece_count: pieces.len(),
        control: core::ptr::null(),
        control_len: 0,
        flags: 0,
    };
    call!(SENDMSG, socket.0, &raw const header as usize, DONTWAIT_NOSIGNAL)
}

/// The error, if any, that the network has reported for a datagram on a connected socket.
pub fn pending_error(socket: Descriptor) -> Result<(), Errno> {
    const SOL_SOCKET: usize = 1;
    const SO_ERROR: usize = 4;
    let (mut error, mut len) = (0i32, 4u32);
    call!(GETSOCKOPT, socket.0, SOL_SOCKET, SO_ERROR, &raw mut error as usize, &raw mut len as usize)?;
    if error == 0 { Ok(()) } else { Err(Errno(error as usize)) }
}

/// Closes a descriptor.
pub fn close(descriptor: Descriptor) {
    let _ = call!(CLOSE, descriptor.0);
}

/// Creates a file for writing, mode 0600; `path` ends in NUL.
pub fn create(path: &[u8]) -> Result<Descriptor, Errno> {
    const WRONLY_CREAT_EXCL_NOFOLLOW_CLOEXEC: usize = 0o1 | 0o100 | 0o200 | NOFOLLOW as usize | 0o2000000;
    let at = path.as_ptr() as usize;
    let file = call!(OPENAT, AT_FDCWD, at, WRONLY_CREAT_EXCL_NOFOLLOW_CLOEXEC, 0o600)?;
    above_standard(Descriptor(file))
}

/// Opens a file for reading; `path` ends in NUL.
pub fn open(path: &[u8]) -> Result<Descriptor, Errno> {
    const RDONLY_NONBLOCK_CLOEXEC: usize = NONBLOCK_CLOEXEC;
    let at = path.as_ptr() as usize;
    let file = call!(OPENAT, AT_FDCWD, at, RDONLY_NONBLOCK_CLOEXEC)?;
    above_standard(Descriptor(file))
}

/// Opens a directory by O_PATH, if the kernel has the whole path in memory; else the error is
/// EAGAIN. `path` ends in NUL.
pub fn open_cached(path: &[u8]) -> Result<Descriptor, Errno> {
    const PATH_DIRECTORY_CLOEXEC: u64 = 0o10000000 | DIRECTORY | 0o2000000;
    const RESOLVE_CACHED: u64 = 0x20;
    let how: [u64; 3] = [PATH_DIRECTORY_CLOEXEC, 0, RESOLVE_CACHED];
    let at = path.as_ptr() as usize;
    let found = call!(OPENAT2, AT_FDCWD, at, how.as_ptr() as usize, size_of_val(&how))?;
    above_standard(Descriptor(found))
}

/// Tells whether the file system of an open directory is on a block device, as far as the kernel
/// knows without asking a file server.
pub fn is_on_disk(directory: Descriptor) -> bool {
    const EMPTY_PATH_DONT_SYNC: usize = 0x1000 | 0x4000;
    const DEV_MAJOR: usize = 34;
    let status = status(directory.0, c"".to_bytes_with_nul(), EMPTY_PATH_DONT_SYNC);
    status.is_some_and(|status| status.get(DEV_MAJOR) != Some(&0))
}

/// The user that a file belongs to; `path` ends in NUL.
pub fn owner(path: &[u8]) -> Option<u32> {
    const OWNER: usize = 5;
    status(AT_FDCWD, path, 0)?.get(OWNER).copied()
}

/// `struct statx` in 32-bit numbers.
fn status(directory: usize, path: &[u8], flags: usize) -> Option<[u32; 64]> {
    const UID: usize = 0x8;
    let mut status = [0u32; 64];
    let room = status.as_mut_ptr() as usize;
    call!(STATX, directory, path.as_ptr() as usize, flags, UID, room).ok().map(|_| status)
}

/// Makes a directory, mode 0700; `path` ends in NUL.
pub fn make_directory(path: &[u8]) -> Result<(), Errno> {
    call!(MKDIRAT, AT_FDCWD, path.as_ptr() as usize, 0o700).map(drop)
}

/// Removes a file; `path` ends in NUL.
pub fn remove(path: &[u8]) {
    let _ = call!(UNLINKAT, AT_FDCWD, path.as_ptr() as usize);
}

/// Renames a file; both paths end in NUL.
pub fn rename(from: &[u8], to: &[u8]) -> Result<(), Errno> {
    let [from, to] = [from.as_ptr() as usize, to.as_ptr() as usize];
    call!(RENAMEAT2, AT_FDCWD, from, AT_FDCWD, to).map(drop)
}

/// Reads from a file.
pub fn read(file: Descriptor, out: &mut [u8]) -> Result<usize, Errno> {
    call!(READ, file.0, out.as_mut_ptr() as usize, out.len())
}

/// Writes to a file. The caller has made sure that RLIMIT_FSIZE allows it and that a pipe has a
/// reader.
pub fn write(file: Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    call!(WRITE, file.0, bytes.as_ptr() as usize, bytes.len())
}

/// Tells whether a descriptor takes a write at once and has a reader at its other end.
pub fn is_writable(file: Descriptor) -> bool {
    const POLLOUT: u64 = 4;
    let mut poll = file.0 as u64 | (POLLOUT << 32);
    let now = Time::default();
    let ready = call!(PPOLL, &raw mut poll as usize, 1, &raw const now as usize, 0, 8);
    ready == Ok(1) && poll >> 48 == POLLOUT
}

/// Tells whether the page at `address` can be read. A mapped page beyond the end of its file
/// cannot: a plain read of it would be a SIGBUS.
pub fn is_readable(address: usize) -> bool {
    // The kernel copies the set in before it looks at `how`, which is invalid here, so nothing is
    // changed.
    const EFAULT: Errno = Errno(14);
    let invalid = usize::MAX;
    call!(RT_SIGPROCMASK, invalid, address, 0, 8) != Err(EFAULT)
}

/// Maps fresh anonymous memory.
pub fn map(len: usize) -> Result<*mut c_void, Errno> {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    call!(MMAP, 0, len, READ_WRITE, PRIVATE_ANONYMOUS, usize::MAX).map(|at| at as *mut c_void)
}

/// Makes memory from [`map`] longer, and moves it if needed.
///
/// # Safety
/// `at` and `len` are those of a live mapping of ours, to which no reference is left.
pub unsafe fn map_longer(at: *mut c_void, len: usize, longer: usize) -> Result<*mut c_void, Errno> {
    const MAY_MOVE: usize = 1;
    call!(MREMAP, at as usize, len, longer, MAY_MOVE).map(|at| at as *mut c_void)
}

/// Gives memory from [`map`] back.
///
/// # Safety
/// `at` and `len` are those of a live mapping of ours, to which no reference is left.
pub unsafe fn unmap(at: *mut c_void, len: usize) {
    let _ = call!(MUNMAP, at as usize, len);
}

/// The bytes before the first NUL, or all.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.get(..len).unwrap_or_default()
}

/// Room for `N` bytes that is not cleared.
pub fn uninitialised<const N: usize>() -> [MaybeUninit<u8>; N] {
    [const { MaybeUninit::uninit() }; N]
}
