//! One count as it lies on disk until it is added to the rows.

use super::{EndSum, STATUSES, Status, row::SumKey};
use crate::{
    start_digest::StartDigest,
    stored_text::{put_text, take_text},
};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// What the scheduler says of a job, in the environment of its processes. Zero is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct JobFacts {
    pub nodes: u32,
    pub tasks: u32,
    pub cpus_per_task: u32,
    /// The array that the job is a task of, where its tasks have ids of their own, and its task.
    pub array_job: u32,
    pub array_task: u32,
}

impl JobFacts {
    /// Appends them to what tells counts apart.
    pub fn write_raw(&self, out: &mut Vec<u8>) {
        let JobFacts { nodes, tasks, cpus_per_task, array_job, array_task } = *self;
        for number in [nodes, tasks, cpus_per_task, array_job, array_task] {
            out.put_u32(number);
        }
    }
}

/// The environment modules of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modules<'a> {
    /// There were none.
    #[default]
    None,
    /// Their names, as [`crate::start_digest::module_names`] has them.
    Names(&'a [u8]),
    /// The digest of their names, which a start told.
    Digest(StartDigest),
    /// Nobody knows.
    Unknown,
}

/// Kinds of modules on disk, and the bits of what else there is beside them.
const NAMES: u8 = 1;
const DIGEST: u8 = 2;
const UNKNOWN: u8 = 3;
const STARTED: u8 = 4;
const HOST: u8 = 8;
const WHAT_RAN: u8 = 16;

/// Appends modules, the digest of a program, a host, and what ran.
fn write_facts(tally: &SumTally<'_>, out: &mut Vec<u8>) {
    let SumTally { modules, started, host, what_ran, .. } = *tally;
    let more = [(started.is_some(), STARTED), (!host.is_empty(), HOST), (!what_ran.is_empty(), WHAT_RAN)];
    let more = more.iter().fold(0, |all, (is_there, bit)| if *is_there { all | bit } else { all });
    match modules {
        Modules::None => out.put_u8(more),
        Modules::Names(names) => {
            out.put_u8(NAMES | more);
            put_text(out, names);
        }
        Modules::Digest(digest) => {
            out.put_u8(DIGEST | more);
            out.put_slice(&digest);
        }
        Modules::Unknown => out.put_u8(UNKNOWN | more),
    }
    out.extend(started.into_iter().flatten());
    for text in [host, what_ran].into_iter().filter(|text| !text.is_empty()) {
        put_text(out, text);
    }
}

/// Takes them off the front.
fn read_facts<'a>(from: &mut &'a [u8], tally: &mut SumTally<'a>) -> Option<()> {
    let kinds = from.try_get_u8().ok()?;
    tally.modules = match kinds & !(STARTED | HOST | WHAT_RAN) {
        0 => Modules::None,
        NAMES => Modules::Names(take_text(from)?),
        DIGEST => Modules::Digest(take_digest(from)?),
        UNKNOWN => Modules::Unknown,
        _ => return None,
    };
    if kinds & STARTED != 0 {
        tally.started = Some(take_digest(from)?);
    }
    for (bit, text) in [(HOST, &mut tally.host), (WHAT_RAN, &mut tally.what_ran)] {
        if kinds & bit != 0 {
            *text = take_text(from)?;
        }
    }
    Some(())
}

fn take_digest(from: &mut &[u8]) -> Option<StartDigest> {
    let (digest, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*digest)
}

/// Bits beside a status on disk: what follows it.
const STATUS: u8 = 0x1F;
const HAS_ARRAY: u8 = 0x20;
const HAS_VERDICT: u8 = 0x40;
const HAS_FACTS: u8 = 0x80;

/// Processes of one row and one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumTally<'a> {
    pub key: SumKey<'a>,
    /// The job; empty outside of jobs.
    pub job: &'a [u8],
    /// The host; empty where it is unknown.
    pub host: &'a [u8],
    pub facts: JobFacts,
    /// When the first one started, and when the last one started or ended, Unix time in
    /// nanoseconds.
    pub first_ns: i64,
    pub last_ns: i64,
    /// Processes that started.
    pub processes: u64,
    /// Those that ended, and how.
    pub ends: Option<(Status, EndSum)>,
    /// They say how their job went, with this exit status or signal: its outermost processes, ranks
    /// of MPI, and what the kernel killed because memory was short.
    pub verdict: Option<u8>,
    /// The name of what they ran, if they failed and their file does not say it.
    pub what_ran: &'a [u8],
    /// Their environment modules; the row's number of them comes when they are added.
    pub modules: Modules<'a>,
    /// The digest of their program, where its start had not come.
    pub started: Option<StartDigest>,
}

