//! Processes that were only counted, because their job was over its limit (`[limit]`): how many of
//! each day. Who they were of, and what they used, nobody knows any more.

use crate::{
    database::{SumsStore, Writes, number},
    dates::day_number,
    fields::{Fields, Value},
    queue::{Entry, Kind},
};
use ogrt_proto::field_numbers::job_summary;
use std::{collections::BTreeMap, ops::Range};

/// What summaries tell, by the days on which they began.
#[derive(Default)]
pub struct LimitedCounts(BTreeMap<u16, u64>);

impl LimitedCounts {
    /// Counts what an entry tells, if it is a summary.
    pub fn add(&mut self, entry: &Entry<&[u8]>) {
        if entry.kind != Kind::Summary {
            return;
        }
        let (mut starts, mut from_ns) = (0, None);
        for field in Fields::of(entry.message).map_while(Result::ok) {
            match field {
                (job_summary::STARTS, Value::Varint(count)) => starts = count,
                (job_summary::FROM_NS, Value::Varint(ns)) => from_ns = Some(ns as i64),
                _ => {}
            }
        }
        if starts > 0 {
            let of_day = self.0.entry(day_number(entry.believed_ns(from_ns))).or_default();
            *of_day = of_day.saturating_add(starts);
        }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds them to what is on disk, in these writes, but for days before this one.
    pub fn put(&self, store: &SumsStore, first_day: u16, writes: &mut Writes) -> fjall::Result<()> {
        for (day, processes) in self.0.range(first_day..) {
            let key = day.to_be_bytes();
            let before = store.limited.get(key)?.map_or(0, |value| number(&value));
            writes.insert(&store.limited, key, before.saturating_add(*processes).to_be_bytes());
        }
        Ok(())
    }
}

/// The processes of these days that were only counted.
pub fn limited_processes(store: &SumsStore, days: Range<u16>) -> fjall::Result<u64> {
    let mut processes = 0u64;
    for entry in store.limited.range(days.start.to_be_bytes()..days.end.to_be_bytes()) {
        processes = processes.saturating_add(number(&entry.value()?));
    }
    Ok(processes)
}
