//! Where the processes of a job are found: sixteen to twenty bytes for each, so that an answer of a
//! million is made in parts, and no part reads more than its own.
//!
//! One pass over what is kept of the job reads who tells what; sorted by a fingerprint of the
//! event's id, what belongs together stands together. The fingerprint's key is random: nobody can
//! make two ids that share one. All indexes together are bounded, and readers of one job share its.
//! What is answered of one job is shared among senders, since anybody may send under its id.

use super::{
    Jobs,
    error::JobError,
    event_shares::{EventHolder, EventHolders, SharedRoom, add},
    values::{JobValue, JobValues},
};
use crate::{
    join::EventHead,
    processes::{EndKind, Process, Processes},
    queue::{Entry, Kind, Sender},
};
use bytes::Bytes;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Most events of one job that are answered, and most in all indexes together, at 20 bytes each.
const EVENTS_MAX: usize = if cfg!(test) { 2000 } else { 2_500_000 };
const ALL_EVENTS_MAX: usize = 4_000_000;

/// Bytes that an event has in an index. A value's key counts as so many events as fit into it.
const EVENT_BYTES: usize = 20;

/// Memory of a cluster's name beside its bytes.
const CLUSTER_BYTES: usize = 64;

/// Values that are looked at when a part of the job is not answered.
const LOOKED_AT_MAX: usize = 5_000_000;

/// Events that are counted against that bound at once.
const COUNTED_AT_ONCE: usize = 10_000;

/// Most kinds of senders of one job that are told apart.
const SENDERS_MAX: usize = 1 << 16;

/// Most counts of events beyond a job's limit that are answered.
const SUMMARIES_MAX: usize = 10_000;

/// How long an index stays that nobody reads.
const KEEP: Duration = Duration::from_secs(30);

/// The place of an event: the number of the value, and the offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub value: u32,
    pub offset: u32,
}

/// Five numbers. First an event: its fingerprint (two), its place (two), and the number of its
/// sender. Then, in the same memory, a process: the places of its first event and of its end, and
/// what the end is.
type Slot = [u32; 5];

const NO_END: u32 = 0;

/// See the module.
pub struct JobIndex {
    job: Vec<u8>,
    /// What stands behind the prefix in the keys of values, one after the other, and where each
    /// ends.
    tails: Vec<u8>,
    tail_ends: Vec<u32>,
    /// The number of values that are from before there were clusters: they come first.
    old: u32,
    processes: Vec<Slot>,
    pub summaries: Vec<Position>,
    pub clusters: BTreeSet<Vec<u8>>,
    /// The job has more than is answered.
    pub is_cut: bool,
    _counted: Counted,
}

impl JobIndex {
    fn new(job: &[u8], all_events: &Arc<AtomicUsize>) -> Self {
        JobIndex {
            job: job.to_vec(),
            tails: Vec::new(),
            tail_ends: Vec::new(),
            old: 0,
            processes: Vec::new(),
            summaries: Vec::new(),
            clusters: BTreeSet::new(),
            is_cut: false,
            _counted: Counted { events: 0, all: all_events.clone() },
        }
    }

    /// The number of processes.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// The places of a process's first event and of its end.
    pub fn process(&self, number: usize) -> Option<Process<Position>> {
        let [value, offset, end_value, end_offset, kind] = *self.processes.get(number)?;
        let kind = match kind {
            1 => Some(EndKind::Own),
            2 => Some(EndKind::Proof),
            3 => Some(EndKind::Claim),
            _ => None,
        };
        let end = kind.map(|kind| (Position { value: end_value, offset: end_offset }, kind));
        Some(Process { first: Position { value, offset }, end })
    }

    /// The number of processes whose first event is at or before a place, by the order of `place`.
    pub fn count_until(&self, place: (bool, &[u8], u32)) -> usize {
        self.processes.partition_point(|[value, offset, ..]| {
            let (is_new, tail) = self.tail(*value);
            (is_new, tail, *offset) <= place
        })
    }

