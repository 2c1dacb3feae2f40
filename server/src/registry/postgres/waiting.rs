//! Registrations on their way to the database. They are durable here, so the database may be away.
//!
//! A registration is acknowledged when it is on the server's own disk. One thread carries them over
//! in order, a group in a transaction, and deletes them here when the database has them. After a
//! crash a group may be carried again, which changes nothing. Whoever waits for an outcome is told.

use crate::{
    database::{WaitingStore, Writes, number},
    metrics::Metrics,
    registry::{Build, Registration, error::Result},
};
use bytes::Bytes;
use ogrt_note::Signature;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Most builds and bytes in one group.
const GROUP: usize = 2000;
const GROUP_BYTES: usize = 8 << 20;

/// How many outcomes are remembered.
const OUTCOMES_MAX: usize = 10_000;

/// The number of a registration on its way.
pub type Ticket = u64;

/// See the module.
pub struct WaitingRecords {
    store: WaitingStore,
    metrics: Arc<Metrics>,
    bytes_max: u64,
    state: Mutex<WaitingState>,
    changed: Condvar,
}

struct WaitingState {
    next: Ticket,
    /// The first ticket that may still be on its way; those before it are settled or refused.
    from: Ticket,
    count: u64,
    bytes: u64,
    outcomes: BTreeMap<Ticket, Registration>,
    /// Records that the database refused. They stay, and are tried again after the next start.
    refused: BTreeSet<Ticket>,
}

