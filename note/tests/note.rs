//! The format, from both sides: what is written is read back, and nothing that is read can hurt.

use ogrt_note::*;
use proptest::prelude::*;

const ID: &str = "708e1ffd-4ced-45d3-81f3-52e059ea3128";

fn note(order: ByteOrder, metadata: &[u8]) -> Vec<u8> {
    let mut out = vec![0xAA; encoded_len(metadata.len())];
    let written = encode(order, ID.parse().unwrap(), metadata, &mut out).unwrap();
    assert_eq!(written, out.len());
    out
}

/// A note of any owner, padded to `alignment` (the gABI's layout).
fn foreign(order: ByteOrder, alignment: usize, owner: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let word = |v: usize| match order {
        ByteOrder::Little => (v as u32).to_le_bytes(),
        ByteOrder::Big => (v as u32).to_be_bytes(),
    };
    let mut out = Vec::new();
    out.extend(word(owner.len()));
    out.extend(word(descriptor.len()));
    out.extend(word(kind as usize));
    out.extend(owner);
    out.resize(out.len().next_multiple_of(alignment), 0);
    out.extend(descriptor);
    out.resize(out.len().next_multiple_of(alignment), 0);
    out
}

#[test]
fn layout_is_the_documented_one() {
    let bytes = note(ByteOrder::Little, b"abc");
    assert_eq!(bytes[0..4], 12u32.to_le_bytes());
    assert_eq!(bytes[4..8], 32u32.to_le_bytes());
    assert_eq!(bytes[8..12], 0x4F47_5254u32.to_le_bytes());
    assert_eq!(&bytes[12..24], b"OGRT\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[24..28], [2, 0, 0, 0]);
    assert_eq!(bytes[28..32], 3u32.to_le_bytes());
    assert_eq!(&bytes[32..48], ID.parse::<Signature>().unwrap().as_bytes());
    assert_eq!(&bytes[48..], b"abc\0\0\0\0\0");
    assert_eq!(note(ByteOrder::Big, b"abc")[0..4], 12u32.to_be_bytes());
}

#[test]
fn version_1_of_ogrt_0_5_is_read() {
    let mut descriptor = vec![1];
    descriptor.extend(ID.as_bytes());
    descriptor.push(0);
    let segment = foreign(ByteOrder::Little, 4, b"OGRT\0", TYPE, &descriptor);
    let found: Vec<_> = notes(&segment, ByteOrder::Little, 4).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].version, found[0].signature.to_string().as_str()), (1, ID));
}

#[test]
fn several_notes_and_foreign_ones_in_one_segment() {
    let mut segment = foreign(ByteOrder::Little, 4, b"GNU\0", 3, &[7; 20]);
    segment.extend(note(ByteOrder::Little, b"one"));
    segment.extend(foreign(ByteOrder::Little, 4, b"stapsdt\0", TYPE, &[0; 64]));
    segment.extend(note(ByteOrder::Little, b"two"));
    // gold declares 8 for notes that it laid out at 4: both walks must end at the same place.
    for declared in [0, 1, 4, 8] {
        let found: Vec<_> = notes(&segment, ByteOrder::Little, declared).map(|w| w.metadata).collect();
        assert_eq!(found, [b"one", b"two"], "declared alignment {declared}");
        assert_eq!(build_id(&segment, ByteOrder::Little, declared), Some(&[7u8; 20][..]));
    }
}

#[test]
fn eight_aligned_neighbours() {
    let mut segment = foreign(ByteOrder::Big, 8, b"GNU\0", 5, &[1; 12]);
    segment.extend(note(ByteOrder::Big, b"m"));
    assert_eq!(notes(&segment, ByteOrder::Big, 8).count(), 1);
    assert_eq!(notes(&segment, ByteOrder::Big, 4).count(), 1);
}

#[test]
fn signatures_are_read_strictly() {
    for bad in ["", "708e1ffd", "708e1ffd-4ced-45d3-81f3-52e059ea312", "708e1ffd+4ced-45d3-81f3-52e059ea3128"]
    {
        assert!(bad.parse::<Signature>().is_err(), "{bad:?}");
    }
    assert_eq!(ID.to_uppercase().parse::<Signature>().unwrap().to_string(), ID);
    assert_eq!(ID.replace('-', "").parse::<Signature>().unwrap().to_string(), ID);
}

#[test]
fn too_much_metadata_is_refused() {
    let mut out = vec![0; 64 * 1024];
    let id = ID.parse().unwrap();
    assert!(matches!(
        encode(ByteOrder::Little, id, &[0; METADATA_MAX + 1], &mut out),
        Err(EncodeError::MetadataTooLong { .. })
    ));
    assert!(matches!(
        encode(ByteOrder::Little, id, b"", &mut out[..10]),
        Err(EncodeError::BufferTooShort { needed: 48 })
    ));
}

proptest! {
    #[test]
    fn what_is_written_is_read(metadata in prop::collection::vec(any::<u8>(), 0..300), id in any::<[u8; 16]>(), big in any::<bool>()) {
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let mut out = vec![0; encoded_len(metadata.len())];
        encode(order, Signature::from_bytes(id), &metadata, &mut out).unwrap();
        for alignment in [4, 8] {
            let found: Vec<_> = notes(&out, order, alignment).collect();
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].metadata, &metadata[..]);
            prop_assert_eq!(found[0].signature.as_bytes(), &id);
        }
    }

    /// Cut anywhere and with any word overwritten, a segment is walked to an end without a panic,
    /// and what is found lies inside it.
    #[test]
    fn damage_is_survived(cut in 0usize..200, at in 0usize..150, word in any::<u32>(), alignment in any::<u64>()) {
        let mut segment = note(ByteOrder::Little, b"metadata of the first");
        segment.extend(note(ByteOrder::Little, b"metadata of the second"));
        segment.truncate(cut);
        if let Some(place) = segment.get_mut(at..at + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        for found in notes(&segment, ByteOrder::Little, alignment) {
            prop_assert!(found.metadata.len() <= segment.len());
        }
        build_id(&segment, ByteOrder::Little, alignment);
    }
}
