//! The programs that rows name: how many rows each has, and its name once it is nowhere else.
//!
//! ```text
//! program -> rows that name it, and its bytes when the uses have it no more
//! ```
//! So a report over years names what ran, whatever was removed since.

use super::{SumKey, UNKNOWN_PROGRAM};
use crate::database::{SumsStore, Writes, number};
use std::collections::BTreeMap;

/// Programs, and how many rows more name each.
#[derive(Default)]
pub struct Mentions(BTreeMap<u64, i64>);

impl Mentions {
    /// Counts a row of this key so many times.
    pub fn add_row(&mut self, row: &SumKey<'_>, more: i64) {
        self.add(row.program, more);
        row.later_program().into_iter().for_each(|later| self.add(later, more));
    }

    fn add(&mut self, program: u64, more: i64) {
        if program != UNKNOWN_PROGRAM {
            *self.0.entry(program).or_default() += more;
        }
    }

    /// Puts what has changed among the writes. Whom no row names is forgotten.
    pub fn put(self, store: &SumsStore, writes: &mut Writes) -> fjall::Result<()> {
        for (program, more) in self.0.into_iter().filter(|(_, more)| *more != 0) {
            let key = program.to_be_bytes();
            let known = store.programs.get(key)?;
            let mut value = known.map(|value| value.to_vec()).unwrap_or_else(|| vec![0; 8]);
            let rows = number(&value).saturating_add_signed(more);
            if rows == 0 {
                writes.remove(&store.programs, key);
                continue;
            }
            value[..8].copy_from_slice(&rows.to_be_bytes());
            writes.insert(&store.programs, key, value);
        }
        Ok(())
    }
}

/// Keeps the name of a program that goes from the uses, where a row names it.
pub fn keep_name(store: &SumsStore, program: u64, bytes: &[u8], writes: &mut Writes) -> fjall::Result<()> {
    let key = program.to_be_bytes();
    if let Some(rows) = store.programs.get(key)?.filter(|value| value.len() == 8) {
        writes.insert(&store.programs, key, [&rows[..], bytes].concat());
    }
    Ok(())
}

/// The bytes of a program that is gone from the uses.
pub fn kept_name(store: &SumsStore, program: u64) -> fjall::Result<Option<Vec<u8>>> {
    let value = store.programs.get(program.to_be_bytes())?;
    Ok(value.and_then(|value| Some(value.get(8..)?.to_vec())).filter(|bytes| !bytes.is_empty()))
}
