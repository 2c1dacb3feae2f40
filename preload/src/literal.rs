//! Literal addresses, `192.0.2.1:7971` and `[2001:db8::1]:7971` (RFC 4291, 2.2; no zone, no
//! embedded IPv4).
//!
//! `core::net` reads them too, but its parser can panic as far as the compiler sees, and would
//! bring the whole of formatting into every process.

/// An address and a port.
pub struct Address {
    /// The four bytes of IPv4, or the 16 of IPv6.
    pub bytes: [u8; 16],
    /// It is IPv6.
    pub is_v6: bool,
    /// The port.
    pub port: u16,
}

/// Reads `address:port`. The name `localhost` is 127.0.0.1; other names are unknown.
pub fn read(text: &[u8]) -> Option<Address> {
    let colon = text.iter().rposition(|&byte| byte == b':')?;
    let port = number(text.get(colon + 1..)?, 10, 65_535)? as u16;
    let text = match text.get(..colon)? {
        b"localhost" => b"127.0.0.1",
        text => text,
    };
    let (inside, is_v6) = match text {
        [b'[', inside @ .., b']'] => (inside, true),
        _ => (text, false),
    };
    let mut bytes = [0; 16];
    let groups = groups(inside, is_v6)?;
    for (at, group) in groups.into_iter().enumerate() {
        if is_v6 {
            let [high, low] = group.to_be_bytes();
            *bytes.get_mut(2 * at)? = high;
            *bytes.get_mut(2 * at + 1)? = low;
        } else {
            bytes[at] = group as u8;
        }
    }
    Some(Address { bytes, is_v6, port })
}

/// The groups of an address: eight hexadecimal ones behind colons, of which `::` stands for as many
/// zeros as are missing; or four decimal ones behind dots.
fn groups(text: &[u8], is_v6: bool) -> Option<[u16; 8]> {
    let (separator, radix, max, wanted) = if is_v6 { (b':', 16, 0xFFFF, 8) } else { (b'.', 10, 255, 4) };
    let mut groups = [0u16; 8];
    // The number of groups in front of `::`.
    let mut front = None;
    let mut count = 0;
    let mut rest = text;
    while !rest.is_empty() {
        if is_v6 && front.is_none() && rest.starts_with(b"::") {
            front = Some(count);
            rest = rest.get(2..)?;
            continue;
        }
        if count > 0 && front != Some(count) {
            rest = rest.strip_prefix(&[separator])?;
        }
        let len = rest.iter().position(|&byte| byte == separator).unwrap_or(rest.len());
        *groups.get_mut(count)? = number(rest.get(..len)?, radix, max)? as u16;
        count += 1;
        rest = rest.get(len..)?;
    }
    let missing = match front {
        Some(_) if count < wanted => wanted - count,
        None if count == wanted => 0,
        _ => return None,
    };
    // What is behind `::` moves to the end.
    for at in (front.unwrap_or(count)..count).rev() {
        *groups.get_mut(at + missing)? = core::mem::take(groups.get_mut(at)?);
    }
    Some(groups)
}

/// Reads a number of decimal or hexadecimal digits, at most `max`.
pub fn number(digits: &[u8], radix: u32, max: u32) -> Option<u32> {
    let mut value = 0u32;
    for &digit in digits {
        value = value.checked_mul(radix)?.checked_add((digit as char).to_digit(radix)?)?;
    }
    (!digits.is_empty() && value <= max).then_some(value)
}
