//! Counts in memory, between one write and the next.
//!
//! An event that was counted before costs two hashes and one lookup: all that tells counts apart is
//! one key ([`super::hash_key`]). Texts stand here once each, however many counts name them. Both
//! are bounded, in bytes: beyond that it is time to write.

use super::{
    ProgramNumber,
    end_counts::EndCounts,
    hash_key::{HashKey, HashKeys},
    program::UseEvent,
    program_numbers::ProgramNumbers,
    rows::{Count, RowKey},
    shares::UseShares,
    tally::Tally,
};
use crate::{
    dates::day_number,
    job_key::{cluster_key, job_key},
    start_digest,
    sums::{JobFacts, LimitedCounts, Modules, SumKey, SumTally},
};
use bytes::BufMut;
use std::collections::HashMap;

/// Counts in memory, at most: as many as fit into a table of 2^17 slots, 10 MB.
const COUNTS_MAX: usize = (1 << 17) / 8 * 7;

/// Bytes of the texts that they name, at most, with what a map takes for each.
const NAMES_BYTES_MAX: usize = 4 << 20;
const NAME_OVERHEAD: usize = 64;

/// See the module.
pub struct UseCounts {
    /// The first batch of the queue that is not in here.
    pub next: u64,
    /// Numbers of programs.
    pub programs: ProgramNumbers,
    /// Ends of processes.
    pub ends: EndCounts,
    /// Processes that were only counted.
    pub limited: LimitedCounts,
    counts: HashMap<HashKey, UseCount>,
    names: Names,
    keys: HashKeys,
}

struct UseCount {
    program: ProgramNumber,
    user: Name,
    is_claimed: bool,
    relay: Name,
    day: u16,
    host: Name,
    cluster: Name,
    job: Name,
    account: Name,
    partition: Name,
    facts: JobFacts,
    has_first_part: bool,
    modules: Name,
    /// The names of its modules are too long.
    has_more_modules: bool,
    count: Count,
}

impl UseCounts {
    /// Begins with no counts, from this batch on.
    pub fn new(next: u64) -> Self {
        let keys = HashKeys::default();
        UseCounts {
            next,
            programs: ProgramNumbers::default(),
            ends: EndCounts::default(),
            limited: LimitedCounts::default(),
            counts: HashMap::new(),
            names: Names::default(),
            keys,
        }
    }

    /// Tells that it is time to write.
    pub fn is_full(&self) -> bool {
        self.counts.len() >= COUNTS_MAX || self.names.bytes >= NAMES_BYTES_MAX || self.ends.is_full()
    }

    /// The key of the event's count.
    pub fn key(&mut self, event: &UseEvent<'_>) -> HashKey {
        self.keys.of(|bytes| {
            event.write_raw(bytes);
            let is_whole = event.whole_start.is_some();
            let flags = [event.is_proved, event.uid.is_some(), event.has_first_part, is_whole];
            flags.into_iter().for_each(|flag| bytes.put_u8(u8::from(flag)));
            bytes.put_u32(event.uid.unwrap_or_default());
            bytes.put_u16(day_number(event.time_ns));
            event.facts.write_raw(bytes);
            bytes.put_u16(event.modules.len() as u16);
            event.modules.iter().for_each(|module| {
                bytes.put_u32(module.len() as u32);
                bytes.put_slice(module);
            });
            let UseEvent { username, relay, host, cluster, job, account, partition, .. } = event;
            for text in [username, relay, host, cluster, job, account, partition] {
                bytes.put_u32(text.len() as u32);
                bytes.put_slice(text);
            }
        })
    }

    /// Counts one process more, and says its program; `None` when it is the first under this key.
    pub fn add(&mut self, key: HashKey, event: &UseEvent<'_>) -> Option<ProgramNumber> {
        let known = self.counts.get_mut(&key)?;
        known.count.add(&Count::one(event.is_end, !event.is_proved, event.time_ns));
        Some(known.program)
    }

