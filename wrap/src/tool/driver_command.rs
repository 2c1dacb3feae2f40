//! How `ogrt-cc` tells `ogrt-ld` which driver it ran and with which argv: one environment variable,
//! which is short.
//!
//! Words are joined by the ASCII unit separator, which is escaped inside a word. Arguments and
//! environment share one bound, a quarter of the stack's limit, and a driver near it must not fail
//! because of us. So of a long command the variable holds only the process, which becomes the
//! driver: the words are read from its `/proc/PID/cmdline`, and a digest tells which they are.

use crate::environment;
use crate::small_file;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The variable with the driver and its argv.
pub const VARIABLE: &str = "OGRT_DRIVER_COMMAND";

/// The variable with the linker that the driver was given by its path, and for which `ogrt-cc` put
/// us in.
pub const LINKER_VARIABLE: &str = "OGRT_DRIVER_LINKER";

/// The `argv[0]` by which `ogrt-ld` is asked to run a driver that cannot be led to it. The driver
/// and its arguments follow.
pub const LINK_BY_DRIVER: &str = "ogrt-ld-link-by-driver";

const SEPARATOR: u8 = 0x1f;

/// The escape: before `s` it stands for the separator, before `e` for itself.
const ESCAPE: u8 = 0x1e;

/// The first byte of a value that names a process.
const BY_PROCESS: u8 = 0x1d;

/// The longest value that holds the words themselves.
const BYTES_MAX: usize = 2048;

/// The expected bytes of a command in `/proc`. It may have more.
const COMMAND_BYTES: usize = 256 * 1024;

/// The value for a driver at `path` and its argv, which this process is about to become.
pub fn encode<'a>(path: &Path, argv: impl Iterator<Item = &'a OsStr>) -> OsString {
    let argv: Vec<&OsStr> = argv.collect();
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    for word in &argv {
        bytes.push(SEPARATOR);
        if bytes.len() + word.len() > BYTES_MAX {
            return by_process(path, argv.get(1..).unwrap_or_default());
        }
        for &byte in word.as_bytes() {
            match byte {
                SEPARATOR => bytes.extend([ESCAPE, b's']),
                ESCAPE => bytes.extend([ESCAPE, b'e']),
                byte => bytes.push(byte),
            }
        }
    }
    OsString::from_vec(bytes)
}

fn by_process(path: &Path, arguments: &[&OsStr]) -> OsString {
    let (pid, count, digest) = (std::process::id(), arguments.len(), digest_of(arguments));
    let mut bytes = vec![BY_PROCESS];
    bytes.extend(format!("{pid} {count} {digest:x} ").into_bytes());
    bytes.extend(path.as_os_str().as_bytes());
    OsString::from_vec(bytes)
}

/// A digest that is not SHA-256: every compilation would wait for that crate's first question to
/// the processor.
fn digest_of<T: AsRef<OsStr>>(words: &[T]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.iter().for_each(|word| word.as_ref().hash(&mut hasher));
    hasher.finish()
}

/// The driver's path and its argv, from our environment. The argv is empty if its process has
/// another by now.
pub fn from_environment() -> Option<(PathBuf, Vec<OsString>)> {
    let value = environment::var(VARIABLE)?;
    if let [BY_PROCESS, rest @ ..] = value.as_bytes() {
        return of_process(rest);
    }
    let mut words = value.as_bytes().split(|&byte| byte == SEPARATOR).map(plain);
    let path = PathBuf::from(words.next()?);
    Some((path, words.collect()))
}

fn of_process(value: &[u8]) -> Option<(PathBuf, Vec<OsString>)> {
    let mut fields = value.splitn(4, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (pid, count, digest) = (text()?, text()?.parse::<usize>().ok()?, text()?);
    let digest = u64::from_str_radix(digest, 16).ok()?;
    let path = PathBuf::from(OsStr::from_bytes(fields.next()?));
    let command = small_file::open(&Path::new("/proc").join(pid).join("cmdline"))
        .and_then(|file| small_file::rest(&file, COMMAND_BYTES))
        .ok()
        .unwrap_or_default();
    let words: Vec<&OsStr> = command.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
    let found = words.windows(count.max(1)).find(|words| digest_of(words) == digest);
    let argv = found.map(|arguments| {
        let driver = path.as_os_str();
        std::iter::once(driver).chain(arguments.iter().copied()).map(OsStr::to_owned).collect()
    });
    Some((path, argv.unwrap_or_default()))
}

fn plain(word: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            ESCAPE if rest.next() == Some(&b's') => SEPARATOR,
            byte => byte,
        });
    }
    OsString::from_vec(bytes)
}
