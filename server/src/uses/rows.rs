//! What is kept of uses: one row for each program and user, program and host, program and job.
//!
//! ```text
//! 'u' program user  -> count        'h' program host -> count        'j' program job -> count user
//! ```
//! A count begins with its form: 1, and then numbers as short as they are. Before that there were
//! four of eight bytes, of which the first is a zero.

use crate::{database::number, uses::ProgramNumber};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// The form of a count.
const FORM: u8 = 1;

/// The subject of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    User,
    Host,
    Job,
}

impl About {
    fn letter(self) -> u8 {
        match self {
            About::User => b'u',
            About::Host => b'h',
            About::Job => b'j',
        }
    }
}

/// Bytes of a key before its name.
const PREFIX: usize = 9;

/// Processes, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Processes that had the program at their start.
    pub processes: u64,
    /// Processes that loaded the program's libraries while they ran.
    pub later: u64,
    /// Unix time in nanoseconds.
    pub first_ns: i64,
    pub last_ns: i64,
}

impl Count {
    /// One process.
    pub fn one(is_later: bool, time_ns: i64) -> Self {
        let (processes, later) = (u64::from(!is_later), u64::from(is_later));
        Count { processes, later, first_ns: time_ns, last_ns: time_ns }
    }

    /// Both together.
    pub fn add(&mut self, other: &Count) {
        if other.processes + other.later == 0 {
            return;
        }
        if self.processes + self.later == 0 {
            *self = *other;
            return;
        }
        self.processes += other.processes;
        self.later += other.later;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Tells whether it may have been seen in `[since, until)`, by its first and last time.
    pub fn is_within(&self, since: Option<i64>, until: Option<i64>) -> bool {
        since.is_none_or(|since| self.last_ns >= since) && until.is_none_or(|until| self.first_ns < until)
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_varint(self.processes, out);
        encode_varint(self.later, out);
        out.put_i64(self.first_ns);
        encode_varint(self.last_ns.wrapping_sub(self.first_ns) as u64, out);
    }

    /// Takes it off the front.
    pub fn read(from: &mut &[u8]) -> Option<Count> {
        let (processes, later) = (decode_varint(from).ok()?, decode_varint(from).ok()?);
        let first_ns = from.try_get_i64().ok()?;
        let last_ns = first_ns.wrapping_add(decode_varint(from).ok()? as i64);
        Some(Count { processes, later, first_ns, last_ns })
    }
}

/// The value of a row; a job's has its user behind the count.
pub fn value(count: &Count, user: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(20 + user.len());
    out.put_u8(FORM);
    count.write(&mut out);
    out.put_slice(user);
    out
}

/// The count of a row's value, and what is behind it.
pub fn read(mut value: &[u8]) -> (Count, &[u8]) {
    let mut count = Count::default();
    if value.first() == Some(&FORM) {
        value.advance(1);
        count = Count::read(&mut value).unwrap_or_default();
    } else if value.len() >= 32 {
        count.processes = value.get_u64();
        count.later = value.get_u64();
        count.first_ns = value.get_i64();
        count.last_ns = value.get_i64();
    }
    (count, value)
}

/// Writes the key of a row over what was in `key`.
pub fn write_key(key: &mut Vec<u8>, about: About, program: ProgramNumber, name: &[u8]) {
    key.clear();
    key.extend_from_slice(&prefix(about, program));
    key.extend_from_slice(name);
}

/// The bytes that all rows of a program begin with.
pub fn prefix(about: About, program: ProgramNumber) -> [u8; PREFIX] {
    let mut key = [about.letter(); PREFIX];
    key[1..].copy_from_slice(&program.to_be_bytes());
    key
}

/// All rows about one kind of thing.
pub fn prefix_of_all(about: About) -> [u8; 1] {
    [about.letter()]
}

/// The program and the name of a key.
pub fn parts(key: &[u8]) -> (ProgramNumber, &[u8]) {
    (number(key.get(1..PREFIX).unwrap_or_default()), key.get(PREFIX..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_now_and_in_the_first_form() {
        let count = Count { processes: u64::MAX, later: 3, first_ns: i64::MIN, last_ns: i64::MAX };
        assert_eq!(read(&value(&count, b"alice")), (count, &b"alice"[..]));
        let few = Count { processes: 60, later: 0, first_ns: 1 << 60, last_ns: (1 << 60) + 60_000_000_000 };
        assert!(value(&few, b"").len() <= 20, "what the database keeps without a pointer");
        let first = [1u64, 2, 3, 4].map(u64::to_be_bytes).concat();
        let first = [&first[..], b"bob"].concat();
        assert_eq!(read(&first), (Count { processes: 1, later: 2, first_ns: 3, last_ns: 4 }, &b"bob"[..]));
    }
}