    /// What tells a value from others of the job, and keeps their order.
    pub fn tail(&self, value: u32) -> (bool, &[u8]) {
        let at = value as usize;
        let from = at.checked_sub(1).and_then(|before| self.tail_ends.get(before)).copied().unwrap_or(0);
        let to = self.tail_ends.get(at).copied().unwrap_or(from);
        (value >= self.old, self.tails.get(from as usize..to as usize).unwrap_or_default())
    }
}

/// Events in indexes, counted against the bound until this goes.
struct Counted {
    events: usize,
    all: Arc<AtomicUsize>,
}

impl Counted {
    fn add(&mut self, more: usize) -> Result<(), JobError> {
        let before = self.all.fetch_add(more, Ordering::Relaxed);
        self.events += more;
        if before + more > ALL_EVENTS_MAX { Err(JobError::Busy) } else { Ok(()) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.events, Ordering::Relaxed);
    }
}

/// The last index, for the next page and for others who ask for the same.
#[derive(Default)]
pub struct IndexCache {
    last: Mutex<Option<CachedIndex>>,
    all_events: Arc<AtomicUsize>,
}

struct CachedIndex {
    cluster: Option<Vec<u8>>,
    /// What the job's values were by [`JobValues::version`].
    version: Vec<u8>,
    index: Arc<JobIndex>,
    used: Instant,
}

impl IndexCache {
    /// Gives back the memory of an index that nobody has asked for lately.
    pub fn forget_old(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|last| last.used.elapsed() > KEEP) {
            *last = None;
        }
    }
}

impl Jobs {
    /// The index of a job, in one cluster or in all; one at a time is made.
    pub fn index(&self, job: &[u8], cluster: Option<&[u8]>) -> Result<Arc<JobIndex>, JobError> {
        let mut last = self.indexes.last.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.values().version(job)?;
        if let Some(last) = last.as_mut()
            && (&last.index.job[..], last.cluster.as_deref(), &last.version) == (job, cluster, &version)
            && !version.is_empty()
        {
            last.used = Instant::now();
            return Ok(last.index.clone());
        }
        *last = None;
        let index = Arc::new(self.make_index(job, cluster)?);
        let cluster = cluster.map(<[u8]>::to_vec);
        *last = Some(CachedIndex { cluster, version, index: index.clone(), used: Instant::now() });
        Ok(index)
    }

    fn make_index(&self, job: &[u8], cluster: Option<&[u8]>) -> Result<JobIndex, JobError> {
        let mut holders = EventHolders::default();
        let mut amounts = Vec::new();
        if let Some(index) = self.read_index(job, cluster, &mut holders, &mut amounts, None)? {
            return Ok(index);
        }
        // There is too much: each sender has its share.
        let limits = holders.limits(&amounts, EVENTS_MAX);
        amounts.clear();
        let index = self.read_index(job, cluster, &mut holders, &mut amounts, Some(&limits))?;
        Ok(index.unwrap_or_else(|| JobIndex::new(job, &self.indexes.all_events)))
    }

