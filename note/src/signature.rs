//! The signature: the UUID that names one build.

use core::{fmt, str::FromStr};

/// The name of one build: 16 bytes of a UUID in RFC 9562 order. Its text has 36 lower-case
/// characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 16]);

/// Why a text is not a signature: it is not a UUID of 36 characters (8-4-4-4-12 hexadecimal digits)
/// or of 32 digits without hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseSignatureError;

impl Signature {
    /// Length of the text form, in bytes.
    pub const TEXT_LEN: usize = 36;

    /// The signature with these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Signature(bytes)
    }

    /// The signature in a slice of exactly 16 bytes, or `None`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Signature)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the text form, with or without hyphens, in upper or lower case.
    pub fn parse(text: &[u8]) -> Result<Self, ParseSignatureError> {
        let hyphens = match text.len() {
            36 => true,
            32 => false,
            _ => return Err(ParseSignatureError),
        };
        let mut bytes = [0u8; 16];
        let mut digits = 0usize;
        for (at, &c) in text.iter().enumerate() {
            if hyphens && matches!(at, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(ParseSignatureError);
                }
                continue;
            }
            let digit = (c as char).to_digit(16).ok_or(ParseSignatureError)? as u8;
            let byte = bytes.get_mut(digits / 2).ok_or(ParseSignatureError)?;
            *byte = (*byte << 4) | digit;
            digits += 1;
        }
        Ok(Signature(bytes))
    }

    /// The text form, as ASCII.
    pub fn text(&self) -> [u8; Self::TEXT_LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; Self::TEXT_LEN];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        text
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(core::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = ParseSignatureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Signature::parse(text.as_bytes())
    }
}

impl fmt::Display for ParseSignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a signature: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")
    }
}

impl core::error::Error for ParseSignatureError {}