impl<'a> SumTally<'a> {
    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_text(out, &self.key.bytes());
        put_text(out, self.job);
        let JobFacts { nodes, tasks, cpus_per_task, array_job, array_task } = self.facts;
        for number in [nodes, tasks, cpus_per_task] {
            encode_varint(number.into(), out);
        }
        out.put_i64(self.first_ns);
        encode_varint(self.last_ns.wrapping_sub(self.first_ns) as u64, out);
        encode_varint(self.processes, out);
        let status = self.ends.map_or(STATUS, |(status, _)| status as u8);
        let has_array = if array_job > 0 { HAS_ARRAY } else { 0 };
        let has_texts = !self.host.is_empty() || !self.what_ran.is_empty();
        let has_facts = self.modules != Modules::None || self.started.is_some() || has_texts;
        let has_facts = if has_facts { HAS_FACTS } else { 0 };
        out.put_u8(status | has_array | has_facts | self.verdict.map_or(0, |_| HAS_VERDICT));
        if let Some((_, EndSum { processes, cpu_us, wall_us })) = self.ends {
            for number in [processes, cpu_us, wall_us] {
                encode_varint(number, out);
            }
        }
        if array_job > 0 {
            encode_varint(array_job.into(), out);
            encode_varint(array_task.into(), out);
        }
        out.extend(self.verdict);
        if has_facts != 0 {
            write_facts(self, out);
        }
    }

    /// Takes one off the front; `None` where that is no whole tally.
    pub fn read(from: &mut &'a [u8]) -> Option<Self> {
        let (key, job) = (take_text(from)?, take_text(from)?);
        let key = SumKey::read(key)?;
        let mut number = || decode_varint(from).ok();
        let mut small = || u32::try_from(number()?).ok();
        let mut facts =
            JobFacts { nodes: small()?, tasks: small()?, cpus_per_task: small()?, ..JobFacts::default() };
        let first_ns = from.try_get_i64().ok()?;
        let last_ns = first_ns.wrapping_add(decode_varint(from).ok()? as i64);
        let processes = decode_varint(from).ok()?;
        // A server of before wrote all bits where there is no status.
        let flags = Some(from.try_get_u8().ok()?).filter(|flags| *flags != u8::MAX).unwrap_or(STATUS);
        let ends = match STATUSES.get(usize::from(flags & STATUS)) {
            None => None,
            Some(status) => {
                let mut number = || decode_varint(from).ok();
                Some((*status, EndSum { processes: number()?, cpu_us: number()?, wall_us: number()? }))
            }
        };
        if flags & HAS_ARRAY != 0 {
            let mut small = || u32::try_from(decode_varint(from).ok()?).ok();
            (facts.array_job, facts.array_task) = (small()?, small()?);
        }
        let verdict = if flags & HAS_VERDICT != 0 { Some(from.try_get_u8().ok()?) } else { None };
        let (modules, started, host, what_ran) = (Modules::None, None, &[][..], &[][..]);
        let mut tally = SumTally {
            key,
            job,
            host,
            facts,
            first_ns,
            last_ns,
            processes,
            ends,
            verdict,
            what_ran,
            modules,
            started,
        };
        if flags & HAS_FACTS != 0 {
            read_facts(from, &mut tally)?;
        }
        Some(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_was_written_and_no_cut_of_it_is() {
        let key =
            SumKey { day: 20_000, program: 70_000, user: b"alice", account: b"chem", ..SumKey::default() };
        let facts = JobFacts { nodes: 2, tasks: 256, cpus_per_task: 1, ..JobFacts::default() };
        let (first_ns, last_ns, job, processes) = (-5, 7, &b"4711"[..], 300);
        let start = SumTally { key, job, facts, first_ns, last_ns, processes, ..SumTally::default() };
        let sum = EndSum { processes: 2, cpu_us: 1 << 40, wall_us: 9 };
        let end = SumTally { processes: 0, ends: Some((Status::Oom, sum)), job: b"", ..start };
        let facts = JobFacts { array_job: 80, array_task: 0, ..facts };
        let of_array = SumTally { facts, verdict: Some(9), ..end };
        let with_modules = SumTally { modules: Modules::Names(b"gcc\0"), ..start };
        let of_digest = SumTally { modules: Modules::Digest([7; 16]), ..of_array };
        let unknown = SumTally { modules: Modules::Unknown, started: Some([9; 16]), ..end };
        let last = SumTally { ends: None, ..of_array };
        let of_host = SumTally { host: b"n1", ..start };
        let with_all = SumTally { host: b"n1", what_ran: b"fit.py", ..unknown };
        for tally in [start, end, of_array, with_modules, of_digest, unknown, last, of_host, with_all] {
            let mut bytes = Vec::new();
            tally.write(&mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((SumTally::read(&mut rest), rest.len()), (Some(tally), 0));
            for cut in 0..bytes.len() {
                assert_eq!(SumTally::read(&mut &bytes[..cut]), None, "cut at {cut}");
            }
        }
    }
}
