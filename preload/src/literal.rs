//! Literal addresses, `192.0.2.1:7971` and `[2001:db8::1]:7971` (RFC 4291, 2.2; no zone, no
//! embedded IPv4).
//!
//! `core::net` reads them too, but its parser can panic as far as the compiler sees, and would
//! bring the whole of formatting into every process.

/// An address and a port.
pub enum Address {
    /// IPv4.
    V4([u8; 4], u16),
    /// IPv6 as eight groups.
    V6([u16; 8], u16),
}

/// Reads `address:port`. The name `localhost` is 127.0.0.1; other names are unknown.
pub fn read(text: &[u8]) -> Option<Address> {
    let colon = text.iter().rposition(|&byte| byte == b':')?;
    let port = number(text.get(colon + 1..)?, 10, 65_535)? as u16;
    match text.get(..colon)? {
        b"localhost" => Some(Address::V4([127, 0, 0, 1], port)),
        [b'[', inside @ .., b']'] => Some(Address::V6(groups(inside)?, port)),
        octets => {
            let mut address = [0u8; 4];
            let mut texts = octets.split(|&byte| byte == b'.');
            for octet in &mut address {
                *octet = number(texts.next()?, 10, 255)? as u8;
            }
            texts.next().is_none().then_some(Address::V4(address, port))
        }
    }
}

fn groups(text: &[u8]) -> Option<[u16; 8]> {
    let gap = text.windows(2).position(|pair| pair == b"::");
    let (before, after) = match gap {
        Some(at) => (text.get(..at)?, text.get(at + 2..)?),
        None => (text, &[][..]),
    };
    let mut groups = [0u16; 8];
    let front = fill(before, groups.iter_mut())?;
    let back = fill_reversed(after, groups.iter_mut().rev())?;
    let complete = if gap.is_some() { front + back < 8 } else { front == 8 };
    complete.then_some(groups)
}

fn fill<'g>(text: &[u8], mut groups: impl Iterator<Item = &'g mut u16>) -> Option<usize> {
    let mut count = 0;
    for group in text.split(|&byte| byte == b':').filter(|_| !text.is_empty()) {
        *groups.next()? = number(group, 16, 0xFFFF)? as u16;
        count += 1;
    }
    Some(count)
}

fn fill_reversed<'g>(text: &[u8], mut groups: impl Iterator<Item = &'g mut u16>) -> Option<usize> {
    let mut count = 0;
    for group in text.rsplit(|&byte| byte == b':').filter(|_| !text.is_empty()) {
        *groups.next()? = number(group, 16, 0xFFFF)? as u16;
        count += 1;
    }
    Some(count)
}

/// Reads a number of decimal or hexadecimal digits, at most `max`.
pub fn number(digits: &[u8], radix: u32, max: u32) -> Option<u32> {
    let mut value = 0u32;
    for &digit in digits {
        value = value.checked_mul(radix)?.checked_add((digit as char).to_digit(radix)?)?;
    }
    (!digits.is_empty() && value <= max).then_some(value)
}
