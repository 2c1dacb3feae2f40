//! Ends of processes in memory, between one write and the next: sums by what they are of.

use super::{
    ProgramNumber,
    ending::Ending,
    hash_key::{HashKey, HashKeys},
};
use crate::{
    dates::day_number,
    job_key::{cluster_key, job_key},
    start_digest::{self, StartDigest},
    sums::{EndSum, JobFacts, Modules, Status, SumKey, SumTally},
};
use bytes::BufMut;
use std::collections::HashMap;

/// Sums in memory, at most, and bytes of their texts.
const ENDS_MAX: usize = 32_768;
const BYTES_MAX: usize = 4 << 20;

/// See the module.
#[derive(Default)]
pub struct EndCounts {
    counts: HashMap<HashKey, EndCount>,
    keys: HashKeys,
    bytes: usize,
}

struct EndCount {
    /// A [`SumKey`].
    row: Vec<u8>,
    job: Vec<u8>,
    host: Box<[u8]>,
    facts: JobFacts,
    status: Status,
    first_ns: i64,
    last_ns: i64,
    sum: EndSum,
    verdict: Option<u8>,
    what_ran: Box<[u8]>,
    modules: Modules<'static>,
    started: Option<StartDigest>,
}

/// The program of an end, with what was loaded.
#[derive(Clone, Copy)]
pub struct EndProgram {
    pub program: ProgramNumber,
    /// The program is that of the start, with all that it had loaded.
    pub is_whole: bool,
}

/// What an end tells of what was loaded after the start: the program under which that stands; and
/// true if it is only claimed.
pub type LaterProgram = Option<(ProgramNumber, bool)>;

impl EndCounts {
    /// Tells that it is time to write.
    pub fn is_full(&self) -> bool {
        self.counts.len() >= ENDS_MAX || self.bytes >= BYTES_MAX
    }

    /// The key of the end's sum.
    pub fn key(&mut self, end: &Ending<'_>, later: LaterProgram) -> HashKey {
        self.keys.of(|bytes| {
            let process = &end.process;
            process.write_raw(bytes);
            for digest in [process.program_digest, end.modules_digest] {
                bytes.put_slice(&digest.unwrap_or_default());
            }
            bytes.put_u64(later_number(later));
            bytes.put_u8(end.status as u8);
            bytes.put_u8(u8::from(process.is_proved) | u8::from(process.uid.is_some()) << 1);
            bytes.put_u32(process.uid.unwrap_or_default());
            bytes.put_u16(day_number(process.time_ns));
            bytes.put_u16(end.verdict.map_or(u16::MAX, u16::from));
            process.facts.write_raw(bytes);
            let texts = [process.username, process.relay, process.cluster, process.job];
            for text in
                texts.into_iter().chain([process.account, process.partition, process.host, end.what_ran])
            {
                bytes.put_u32(text.len() as u32);
                bytes.put_slice(text);
            }
        })
    }

    /// Counts one more; false when it is the first under this key.
    pub fn add(&mut self, key: HashKey, end: &Ending<'_>) -> bool {
        let Some(known) = self.counts.get_mut(&key) else { return false };
        known.sum.add(&end.sum);
        known.first_ns = known.first_ns.min(end.process.time_ns);
        known.last_ns = known.last_ns.max(end.ended_ns);
        true
    }

    /// Counts the first.
    pub fn add_first(
        &mut self,
        key: HashKey,
        EndProgram { program, is_whole }: EndProgram,
        later: LaterProgram,
        user: &[u8],
        end: &Ending<'_>,
    ) {
        let process = &end.process;
        let modules = match end.modules_digest {
            Some(digest) if digest == start_digest::of_modules(b"") => Modules::None,
            Some(digest) => Modules::Digest(digest),
            None => Modules::Unknown,
        };
        let row = SumKey {
            day: day_number(process.time_ns),
            program,
            later: later_number(later),
            is_partial: !is_whole && process.program_digest.is_none(),
            user,
            is_claimed: !process.is_proved,
            relay: process.relay,
            cluster: &cluster_key(process.cluster),
            account: process.account,
            partition: process.partition,
            ..SumKey::default()
        };
        let (row, job) = (row.bytes(), job_key(process.job).into_owned());
        let host = process.host.into();
        let what_ran = end.what_ran.into();
        self.bytes += row.len() + job.len() + process.host.len() + end.what_ran.len();
        let (first_ns, last_ns) = (process.time_ns, end.ended_ns);
        let (facts, status, sum, verdict) = (process.facts, end.status, end.sum, end.verdict);
        let started = process.program_digest.filter(|_| !is_whole);
        let count = EndCount {
            row,
            job,
            host,
            facts,
            status,
            first_ns,
            last_ns,
            sum,
            verdict,
            what_ran,
            modules,
            started,
        };
        self.counts.insert(key, count);
    }

    /// All sums.
    pub fn tallies(&self) -> impl Iterator<Item = SumTally<'_>> {
        self.counts.values().filter_map(|count| {
            Some(SumTally {
                key: SumKey::read(&count.row)?,
                job: &count.job,
                host: &count.host,
                facts: count.facts,
                first_ns: count.first_ns,
                last_ns: count.last_ns,
                processes: 0,
                ends: Some((count.status, count.sum)),
                verdict: count.verdict,
                what_ran: &count.what_ran,
                modules: count.modules,
                started: count.started,
            })
        })
    }

    /// Forgets the sums.
    pub fn clear(&mut self) {
        self.counts.clear();
        self.bytes = 0;
    }
}

fn later_number(later: LaterProgram) -> u64 {
    later.map_or(0, |(program, is_claimed)| SumKey::later_number(program, is_claimed))
}
