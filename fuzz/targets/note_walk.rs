//! The walk over a PT_NOTE segment, as every tracked process does it.
//!
//! Input: one byte that chooses byte order and declared alignment, then the segment. What must
//! hold: no panic, no overflow, and an end. What is found lies inside the segment. A note that was
//! found can be written again, and is then found as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ogrt_note::{ByteOrder, METADATA_MAX, NOTES_MAX, build_id, encode, encoded_len, notes};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, segment)) = input.split_first() else { return };
    let order = if choice & 1 == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let alignment = [4, 8, 0, u64::MAX][usize::from(choice >> 1 & 3)];
    let inside = |part: &[u8]| {
        part.is_empty()
            || segment.as_ptr_range().start <= part.as_ptr()
                && part.as_ptr_range().end <= segment.as_ptr_range().end
    };
    for (index, found) in notes(segment, order, alignment).enumerate() {
        assert!(index < NOTES_MAX && found.metadata.len() <= METADATA_MAX && inside(found.metadata));
        if found.version == 2 {
            let mut again = vec![0; encoded_len(found.metadata.len())];
            encode(order, found.signature, found.metadata, &mut again).expect("it fits");
            let read = notes(&again, order, alignment).next().expect("it is found");
            assert_eq!((read.signature, read.metadata), (found.signature, found.metadata));
        }
    }
    if let Some(id) = build_id(segment, order, alignment) {
        assert!((1..=64).contains(&id.len()) && inside(id));
    }
});