    /// Reads what is kept of a job, of each sender no more than its limit. `None` where there are
    /// no limits and there is too much. `amounts` says how much each sender has.
    fn read_index(
        &self,
        job: &[u8],
        cluster: Option<&[u8]>,
        holders: &mut EventHolders,
        amounts: &mut Vec<usize>,
        limits: Option<&[usize]>,
    ) -> Result<Option<JobIndex>, JobError> {
        let mut index = JobIndex::new(job, &self.indexes.all_events);
        let mut senders = Senders::default();
        let (mut looked_at, mut all, mut counted) = (0, 0, 0);
        let mut known_summaries = HashSet::new();
        let fingerprint = RandomState::new();
        self.values().visit(job, cluster, &mut |value| {
            let JobValue { tail: (is_new, tail), cluster: in_cluster, packed } = *value;
            looked_at += 1;
            if looked_at > LOOKED_AT_MAX && (index.is_cut || all > EVENTS_MAX) {
                return Ok(ControlFlow::Break(()));
            }
            let entries = lz4_flex::decompress_size_prepended(packed)?;
            let mut rest = &entries[..];
            // All in a value is of one sender.
            let Some(first) = Entry::borrowed(&mut &*rest) else { return Ok(ControlFlow::Continue(())) };
            let holder = holders.of(&first);
            let limit = limits.map_or(usize::MAX, |limits| limits.get(holder.own).copied().unwrap_or(0));
            let mut bytes = tail.len();
            if !index.clusters.contains(in_cluster) {
                bytes += in_cluster.len() + CLUSTER_BYTES;
            }
            if add(amounts, holder.own, bytes / EVENT_BYTES) >= limit {
                index.is_cut = true;
                return Ok(ControlFlow::Continue(()));
            }
            all += bytes / EVENT_BYTES;
            if all > EVENTS_MAX && limits.is_none() {
                let events = std::iter::from_fn(|| Entry::borrowed(&mut rest)).count();
                add(amounts, holder.own, events);
                return Ok(ControlFlow::Continue(()));
            }
            if !index.clusters.contains(in_cluster) {
                index.clusters.insert(in_cluster.to_vec());
            }
            index.tails.extend_from_slice(tail);
            index.tail_ends.push(index.tails.len() as u32);
            index.old += u32::from(!is_new);
            let value = index.tail_ends.len() as u32 - 1;
            loop {
                let position = Position { value, offset: (entries.len() - rest.len()) as u32 };
                let Some(entry) = Entry::borrowed(&mut rest) else { break };
                let Some(event) = EventHead::of(&entry) else { continue };
                if event.kind == Kind::Summary {
                    if index.summaries.len() >= SUMMARIES_MAX {
                        index.is_cut = true;
                    } else if known_summaries.insert(event.id) {
                        index.summaries.push(position);
                    }
                    continue;
                }
                let Some(sender) = senders.number(&event, holder) else {
                    index.is_cut = true;
                    continue;
                };
                if add(amounts, holder.own, 1) > limit {
                    index.is_cut = true;
                    break;
                }
                all += 1;
                if all > counted {
                    counted += COUNTED_AT_ONCE;
                    index._counted.add(COUNTED_AT_ONCE)?;
                }
                let print = fingerprint.hash_one(event.id);
                let slot = [(print >> 32) as u32, print as u32, position.value, position.offset, sender];
                index.processes.push(slot);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if all > EVENTS_MAX && limits.is_none() {
            return Ok(None);
        }
        join(&mut index.processes, &senders.all);
        Ok(Some(index))
    }
}

/// The entries of values that are read in the order of their numbers, several at once.
pub struct ValueReader<'a> {
    values: &'a dyn JobValues,
    index: &'a JobIndex,
    /// Numbers that are still to be read.
    next: Vec<u32>,
    /// Those that were read, the first one last.
    read: Vec<(u32, Option<Vec<u8>>)>,
}

impl<'a> ValueReader<'a> {
    /// Reads the values of these positions, which are sorted.
    pub fn new(values: &'a dyn JobValues, index: &'a JobIndex, positions: &[Position]) -> Self {
        let mut next: Vec<u32> = positions.iter().rev().map(|position| position.value).collect();
        next.dedup();
        ValueReader { values, index, next, read: Vec::new() }
    }

    /// The entries of a value; `None` where it was deleted in this moment.
    pub fn read(&mut self, value: u32) -> Result<Option<Bytes>, JobError> {
        if self.read.is_empty() {
            let part = self.next.split_off(self.next.len().saturating_sub(self.values.at_once()));
            let tails: Vec<_> = part.iter().map(|value| self.index.tail(*value)).collect();
            let found = self.values.get(&self.index.job, &tails)?;
            self.read = part.into_iter().zip(found).collect();
        }
        match self.read.pop() {
            Some((number, Some(packed))) if number == value => {
                Ok(Some(Bytes::from(lz4_flex::decompress_size_prepended(&packed)?)))
            }
            _ => Ok(None),
        }
    }
}

/// What tells events of one id apart.
type Who = (Kind, Sender, Option<u32>);

struct Senders {
    all: Vec<Who>,
    numbers: HashMap<Who, u32>,
    room: SharedRoom,
}

impl Default for Senders {
    fn default() -> Self {
        Senders { all: Vec::new(), numbers: HashMap::new(), room: SharedRoom::new(SENDERS_MAX) }
    }
}

impl Senders {
    /// The number of what tells an event's sender; `None` where its holder has too many.
    fn number(&mut self, event: &EventHead, holder: EventHolder) -> Option<u32> {
        let who = (event.kind, event.sender, event.claimed_uid);
        if let Some(number) = self.numbers.get(&who) {
            return Some(*number);
        }
        let number = self.all.len() as u32;
        if !self.room.has_room(holder) {
            return None;
        }
        self.room.take(holder);
        self.all.push(who);
        self.numbers.insert(who, number);
        Some(number)
    }
}

/// Puts processes where their events stood.
fn join(slots: &mut Vec<Slot>, senders: &[Who]) {
    // By the fingerprint, then by the place.
    slots.sort_unstable_by_key(order);
    let (mut from, mut written) = (0, 0);
    while from < slots.len() {
        let [print, more, ..] = slots[from];
        let events = slots[from..].iter().take_while(|slot| slot[..2] == [print, more]).count();
        if let Some(process) = plain_process(&slots[from..from + events], senders) {
            slots[written] = process;
            written += 1;
        } else {
            for process in of_one_id(&slots[from..from + events], senders) {
                slots[written] = process;
                written += 1;
            }
        }
        from += events;
    }
    slots.truncate(written);
    slots.shrink_to_fit();
    slots.sort_unstable_by_key(order);
}

/// The first four numbers as one, which is compared at once.
fn order([first, second, third, fourth, _]: &Slot) -> u128 {
    u128::from(*first) << 96 | u128::from(*second) << 64 | u128::from(*third) << 32 | u128::from(*fourth)
}

/// What most processes are: one event, or a start with its end.
fn plain_process(events: &[Slot], senders: &[Who]) -> Option<Slot> {
    let who = |slot: &Slot| senders.get(slot[4] as usize);
    match events {
        [[_, _, value, offset, _]] => Some([*value, *offset, 0, 0, NO_END]),
        [first, second] => {
            let starts_first = who(first)?.0 == Kind::Start;
            let (start, end) = if starts_first { (first, second) } else { (second, first) };
            let (&(Kind::Start, of_start, uid), &(Kind::End, of_end, _)) = (who(start)?, who(end)?) else {
                return None;
            };
            let kind = if EndKind::of(of_end, of_start) == EndKind::Own { 1 } else { 2 };
            of_end.may_end(of_start, uid).then_some([start[2], start[3], end[2], end[3], kind])
        }
        _ => None,
    }
}

/// The processes of the events of one id; no more than there are events.
fn of_one_id(events: &[Slot], senders: &[Who]) -> Vec<Slot> {
    let mut processes = Processes::default();
    for [_, _, value, offset, sender] in events {
        let Some(&(kind, sender, claimed_uid)) = senders.get(*sender as usize) else { continue };
        let head = EventHead { id: [0; 16], kind, sender, claimed_uid };
        if !processes.has(&head) {
            processes.insert(&head, Position { value: *value, offset: *offset });
        }
    }
    let slot = |process: Process<Position>| {
        let Position { value, offset } = process.first;
        match process.end {
            None => [value, offset, 0, 0, NO_END],
            Some((end, EndKind::Own)) => [value, offset, end.value, end.offset, 1],
            Some((end, EndKind::Proof)) => [value, offset, end.value, end.offset, 2],
            Some((end, EndKind::Claim)) => [value, offset, end.value, end.offset, 3],
        }
    };
    processes.into_each().into_iter().map(slot).collect()
}
