//! Bytes as they are written everywhere.

/// Hexadecimal digits, two a byte, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
