//! How `ogrt-cc` tells `ogrt-ld` which driver it ran and with which argv: one environment variable.
//!
//! Words are joined by the ASCII unit separator, which is escaped inside a word. The kernel bounds
//! one variable to 128 KiB, so a long line is cut, and its last word says so: the record is then
//! shorter, and the build is not in danger.

use crate::environment;
use std::ffi::{OsStr, OsString};
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

const BYTES_MAX: usize = 96 * 1024;

/// The value for a driver at `path` and its argv.
pub fn encode<'a>(path: &Path, argv: impl Iterator<Item = &'a OsStr>) -> OsString {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    for word in argv {
        bytes.push(SEPARATOR);
        if bytes.len() + word.len() > BYTES_MAX {
            bytes.extend(b"...");
            break;
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

/// The driver's path and its argv, from our environment.
pub fn from_environment() -> Option<(PathBuf, Vec<OsString>)> {
    let value = environment::var(VARIABLE)?;
    let mut words = value.as_bytes().split(|&byte| byte == SEPARATOR).map(plain);
    let path = PathBuf::from(words.next()?);
    Some((path, words.collect()))
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
