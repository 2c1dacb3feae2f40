//! The name of an event: a UUIDv7 (RFC 9562), so that events of a time lie together in an index.

use crate::sys;

/// Makes an id for this moment. Where the kernel has no random bytes for us, the time and `pid` are
/// used instead.
pub fn event_id(time_ns: u64, pid: i32) -> [u8; 16] {
    let mut random = [0u8; 16];
    if sys::random(&mut random).is_err() {
        // Time and number tell processes of a machine apart, and the place of the stack is random.
        let place = &raw const random as u64;
        let unlike = u128::from(time_ns.rotate_left(24) ^ pid as u64) << 64 | u128::from(place ^ time_ns);
        random = unlike.to_ne_bytes();
    }
    let milliseconds = u128::from(time_ns / 1_000_000);
    // Everything but the version and the variant, which stand behind the time.
    let random = u128::from_ne_bytes(random) & 0x0FFF_3FFF_FFFF_FFFF_FFFF;
    (milliseconds << 80 | 0x7000_8000_0000_0000_0000 | random).to_be_bytes()
}
