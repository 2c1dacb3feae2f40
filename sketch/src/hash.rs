//! The hash of a name or a text. It never changes: sketches of years are compared.

/// A hash.
pub type Hash = u32;

/// The hash of no bytes, before it is mixed: FNV-1a with 64 bits.
pub const BEGIN: u64 = 0xCBF2_9CE4_8422_2325;

const PRIME: u64 = 0x0100_0000_01B3;

/// The hash of a name.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> Hash {
    mix(bytes.into_iter().fold(BEGIN, step))
}

/// The hash of some words, each hashed and not mixed.
pub fn of_words(words: impl IntoIterator<Item = u64>) -> Hash {
    mix(words.into_iter().fold(0, |all, word| u64::wrapping_add(all.wrapping_mul(PRIME), word)))
}

/// One more byte.
pub fn step(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(PRIME)
}

/// Has each bit depend on all, as MurmurHash3 does in the end. The upper half counts.
fn mix(mut state: u64) -> Hash {
    for factor in [0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53] {
        state = (state ^ (state >> 33)).wrapping_mul(factor);
    }
    ((state ^ (state >> 33)) >> 32) as Hash
}

/// The hash of one word.
#[cfg(test)]
pub fn of_word(word: &str) -> u64 {
    word.bytes().fold(BEGIN, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/sketch.md has these values.
    #[test]
    fn the_hash_never_changes() {
        let of = |text: &str| hash(text.bytes());
        assert_eq!([of(""), of("a"), of("H5Fopen")], [0xEFD0_1F60, 0x82A2_A958, 0xC8AB_5E79]);
        let of = |text: &str| of_words(text.split(' ').map(of_word));
        assert_eq!([of("unable to open"), of("solver")], [0xF2A9_B416, 0xA30F_2CD5]);
    }
}
