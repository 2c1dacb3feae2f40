//! Rows as servers kept them before a row named user, host and job together. Nothing is added to
//! them; they are read, and deleted when they are old.
//!
//! ```text
//! 'u' program user  -> count        'h' program host -> count        'j' program job -> count user
//! ```
//! A count begins with its form: 1, and then numbers as short as they are. Before that there were
//! four of eight bytes, of which the first is a zero. Nobody knows what of it was proved.

use super::{ProgramNumber, rows::Count};
use crate::database::{UsesStore, Writes, number};
use bytes::Buf;

/// The form of a count.
const FORM: u8 = 1;

/// Bytes of a key before its name.
const PREFIX: usize = 9;

/// The subject of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    User,
    Host,
    Job,
}

impl About {
    const ALL: [(About, u8); 3] = [(About::User, b'u'), (About::Host, b'h'), (About::Job, b'j')];
}

/// Hands each row of a program to `each`: its subject, the name, the count, and a job's user.
pub fn each(
    store: &UsesStore,
    program: ProgramNumber,
    mut each: impl FnMut(About, &[u8], Count, &[u8]),
) -> fjall::Result<()> {
    for (about, letter) in About::ALL {
        for row in store.old_rows.prefix(prefix(letter, program)) {
            let (key, value) = row.into_inner()?;
            let (count, rest) = read(&value);
            each(about, key.get(PREFIX..).unwrap_or_default(), count, rest);
        }
    }
    Ok(())
}

/// Removes the rows of a program.
pub fn remove(store: &UsesStore, program: ProgramNumber, writes: &mut Writes) -> fjall::Result<()> {
    for (_, letter) in About::ALL {
        for row in store.old_rows.prefix(prefix(letter, program)) {
            writes.remove(&store.old_rows, row.key()?);
        }
    }
    Ok(())
}

/// Removes rows of jobs that were last seen before `oldest`, a slice of rows after `after`, which
/// moves on.
pub fn sweep(store: &UsesStore, oldest: i64, slice: usize, after: &mut Vec<u8>) -> fjall::Result<()> {
    let from = std::mem::take(after).max(b"j".to_vec());
    let (mut writes, mut looked) = (store.database.writes(), 0);
    for row in store.old_rows.range(from..b"k".to_vec()).take(slice) {
        let (key, value) = row.into_inner()?;
        looked += 1;
        if read(&value).0.last_ns < oldest {
            writes.remove(&store.old_rows, key.clone());
        }
        *after = key.to_vec();
    }
    if looked < slice {
        after.clear();
    }
    if writes.is_empty() { Ok(()) } else { writes.commit() }
}

fn prefix(letter: u8, program: ProgramNumber) -> [u8; PREFIX] {
    let mut key = [letter; PREFIX];
    key[1..].copy_from_slice(&program.to_be_bytes());
    key
}

/// The count of a row's value, and what is behind it.
fn read(mut value: &[u8]) -> (Count, &[u8]) {
    let mut count = Count::default();
    if value.first() == Some(&FORM) {
        value.advance(1);
        count = Count::read(&mut value, true).unwrap_or_default();
    } else if value.len() >= 32 {
        let [processes, later, first, last] = [0, 8, 16, 24].map(|at| number(&value[at..]));
        count = Count {
            processes,
            later,
            claimed: processes + later,
            first_ns: first as i64,
            last_ns: last as i64,
        };
        value.advance(32);
    }
    (count, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_both_forms() {
        let expected = Count { processes: 1, later: 2, claimed: 3, first_ns: 3, last_ns: 4 };
        let first = [1u64, 2, 3, 4].map(u64::to_be_bytes).concat();
        assert_eq!(read(&[&first[..], b"bob"].concat()), (expected, &b"bob"[..]));
        let mut second = vec![FORM];
        expected.write(&mut second);
        assert_eq!(read(&[&second[..], b"bob"].concat()), (expected, &b"bob"[..]));
        assert_eq!(read(b""), (Count::default(), &b""[..]));
    }
}
