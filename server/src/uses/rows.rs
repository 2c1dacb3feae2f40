//! What is kept of uses: a row for each program, user, host, job and day, and one for the whole
//! program.
//!
//! ```text
//! program                                                             -> its whole count
//! program, user, who proved it, day, host, cluster, job               -> a count
//! ```
//! Who proved it is 0 for this machine's kernel, 1 for nobody, and 2 with the name of a relay,
//! which tells what its kernel proved.
//!
//! So whatever narrows an answer narrows all of it. The day only keeps what runs outside jobs apart
//! in time: the times that count stand in the row. When they are old, rows of many jobs or days
//! become one ([`super::retention`]).

use super::{ProgramNumber, shares::Owner};
use crate::{
    database::number,
    fair_shares::ShareHolder,
    stored_text::{put_name, put_proof, take_name, take_proof},
};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// The form of a row's value.
const FORM: u8 = 1;

/// Processes, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Processes that had the program at their start.
    pub processes: u64,
    /// Processes that loaded the program's libraries while they ran.
    pub later: u64,
    /// The number of both that nobody proved.
    pub claimed: u64,
    /// Unix time in nanoseconds.
    pub first_ns: i64,
    pub last_ns: i64,
}

impl Count {
    /// One process.
    pub fn one(is_later: bool, is_claimed: bool, time_ns: i64) -> Self {
        let [processes, later, claimed] = [!is_later, is_later, is_claimed].map(u64::from);
        Count { processes, later, claimed, first_ns: time_ns, last_ns: time_ns }
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.processes + self.later
    }

    /// Both together.
    pub fn add(&mut self, other: &Count) {
        if other.all() == 0 {
            return;
        }
        if self.all() == 0 {
            *self = *other;
            return;
        }
        self.processes += other.processes;
        self.later += other.later;
        self.claimed += other.claimed;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Appends it, without what is claimed of it.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_varint(self.processes, out);
        encode_varint(self.later, out);
        out.put_i64(self.first_ns);
        encode_varint(self.last_ns.wrapping_sub(self.first_ns) as u64, out);
    }

    /// Takes it off the front; all of it is claimed, or nothing.
    pub fn read(from: &mut &[u8], is_claimed: bool) -> Option<Count> {
        let (processes, later) = (decode_varint(from).ok()?, decode_varint(from).ok()?);
        let first_ns = from.try_get_i64().ok()?;
        let last_ns = first_ns.wrapping_add(decode_varint(from).ok()? as i64);
        let claimed = if is_claimed { processes + later } else { 0 };
        Some(Count { processes, later, claimed, first_ns, last_ns })
    }
}

/// The key of a row. Empty texts are unknown; a job without an id is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey<'a> {
    pub program: ProgramNumber,
    pub user: &'a [u8],
    /// Nobody proved who the user is, and that there was a process.
    pub is_claimed: bool,
    /// The relay that told of it; empty where this machine's kernel did, or nobody proved it.
    pub relay: &'a [u8],
    pub day: u16,
    pub host: &'a [u8],
    pub cluster: &'a [u8],
    pub job: &'a [u8],
}

impl<'a> RowKey<'a> {
    /// Writes it over what was in `key`.
    pub fn write(&self, key: &mut Vec<u8>) {
        key.clear();
        key.put_u64(self.program);
        put_name(key, self.user);
        put_proof(key, self.is_claimed, self.relay);
        key.put_u16(self.day);
        put_name(key, self.host);
        put_name(key, self.cluster);
        key.put_slice(self.job);
    }

    /// The sender to whose share the row counts.
    pub fn holder(&self) -> ShareHolder {
        match self.is_claimed {
            true => ShareHolder::claimed(self.user, self.host),
            false => ShareHolder::proved_by(Some(self.relay).filter(|relay| !relay.is_empty()), self.user),
        }
    }

