//! Numbers of jobs in one row: each once, in order, a byte or two each on disk.

use prost::encoding::{decode_varint, encode_varint};

/// Most jobs in one row. The row says where there were more.
const JOBS_MAX: usize = 1 << 20;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSet {
    /// Sorted, each once.
    numbers: Vec<u32>,
    /// There were more.
    pub is_cut: bool,
}

impl JobSet {
    /// Adds some, in whatever order.
    pub fn add(&mut self, more: &[u32]) {
        let before = self.numbers.len();
        let last = self.numbers.last().copied();
        self.numbers.extend_from_slice(more);
        let is_sorted =
            more.is_sorted() && more.first().is_none_or(|first| last.is_none_or(|last| last <= *first));
        if self.numbers.len() > before && !is_sorted {
            self.numbers.sort_unstable();
        }
        self.numbers.dedup();
        if self.numbers.len() > JOBS_MAX {
            self.numbers.truncate(JOBS_MAX);
            self.is_cut = true;
        }
    }

    /// Both together.
    pub fn merge(&mut self, more: JobSet) {
        self.add(&more.numbers);
        self.is_cut |= more.is_cut;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The numbers, sorted.
    #[cfg(test)]
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_varint((self.numbers.len() as u64) << 1 | u64::from(self.is_cut), out);
        let mut last = 0;
        for number in &self.numbers {
            encode_varint(u64::from(number - last), out);
            last = *number;
        }
    }

    /// Hands each number of a written set to `each`, without making the set; true if it was cut.
    pub fn read_each(from: &mut &[u8], mut each: impl FnMut(u32)) -> Option<bool> {
        let head = decode_varint(from).ok()?;
        let mut last = 0u32;
        for _ in 0..head >> 1 {
            last = last.checked_add(u32::try_from(decode_varint(from).ok()?).ok()?)?;
            each(last);
        }
        Some(head & 1 == 1)
    }

    /// Takes one off the front.
    pub fn read(from: &mut &[u8]) -> Option<JobSet> {
        let mut numbers = Vec::new();
        let is_cut = JobSet::read_each(from, |number| numbers.push(number))?;
        Some(JobSet { numbers, is_cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_in_it_once_and_it_is_read_as_it_was_written() {
        let mut set = JobSet::default();
        for more in [&[7, 3, 7][..], &[], &[9, 10], &[10, 1 << 30], &[0, 9]] {
            set.add(more);
        }
        assert_eq!(set.numbers(), [0, 3, 7, 9, 10, 1 << 30]);
        let mut bytes = Vec::new();
        set.write(&mut bytes);
        assert!(bytes.len() <= 6 + 5, "{} bytes", bytes.len());
        let mut rest = &bytes[..];
        assert_eq!((JobSet::read(&mut rest), rest.len()), (Some(set), 0));
        for cut in 0..bytes.len() {
            assert_eq!(JobSet::read(&mut &bytes[..cut]), None);
        }
        // A difference that goes beyond all numbers.
        assert_eq!(JobSet::read(&mut &[4, 255, 255, 255, 255, 15, 1][..]), None);
    }
}
