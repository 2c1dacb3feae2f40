//! What is known of one job's use: how it goes ([`super::job_outcome`]), and its node time.
//!
//! A job takes its nodes from its first process's start to its last one's end. This time is shared
//! among the rows that its processes count in, by their CPU time, a microsecond more for each
//! process: so a job whose processes still run has shares, too. Shares are whole microseconds, and
//! their sum is the job's. They are made of this record alone; when it changes, rows get the
//! difference.

use super::{SumKey, job_outcome::JobOutcome, tally::SumTally};
use crate::{
    dates::day_number,
    stored_text::{put_text, take_text},
};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};
use std::collections::BTreeMap;

/// The form of a record; and that of a server of before, which knew nothing of outcomes.
const FORM: u8 = 2;
const FORM_WITHOUT_OUTCOME: u8 = 1;

/// Most rows that one job's time is shared among. What came first counts.
const ROWS_MAX: usize = 256;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRecord {
    nodes: u32,
    cores: u64,
    first_ns: i64,
    last_ns: i64,
    array_job: u32,
    array_task: u32,
    pub outcome: JobOutcome,
    /// The bytes of a row's key -> its weight: microseconds of CPU time, and its processes.
    weights: BTreeMap<Vec<u8>, u64>,
}

/// A row's share of a job's time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeShare {
    pub node_us: u64,
    pub core_us: u64,
}

impl JobRecord {
    /// Adds processes that count in the row with this key.
    pub fn add(&mut self, tally: &SumTally<'_>, row: &[u8]) {
        if self.weights.is_empty() {
            (self.first_ns, self.last_ns) = (tally.first_ns, tally.last_ns);
        }
        self.nodes = self.nodes.max(tally.facts.nodes);
        let cores = u64::from(tally.facts.tasks) * u64::from(tally.facts.cpus_per_task.max(1));
        self.cores = self.cores.max(cores);
        if self.array_job == 0 {
            (self.array_job, self.array_task) = (tally.facts.array_job, tally.facts.array_task);
        }
        self.outcome.add(tally);
        self.first_ns = self.first_ns.min(tally.first_ns);
        self.last_ns = self.last_ns.max(tally.last_ns);
        let weight = tally.processes + tally.ends.map_or(0, |(_, sum)| sum.cpu_us);
        if let Some(known) = self.weights.get_mut(row) {
            *known = known.saturating_add(weight);
        } else if self.weights.len() < ROWS_MAX {
            self.weights.insert(row.to_vec(), weight);
        }
    }

    /// The day of the last thing that was told of it.
    pub fn last_day(&self) -> u16 {
        day_number(self.last_ns)
    }

    /// When its first process began.
    pub fn first_ns(&self) -> i64 {
        self.first_ns
    }

    /// The last start or end.
    pub fn last_ns(&self) -> i64 {
        self.last_ns
    }

    /// The number of its nodes; 0 where the scheduler says none.
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// The array that it is a task of, and the task; zeros where it is none.
    pub fn array(&self) -> (u32, u32) {
        (self.array_job, self.array_task)
    }

    /// The rows that its processes count in, each with its weight.
    pub fn rows(&self) -> impl Iterator<Item = (SumKey<'_>, u64)> {
        self.weights.iter().filter_map(|(row, weight)| Some((SumKey::read(row)?, *weight)))
    }

    /// It may have had rows that are not here.
    pub fn is_full(&self) -> bool {
        self.weights.len() >= ROWS_MAX
    }

    /// It stays as it is when sums are made again from this day on: what it tells of days before
    /// cannot be told apart, or what came first counts in it.
    pub fn stays(&self, first_day: u16) -> bool {
        self.is_full()
            || day_number(self.first_ns) < first_day
            || self.rows().any(|(row, _)| row.day < first_day)
    }

    /// Tells that both say the same, where `name` gives rows that are one the same name.
    pub fn is_like(&self, other: &JobRecord, name: impl Fn(&[u8]) -> Vec<u8>) -> bool {
        let weights = |record: &JobRecord| {
            let mut weights: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            for (row, weight) in &record.weights {
                *weights.entry(name(row)).or_default() += weight;
            }
            weights
        };
        let facts = |record: &JobRecord| {
            let JobRecord { nodes, cores, first_ns, last_ns, array_job, array_task, .. } = *record;
            (nodes, cores, first_ns, last_ns, array_job, array_task)
        };
        facts(self) == facts(other) && self.outcome.is_like(&other.outcome) && weights(self) == weights(other)
    }