    /// Counts the first.
    pub fn add_first(&mut self, key: HashKey, program: ProgramNumber, user: &[u8], event: &UseEvent<'_>) {
        let (cluster, job) = (cluster_key(event.cluster), job_key(event.job));
        let texts = [user, event.relay, event.host, &*cluster, &*job, event.account, event.partition];
        let [user, relay, host, cluster, job, account, partition] = texts.map(|text| self.names.name(text));
        let (is_claimed, day) = (!event.is_proved, day_number(event.time_ns));
        let count = Count::one(event.is_end, is_claimed, event.time_ns);
        let facts = event.facts;
        let names = event.whole_start.and_then(start_digest::module_names);
        let (modules, has_more_modules) =
            (self.names.name(names.as_deref().unwrap_or_default()), names.is_none());
        let counted = UseCount {
            program,
            user,
            is_claimed,
            relay,
            day,
            host,
            cluster,
            job,
            account,
            partition,
            facts,
            has_first_part: event.has_first_part,
            modules,
            has_more_modules,
            count,
        };
        self.counts.insert(key, counted);
    }

    /// All counts, in the order of programs.
    pub fn tallies(&self) -> impl Iterator<Item = Tally<'_>> {
        let names = self.names.by_number();
        let mut counts: Vec<&UseCount> = self.counts.values().collect();
        counts.sort_unstable_by_key(|counted| counted.program);
        let text = move |name: Name| names.get(name as usize).copied().unwrap_or_default();
        counts.into_iter().map(move |counted| Tally {
            row: RowKey {
                program: counted.program,
                user: text(counted.user),
                is_claimed: counted.is_claimed,
                relay: text(counted.relay),
                day: counted.day,
                host: text(counted.host),
                cluster: text(counted.cluster),
                job: text(counted.job),
            },
            count: counted.count,
        })
    }

    /// The processes that started, as sums take them.
    pub fn sum_tallies(&self) -> impl Iterator<Item = SumTally<'_>> {
        let names = self.names.by_number();
        let text = move |name: Name| names.get(name as usize).copied().unwrap_or_default();
        let is_start = |counted: &&UseCount| counted.count.processes > 0 && counted.has_first_part;
        let started = self.counts.values().filter(is_start);
        started.map(move |counted| SumTally {
            key: SumKey {
                day: counted.day,
                program: counted.program,
                user: text(counted.user),
                is_claimed: counted.is_claimed,
                relay: text(counted.relay),
                cluster: text(counted.cluster),
                account: text(counted.account),
                partition: text(counted.partition),
                ..SumKey::default()
            },
            job: text(counted.job),
            host: text(counted.host),
            facts: counted.facts,
            first_ns: counted.count.first_ns,
            last_ns: counted.count.last_ns,
            processes: counted.count.processes,
            ends: None,
            verdict: None,
            what_ran: b"",
            modules: match text(counted.modules) {
                _ if counted.has_more_modules => Modules::Unknown,
                [] => Modules::None,
                names => Modules::Names(names),
            },
            started: None,
        })
    }

    /// Forgets the counts: they are on disk now.
    pub fn written(&mut self) {
        self.counts.clear();
        self.ends.clear();
        self.limited.clear();
        self.names = Names::default();
    }

    /// Goes back to what is on disk, and begins again with this batch.
    pub fn start_over(&mut self, next: u64, shares: &mut UseShares) {
        self.written();
        self.programs.forget(shares);
        self.next = next;
    }
}

/// Number of a text.
type Name = u32;

/// Texts, each once.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<[u8]>, Name>,
    bytes: usize,
}

impl Names {
    fn name(&mut self, text: &[u8]) -> Name {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let fresh = self.numbers.len() as Name;
        self.bytes += text.len() + NAME_OVERHEAD;
        self.numbers.insert(text.into(), fresh);
        fresh
    }

    fn by_number(&self) -> Vec<&[u8]> {
        let mut names = vec![&[][..]; self.numbers.len()];
        for (text, number) in &self.numbers {
            names[*number as usize] = text;
        }
        names
    }
}
