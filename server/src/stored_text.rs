//! Names and texts in keys and values of the database, each with its length in front.

use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// Longest name: its length is one byte. A longer one is cut.
pub const NAME_MAX: usize = 255;

/// Stands in front of a relay's name.
const BY_RELAY: u8 = 2;

/// Appends a name.
pub fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    let name = &name[..name.len().min(NAME_MAX)];
    out.put_u8(name.len() as u8);
    out.put_slice(name);
}

/// Takes a name off the front.
pub fn take_name<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(from.try_get_u8().ok()?);
    let (name, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(name)
}

/// Appends who proved something: a zero where this machine's kernel did, one where nobody did, two
/// with the name of a relay.
pub fn put_proof(out: &mut Vec<u8>, is_claimed: bool, relay: &[u8]) {
    match (is_claimed, relay) {
        (false, [_, ..]) => {
            out.put_u8(BY_RELAY);
            put_name(out, relay);
        }
        (is_claimed, _) => out.put_u8(u8::from(is_claimed)),
    }
}

/// Takes off the front who proved something: is it claimed, and the name of the relay.
pub fn take_proof<'a>(from: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    let proof = from.try_get_u8().ok()?;
    let relay = if proof == BY_RELAY { take_name(from)? } else { &[] };
    Some((proof == 1, relay))
}

/// Appends a text of any length.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    encode_varint(text.len() as u64, out);
    out.put_slice(text);
}

/// Takes such a text off the front.
pub fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(decode_varint(from).ok()?).ok()?;
    let (text, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(text)
}