    /// The account and the partition, each from the row with the largest weight that names one.
    pub fn account_and_partition(&self) -> (&[u8], &[u8]) {
        let heaviest = |name: for<'a> fn(&SumKey<'a>) -> &'a [u8]| {
            let named = self.rows().map(|(row, weight)| (weight, name(&row)));
            let named = named.filter(|(_, name)| !name.is_empty());
            named.max().map_or(&[][..], |(_, name)| name)
        };
        (heaviest(|row| row.account), heaviest(|row| row.partition))
    }

    /// The share of each row.
    pub fn shares(&self) -> impl Iterator<Item = (&[u8], TimeShare)> {
        let elapsed_us = u64::try_from(self.last_ns.saturating_sub(self.first_ns)).unwrap_or(0) / 1000;
        let whole: u128 = self.weights.values().map(|weight| u128::from(*weight)).sum::<u128>().max(1);
        let [node_us, core_us] =
            [u128::from(self.nodes), self.cores.into()].map(|number| number * u128::from(elapsed_us));
        let part = move |all: u128, until: u128| (all * until / whole) as u64;
        let mut until = 0u128;
        self.weights.iter().map(move |(row, weight)| {
            let before = until;
            until += u128::from(*weight);
            let of = |all| part(all, until) - part(all, before);
            (&row[..], TimeShare { node_us: of(node_us), core_us: of(core_us) })
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        encode_varint(self.nodes.into(), &mut out);
        encode_varint(self.cores, &mut out);
        out.put_i64(self.first_ns);
        out.put_i64(self.last_ns);
        encode_varint(self.array_job.into(), &mut out);
        encode_varint(self.array_task.into(), &mut out);
        self.outcome.write(&mut out);
        for (row, weight) in &self.weights {
            put_text(&mut out, row);
            encode_varint(*weight, &mut out);
        }
        out
    }

    /// Reads them.
    pub fn read(mut from: &[u8]) -> Option<JobRecord> {
        let form = from.try_get_u8().ok()?;
        if ![FORM, FORM_WITHOUT_OUTCOME].contains(&form) {
            return None;
        }
        let nodes = u32::try_from(decode_varint(&mut from).ok()?).ok()?;
        let cores = decode_varint(&mut from).ok()?;
        let (first_ns, last_ns) = (from.try_get_i64().ok()?, from.try_get_i64().ok()?);
        let mut record = JobRecord { nodes, cores, first_ns, last_ns, ..JobRecord::default() };
        if form == FORM {
            let mut small = || u32::try_from(decode_varint(&mut from).ok()?).ok();
            (record.array_job, record.array_task) = (small()?, small()?);
            record.outcome = JobOutcome::read(&mut from)?;
        }
        while from.has_remaining() {
            let row = take_text(&mut from)?.to_vec();
            record.weights.insert(row, decode_varint(&mut from).ok()?);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::{EndSum, JobFacts, Status};

    fn tally<'a>(first_ns: i64, last_ns: i64, processes: u64, cpu_us: u64) -> SumTally<'a> {
        let facts = JobFacts { nodes: 3, tasks: 8, array_job: 80, array_task: 7, ..JobFacts::default() };
        let ends = (cpu_us > 0).then_some((Status::Completed, EndSum { cpu_us, ..EndSum::default() }));
        SumTally { job: b"1", facts, first_ns, last_ns, processes, ends, ..SumTally::default() }
    }

    #[test]
    fn node_time_is_shared_by_cpu_time_and_nothing_of_it_is_lost() {
        let mut job = JobRecord::default();
        job.add(&tally(5_000, 5_000, 1, 0), b"shell");
        job.add(&tally(6_000, 6_000, 2, 0), b"code");
        // All still run, and share by their number.
        let shares: Vec<_> = job.shares().map(|(row, share)| (row.to_vec(), share.node_us)).collect();
        assert_eq!(shares, [(b"code".to_vec(), 2), (b"shell".to_vec(), 1)]);
        job.add(&tally(6_000, 5_000 + 7_000_000_000, 0, 997), b"code");
        let shares: Vec<TimeShare> = job.shares().map(|(_, share)| share).collect();
        assert_eq!(shares[0].node_us + shares[1].node_us, 3 * 7_000_000);
        assert_eq!(shares[0].core_us + shares[1].core_us, 8 * 7_000_000);
        assert_eq!(shares[1], TimeShare { node_us: 21_000, core_us: 56_000 }, "a thousandth");
        assert_eq!(JobRecord::read(&job.bytes()), Some(job));
    }

    #[test]
    fn a_job_with_more_rows_than_may_be_is_bounded() {
        let mut job = JobRecord::default();
        for row in 0..2 * ROWS_MAX {
            job.add(&tally(0, 1_000_000, 1, 0), &row.to_be_bytes());
        }
        assert_eq!(job.shares().count(), ROWS_MAX);
        assert_eq!(job.shares().map(|(_, share)| share.node_us).sum::<u64>(), 3000);
    }
}
