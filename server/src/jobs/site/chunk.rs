//! A value of a job as a row, and its place among the others of the job.
//!
//! The order of a job's values is that of their times of receipt. It is the same at all servers.

use crate::dates::DAY_NS;
use bytes::{Buf, BufMut};

/// Bytes that a row takes beside its values.
pub const ROW_BYTES: usize = 80;

/// The place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkPlace {
    pub received_ns: i64,
    pub partition: i64,
    pub first: i64,
    pub number: i32,
    /// The day when it was written, which says in which table it is.
    pub day: i32,
}

impl ChunkPlace {
    /// A place before all others.
    pub const FIRST: ChunkPlace =
        ChunkPlace { received_ns: i64::MIN, partition: i64::MIN, first: i64::MIN, number: i32::MIN, day: 0 };

    /// Bytes that sort like the places.
    pub fn tail(&self) -> Vec<u8> {
        let mut tail = Vec::with_capacity(32);
        tail.put_i64(self.received_ns ^ i64::MIN);
        tail.put_i64(self.partition ^ i64::MIN);
        tail.put_i64(self.first ^ i64::MIN);
        tail.put_i32(self.number ^ i32::MIN);
        tail.put_i32(self.day);
        tail
    }

    /// The place with these bytes.
    pub fn read(mut tail: &[u8]) -> Option<Self> {
        Some(ChunkPlace {
            received_ns: tail.try_get_i64().ok()? ^ i64::MIN,
            partition: tail.try_get_i64().ok()? ^ i64::MIN,
            first: tail.try_get_i64().ok()? ^ i64::MIN,
            number: tail.try_get_i32().ok()? ^ i32::MIN,
            day: tail.try_get_i32().ok()?,
        })
    }
}

/// The day of a time, in Unix days.
pub fn day_of(time_ns: i64) -> i32 {
    i32::try_from(time_ns.div_euclid(DAY_NS)).unwrap_or(0)
}

/// The table of a day.
pub fn table_of(day: i32) -> String {
    format!("job_chunks_{day}")
}

/// The day of a table.
pub fn day_of_table(table: &str) -> Option<i32> {
    table.strip_prefix("job_chunks_")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_sort_like_places_and_are_read_again() {
        let place = |received_ns, partition, first, number, day| ChunkPlace {
            received_ns,
            partition,
            first,
            number,
            day,
        };
        let places = [
            place(-5, 9, 9, 9, 20_000),
            place(5, 3, 900, 0, 20_001),
            place(5, 4, 1, 300, 20_000),
            place(5, 4, 256, 0, 20_000),
            place(5, 4, 256, 1, 20_000),
            place(i64::MAX, 0, 0, 0, 0),
        ];
        assert!(places.is_sorted() && places.iter().map(ChunkPlace::tail).is_sorted());
        assert!(ChunkPlace::FIRST.tail() < places[0].tail());
        for place in places {
            assert_eq!(ChunkPlace::read(&place.tail()), Some(place));
        }
        assert_eq!(ChunkPlace::read(b"short"), None);
    }
}