impl WaitingRecords {
    /// Reads what waits on the disk.
    pub fn open(store: WaitingStore, metrics: Arc<Metrics>, bytes_max: u64) -> Result<Self> {
        let mut state = WaitingState {
            next: 0,
            from: 0,
            count: 0,
            bytes: 0,
            outcomes: BTreeMap::new(),
            refused: BTreeSet::new(),
        };
        for entry in store.waiting.iter() {
            let (key, value) = entry.into_inner()?;
            state.next = number(&key) + 1;
            state.count += 1;
            state.bytes += value.len() as u64;
        }
        metrics.registrations_waiting.set(state.count);
        Ok(WaitingRecords { store, metrics, bytes_max, state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, WaitingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is there room for more?
    pub fn has_room(&self) -> bool {
        self.state().bytes < self.bytes_max
    }

    /// Adds registrations to those that wait. They are written when this returns, and durable with
    /// the next flush.
    pub fn put(&self, builds: &[(Signature, Bytes)], registered_ns: i64) -> Result<Vec<Ticket>> {
        let mut state = self.state();
        let mut writes = self.store.database.writes();
        let mut tickets = Vec::new();
        // Those of this call are not on disk yet.
        let mut fresh = HashSet::new();
        for (signature, bytes) in builds {
            let ticket = state.next;
            state.next += 1;
            let value = [&registered_ns.to_be_bytes()[..], bytes].concat();
            state.count += 1;
            state.bytes += value.len() as u64;
            writes.insert(&self.store.waiting, ticket.to_be_bytes(), value);
            if fresh.insert(*signature) && !self.store.waiting_of.contains_key(signature.as_bytes())? {
                writes.insert(&self.store.waiting_of, *signature.as_bytes(), ticket.to_be_bytes());
            }
            tickets.push(ticket);
        }
        writes.commit()?;
        self.metrics.registrations_waiting.set(state.count);
        self.changed.notify_all();
        Ok(tickets)
    }

    /// The waiting registration of this signature, if there is one.
    pub fn get(&self, signature: Signature) -> Result<Option<Build>> {
        let Some(ticket) = self.store.waiting_of.get(signature.as_bytes())? else { return Ok(None) };
        Ok(self.store.waiting.get(ticket)?.map(|value| build(&value)))
    }

    /// Waits until no registration of this signature waits; false where one still does.
    pub fn is_settled(&self, signature: Signature, within: Duration) -> Result<bool> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        while self.store.waiting_of.contains_key(signature.as_bytes())? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(true)
    }

    /// Waits for a group to carry over.
    pub fn group(&self) -> Result<Vec<(Ticket, Build)>> {
        let mut state = self.state();
        loop {
            let (mut group, mut bytes) = (Vec::new(), 0);
            for entry in self.store.waiting.range(state.from.to_be_bytes()..) {
                let (key, value) = entry.into_inner()?;
                if state.refused.contains(&number(&key)) {
                    continue;
                }
                bytes += value.len();
                group.push((number(&key), build(&value)));
                if group.len() >= GROUP || bytes >= GROUP_BYTES {
                    break;
                }
            }
            if !group.is_empty() {
                return Ok(group);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes the outcomes of a group that is in the database, and deletes it here.
    pub fn settle(&self, group: &[(Ticket, Build)], outcomes: &[Registration]) -> Result<()> {
        let mut writes = self.store.database.writes();
        let mut state = self.state();
        for ((ticket, build), outcome) in group.iter().zip(outcomes) {
            writes.remove(&self.store.waiting, ticket.to_be_bytes());
            state.count = state.count.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(build.record.len() as u64 + 8);
            if let Registration::New(signature)
            | Registration::Known(signature)
            | Registration::Conflict(signature) = outcome
            {
                self.forget(&mut writes, *signature, *ticket)?;
            }
            state.outcomes.insert(*ticket, *outcome);
            // Groups are settled in the order of tickets.
            state.from = state.from.max(ticket + 1);
        }
        while state.outcomes.len() > OUTCOMES_MAX {
            state.outcomes.pop_first();
        }
        writes.commit()?;
        self.metrics.registrations_waiting.set(state.count);
        self.changed.notify_all();
        Ok(())
    }

    /// Forgets that the signature waits, unless a later registration of it does.
    fn forget(&self, writes: &mut Writes, signature: Signature, ticket: Ticket) -> Result<()> {
        let known = self.store.waiting_of.get(signature.as_bytes())?;
        if known.is_some_and(|known| number(&known) <= ticket) {
            writes.remove(&self.store.waiting_of, *signature.as_bytes());
        }
        Ok(())
    }

    /// Notes that the database refused this one.
    pub fn refuse(&self, ticket: Ticket) {
        self.state().refused.insert(ticket);
        self.changed.notify_all();
    }

    /// True when the database has it, false when the database refuses it; `None` where neither is
    /// so within the time.
    pub fn is_carried(&self, ticket: Ticket, within: Duration) -> Option<bool> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        loop {
            if state.refused.contains(&ticket) {
                return Some(false);
            }
            if ticket < state.from {
                return Some(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The outcome, if it comes within the time.
    pub fn outcome(&self, ticket: Ticket, within: Duration) -> Option<Registration> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        loop {
            if let Some(outcome) = state.outcomes.get(&ticket) {
                return Some(*outcome);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn build(value: &[u8]) -> Build {
    let record = Bytes::copy_from_slice(value.get(8..).unwrap_or_default());
    Build { record, registered_ns: number(value) as i64, made_again: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    #[test]
    fn of_two_registrations_of_one_signature_the_first_stands_while_they_wait() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let records = WaitingRecords::open(store.waiting(), Arc::new(Metrics::default()), 1 << 20).unwrap();
        let signature = Signature::from_bytes([1; 16]);
        let [first, second] = [b"first", b"later"].map(|record| (signature, Bytes::from_static(record)));
        let tickets = records.put(&[first.clone(), second.clone()], 7).unwrap();
        assert_eq!(records.get(signature).unwrap().unwrap().record, first.1);
        records.put(&[second], 8).unwrap();
        assert_eq!(records.get(signature).unwrap().unwrap().record, first.1);
        // With the first gone, nothing says any more that it waits: the database has it.
        let group = records.group().unwrap();
        assert_eq!(group[0].0, tickets[0]);
        records.settle(&group[..1], &[Registration::New(signature)]).unwrap();
        assert!(records.get(signature).unwrap().is_none());
    }
}
