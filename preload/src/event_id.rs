//! The name of an event: a UUIDv7 (RFC 9562), so that events of a time lie together in an index.

use crate::sys;

/// Makes an id for this moment. Where the kernel has no random bytes for us, the time and `pid` are
/// used instead.
pub fn event_id(time_ns: u64, pid: i32) -> [u8; 16] {
    let mut id = [0u8; 16];
    if sys::random(&mut id).is_err() {
        let address = &raw const id as u64;
        let high = mix(time_ns ^ (pid as u64) << 32);
        let low = mix(high ^ address);
        id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    }
    let milliseconds = (time_ns / 1_000_000).to_be_bytes();
    let [_, _, a, b, c, d, e, f] = milliseconds;
    let [_, _, _, _, _, _, version, r7, variant, rest @ ..] = id;
    let [r9, r10, r11, r12, r13, r14, r15] = rest;
    [a, b, c, d, e, f, 0x70 | version & 0x0F, r7, 0x80 | variant & 0x3F, r9, r10, r11, r12, r13, r14, r15]
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
