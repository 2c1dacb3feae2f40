//! The signals that our caller had made us ignore: the real tool has to ignore them too.
//!
//! Rust's runtime ignores SIGPIPE before `main`, and gives every child the default, so that
//! afterwards nobody can tell what the caller wanted. This is therefore read before the runtime
//! starts, by a constructor, from `/proc/self/stat` (proc(5), "sigignore"), which needs no
//! `unsafe`. Where there is no `/proc` nothing counts as ignored.

use crate::small_file;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

/// The ignored signals: bit N - 1 stands for signal N.
static IGNORED: OnceLock<u64> = OnceLock::new();

/// A number of bytes that the file cannot exceed.
const STAT_BYTES_MAX: usize = 4096;

/// The index of "sigignore" among the fields after the program's name, which is in parentheses and
/// may be anything.
const SIGIGNORE: usize = 30;

#[ctor::ctor]
fn remember() {
    let mut stat = [0; STAT_BYTES_MAX];
    // The kernel gives the whole file in one read.
    let read = small_file::open(Path::new("/proc/self/stat")).and_then(|mut file| file.read(&mut stat));
    if let Some(ignored) = ignored_in(&stat[..read.unwrap_or_default()]) {
        IGNORED.get_or_init(|| ignored);
    }
}

/// The signals could be read from `/proc`.
pub fn are_known() -> bool {
    IGNORED.get().is_some()
}

/// Our caller ignored this signal when it started us.
pub fn ignored(signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|shift| 1u64.checked_shl(shift)).unwrap_or_default();
    IGNORED.get().is_some_and(|ignored| ignored & bit != 0)
}

fn ignored_in(stat: &[u8]) -> Option<u64> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(SIGIGNORE)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::ignored_in;

    #[test]
    fn the_mask_is_read() {
        // From a process that ignores signals 1 and 13, and whose name holds a parenthesis.
        let stat = b"4711 (a) b (\xff) S 1 4711 4711 0 -1 4194304 120 0 0 0 1 2 0 0 20 0 1 0 99 8192 220 \
            18446744073709551615 1 1 0 0 0 0 0 4097 66 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(ignored_in(stat), Some(0x1001));
        assert_eq!(ignored_in(b"4711 (cat) S 1\n"), None);
        assert_eq!(ignored_in(b""), None);
    }
}