    /// Reads what was written; `None` where it is the key of a whole program.
    pub fn read(mut key: &'a [u8]) -> Option<RowKey<'a>> {
        let program = key.try_get_u64().ok()?;
        let user = take_name(&mut key)?;
        let (is_claimed, relay) = take_proof(&mut key)?;
        let day = key.try_get_u16().ok()?;
        let (host, cluster) = (take_name(&mut key)?, take_name(&mut key)?);
        Some(RowKey { program, user, is_claimed, relay, day, host, cluster, job: key })
    }
}

/// The bytes that the keys of a program's rows of one user begin with.
pub fn user_prefix(program: ProgramNumber, user: &[u8]) -> Vec<u8> {
    let mut prefix = program.to_be_bytes().to_vec();
    put_name(&mut prefix, user);
    prefix
}

/// The program of a key.
pub fn program(key: &[u8]) -> ProgramNumber {
    number(key)
}

/// The value of a row.
pub fn value(count: &Count) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    out.put_u8(FORM);
    count.write(&mut out);
    out
}

/// The count of a row's value.
pub fn read(mut value: &[u8], is_claimed: bool) -> Count {
    match value.try_get_u8() {
        Ok(FORM) => Count::read(&mut value, is_claimed).unwrap_or_default(),
        _ => Count::default(),
    }
}

/// The whole of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    pub count: Count,
    /// Rows of it were left out, because a bound was reached.
    pub is_cut: bool,
    /// The sender to whose share it counts.
    pub owner: Owner,
}

impl Whole {
    /// Its value.
    pub fn value(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.put_u8(FORM);
        out.put_u8(u8::from(self.is_cut));
        encode_varint(self.count.claimed, &mut out);
        self.count.write(&mut out);
        out.put_slice(self.owner.as_bytes());
        out
    }

    /// Reads the value.
    pub fn read(mut value: &[u8]) -> Whole {
        let mut read = || {
            if value.try_get_u8().ok()? != FORM {
                return None;
            }
            let is_cut = value.try_get_u8().ok()? & 1 == 1;
            let claimed = decode_varint(&mut value).ok()?;
            let count = Count { claimed, ..Count::read(&mut value, false)? };
            Some(Whole { count, is_cut, owner: Owner::read(value) })
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored_text::NAME_MAX;

    #[test]
    fn keys_and_values_are_read_as_they_were_written() {
        let long = [b'x'; 300];
        let row = RowKey {
            program: 7,
            user: b"alice",
            is_claimed: true,
            relay: b"",
            day: crate::dates::day_number(1_800_000_000_000_000_000),
            host: &long,
            cluster: b"",
            job: b"\0\xFF",
        };
        let mut key = vec![9];
        row.write(&mut key);
        assert_eq!(RowKey::read(&key), Some(RowKey { host: &long[..NAME_MAX], ..row }));
        let relayed = RowKey { is_claimed: false, relay: b"rack1", host: b"n", ..row };
        relayed.write(&mut key);
        assert_eq!(RowKey::read(&key), Some(relayed));
        assert_eq!(relayed.holder(), ShareHolder::proved_by(Some(b"rack1"), b"alice"));
        assert_eq!((RowKey::read(&7u64.to_be_bytes()), program(&key)), (None, 7));
        assert!(key.starts_with(&user_prefix(7, b"alice")) && !key.starts_with(&user_prefix(7, b"alic")));

        let count = Count { processes: 1 << 40, later: 3, claimed: 0, first_ns: i64::MIN, last_ns: i64::MAX };
        assert_eq!(read(&value(&count), false), count);
        assert_eq!(read(&value(&count), true).claimed, count.all());
        let few = Count {
            processes: 60,
            later: 0,
            first_ns: 1 << 60,
            last_ns: (1 << 60) + 60_000_000_000,
            claimed: 0,
        };
        assert!(value(&few).len() <= 20, "what the database keeps without a pointer");
        let owner = Owner::One(ShareHolder::proved(b"ann"));
        let whole = Whole { count: Count { claimed: 2, ..count }, is_cut: true, owner };
        assert_eq!(Whole::read(&whole.value()), whole);
        assert_eq!(read(b"", false), Count::default());
    }
}
