//! The fields of a protobuf message as they stand in its bytes: nothing is copied, nothing
//! allocated.
//!
//! An event passes through here three times (its outermost level when it is received, all of it
//! when it is joined, and once more when somebody asks for its job), so this walk is where decoding
//! costs nothing but the reading. The generated types of `ogrt-proto` are for messages that are
//! kept or made whole: build records.

/// One field: its number and its value.
pub type Field<'a> = (u32, Value<'a>);

/// A value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Integers, booleans, enumerations.
    Varint(u64),
    /// Strings, bytes, messages.
    Bytes(&'a [u8]),
    /// Fixed-width numbers; no event has one.
    Fixed,
}

/// The error of bytes that are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Walks the fields of one level.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of this message.
    pub fn of(message: &'a [u8]) -> Self {
        Fields(message)
    }

    /// The fields that are still to come, as their bytes stand in the message.
    fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((number, value))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// The message without the fields of this number; `None` where it has none.
pub fn without(message: &[u8], number: u32) -> Result<Option<Vec<u8>>, Malformed> {
    let mut fields = Fields::of(message);
    let (mut kept, mut from): (Vec<u8>, &[u8]) = (Vec::new(), message);
    let mut is_found = false;
    loop {
        let before = fields.rest();
        let Some(field) = fields.next() else { break };
        if field?.0 == number {
            is_found = true;
            kept.extend_from_slice(&from[..from.len() - before.len()]);
            from = fields.rest();
        }
    }
    kept.extend_from_slice(from);
    Ok(is_found.then_some(kept))
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match self.field() {
            Some(field) => Some(Ok(field)),
            None => {
                // What follows means nothing.
                self.0 = &[];
                Some(Err(Malformed))
            }
        }
    }
}
