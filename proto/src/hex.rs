//! Bytes as text: digests and build-ids are written as hexadecimal digits everywhere.

/// Hexadecimal digits, two a byte, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    // A record has thousands of these bytes, and an answer must take a fraction of a millisecond.
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_digits_a_byte() {
        assert_eq!(super::hex(&[0x00, 0x0f, 0xf0, 0x7a, 0xff]), "000ff07aff");
        assert_eq!(super::hex(&[]), "");
    }
}
