//! The signals that our caller had made us ignore: the real tool has to ignore them too.
//!
//! Rust's runtime ignores SIGPIPE before `main`, and gives every child the default, so that afterwards nobody can
//! tell what the caller wanted. This is therefore read before the runtime starts, by a constructor, from
//! `/proc/self/status` (proc(5), "SigIgn"), which needs no `unsafe`. Where there is no `/proc` nothing counts as ignored.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bit N - 1 stands for signal N.
static IGNORED: AtomicU64 = AtomicU64::new(0);

#[ctor::ctor]
fn remember() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    IGNORED.store(ignored_in(&status).unwrap_or_default(), Ordering::Relaxed);
}

/// The caller had this signal ignored when it started us.
pub fn ignored(signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|shift| 1u64.checked_shl(shift)).unwrap_or_default();
    IGNORED.load(Ordering::Relaxed) & bit != 0
}

fn ignored_in(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::ignored_in;

    #[test]
    fn the_mask_is_read() {
        let status = "Name:\tcat\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(ignored_in(status), Some(0x1001));
        assert_eq!(ignored_in("Name:\tcat\n"), None);
    }
}
