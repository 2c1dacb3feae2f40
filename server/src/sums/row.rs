//! A row of sums: its key and its value, as they lie on disk.

use super::{JobSet, UNKNOWN_PROGRAM, status::STATUSES};
use crate::{
    dates,
    fair_shares::ShareHolder,
    stored_text::{put_name, put_proof, take_name, take_proof},
};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// The form of a row's value.
const FORM: u8 = 1;

/// The key of a row. Empty texts are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SumKey<'a> {
    /// Days since 1970, UTC.
    pub day: u16,
    pub program: u64,
    pub user: &'a [u8],
    /// Nobody proved who the user is, and that there was a process.
    pub is_claimed: bool,
    /// The relay that told of it; empty where this machine's kernel did, or nobody proved it.
    pub relay: &'a [u8],
    pub cluster: &'a [u8],
    pub account: &'a [u8],
    pub partition: &'a [u8],
    /// What was loaded after the start, as [`SumKey::later_number`] has it; 0: nothing was.
    pub later: u64,
    /// The number of the digest of the environment modules; 0: there was none.
    pub modules: u64,
    /// The number of the digest of the program, where its start had not come; else 0.
    pub started: u64,
    /// What was loaded, or the modules, are not known.
    pub is_partial: bool,
}

impl<'a> SumKey<'a> {
    /// Its bytes. Days come first, so a period is one range. What most rows do not have stands
    /// behind the others.
    pub fn bytes(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.put_u16(self.day);
        key.put_u64(self.program);
        put_name(&mut key, self.user);
        put_proof(&mut key, self.is_claimed, self.relay);
        for name in [self.cluster, self.account, self.partition] {
            put_name(&mut key, name);
        }
        if self.later != 0 || self.modules != 0 || self.started != 0 || self.is_partial {
            for number in [self.later, self.modules, self.started << 1 | u64::from(self.is_partial)] {
                encode_varint(number, &mut key);
            }
        }
        key
    }

    /// Reads them.
    pub fn read(mut key: &'a [u8]) -> Option<Self> {
        let (day, program) = (key.try_get_u16().ok()?, key.try_get_u64().ok()?);
        let user = take_name(&mut key)?;
        let (is_claimed, relay) = take_proof(&mut key)?;
        let mut name = || take_name(&mut key);
        let (cluster, account, partition) = (name()?, name()?, name()?);
        let mut row = SumKey {
            day,
            program,
            user,
            is_claimed,
            relay,
            cluster,
            account,
            partition,
            ..SumKey::default()
        };
        if key.has_remaining() {
            let mut number = || decode_varint(&mut key).ok();
            (row.later, row.modules) = (number()?, number()?);
            let started = number()?;
            (row.started, row.is_partial) = (started >> 1, started & 1 == 1);
        }
        Some(row)
    }

    /// The row of the month that has this one's day.
    pub fn of_month(self) -> Self {
        SumKey { day: dates::first_of_month(self.day), ..self }
    }

    /// The row of what has no room in this one: of the user's unknown programs.
    pub fn coarse(self) -> Self {
        let SumKey { day, user, is_claimed, relay, cluster, .. } = self;
        let program = UNKNOWN_PROGRAM;
        SumKey { day, program, user, is_claimed, relay, cluster, is_partial: true, ..SumKey::default() }
    }

    /// The program that tells what was loaded after the start.
    pub fn later_program(&self) -> Option<u64> {
        (self.later >> 1).checked_sub(1)
    }

    /// Only the process itself says what was loaded after the start.
    pub fn is_later_claimed(&self) -> bool {
        self.later & 1 == 1
    }

    /// The number for the program under which an end tells what was loaded after the start.
    /// `is_claimed`: only the process itself says so.
    pub fn later_number(program: u64, is_claimed: bool) -> u64 {
        (program + 1) << 1 | u64::from(is_claimed)
    }

    /// The sender to whose share the row counts.
    pub fn holder(&self) -> ShareHolder {
        match self.is_claimed {
            true => ShareHolder::claimed(self.user, b""),
            false => ShareHolder::proved_by(Some(self.relay).filter(|relay| !relay.is_empty()), self.user),
        }
    }
}

/// Processes that ended in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndSum {
    pub processes: u64,
    /// CPU time in microseconds, user and system mode, with that of workers.
    pub cpu_us: u64,
    /// The time from start to end, in microseconds.
    pub wall_us: u64,
}

impl EndSum {
    /// Both together.
    pub fn add(&mut self, more: &EndSum) {
        self.processes = self.processes.saturating_add(more.processes);
        self.cpu_us = self.cpu_us.saturating_add(more.cpu_us);
        self.wall_us = self.wall_us.saturating_add(more.wall_us);
    }
}

/// The value of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumRow {
    /// Processes that started.
    pub processes: u64,
    /// Those that ended, by status.
    pub ends: [EndSum; STATUSES.len()],
    /// The share of the jobs' node time, and of their CPUs' time, in microseconds.
    pub node_us: u64,
    pub core_us: u64,
    pub jobs: JobSet,
}

impl SumRow {
    /// Both together.
    pub fn merge(&mut self, more: SumRow) {
        self.processes = self.processes.saturating_add(more.processes);
        self.ends.iter_mut().zip(&more.ends).for_each(|(end, more)| end.add(more));
        self.node_us = self.node_us.saturating_add(more.node_us);
        self.core_us = self.core_us.saturating_add(more.core_us);
        self.jobs.merge(more.jobs);
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        for number in [self.processes, self.node_us, self.core_us] {
            encode_varint(number, &mut out);
        }
        let there = self.ends.iter().enumerate().filter(|(_, end)| **end != EndSum::default());
        let statuses = there.clone().fold(0u8, |all, (status, _)| all | 1 << status);
        out.put_u8(statuses);
        for (_, end) in there {
            for number in [end.processes, end.cpu_us, end.wall_us] {
                encode_varint(number, &mut out);
            }
        }
        self.jobs.write(&mut out);
        out
    }

    /// Reads all but the jobs, which are left at the front.
    pub fn read_sums(from: &mut &[u8]) -> Option<SumRow> {
        if from.try_get_u8().ok()? != FORM {
            return None;
        }
        let mut row = SumRow::default();
        for number in [&mut row.processes, &mut row.node_us, &mut row.core_us] {
            *number = decode_varint(from).ok()?;
        }
        let statuses = from.try_get_u8().ok()?;
        for (status, end) in row.ends.iter_mut().enumerate() {
            if statuses >> status & 1 == 1 {
                for number in [&mut end.processes, &mut end.cpu_us, &mut end.wall_us] {
                    *number = decode_varint(from).ok()?;
                }
            }
        }
        Some(row)
    }

    /// Reads all of it.
    pub fn read(mut value: &[u8]) -> Option<SumRow> {
        let row = SumRow::read_sums(&mut value)?;
        Some(SumRow { jobs: JobSet::read(&mut value)?, ..row })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_as_they_were_written() {
        let key = SumKey {
            day: 20_000,
            program: 7,
            user: b"ann",
            is_claimed: false,
            relay: b"rack1",
            cluster: b"alpha",
            account: b"chem",
            partition: b"",
            ..SumKey::default()
        };
        for program in [0, 1, 700] {
            let later = SumKey { later: SumKey::later_number(program, true), ..key };
            assert_eq!(SumKey::read(&later.bytes()).and_then(|read| read.later_program()), Some(program));
        }
        let with_more = SumKey { later: 600, modules: 7, started: 900, is_partial: true, ..key };
        assert_eq!(SumKey::read(&with_more.bytes()), Some(with_more));
        for key in [key, SumKey { relay: b"", ..key }, SumKey { relay: b"", is_claimed: true, ..key }] {
            let bytes = key.bytes();
            assert_eq!(SumKey::read(&bytes), Some(key));
            for cut in 0..bytes.len() {
                assert_eq!(SumKey::read(&bytes[..cut]), None, "cut at {cut}");
            }
        }
        assert_eq!(key.holder(), ShareHolder::proved_by(Some(b"rack1"), b"ann"));

        let mut row = SumRow { processes: 300, node_us: 1 << 50, core_us: 5, ..SumRow::default() };
        row.ends[1] = EndSum { processes: 2, cpu_us: 3, wall_us: u64::MAX };
        row.ends[5] = EndSum { processes: 1, ..EndSum::default() };
        row.jobs.add(&[4, 900]);
        let bytes = row.bytes();
        assert_eq!(SumRow::read(&bytes), Some(row));
        for cut in 0..bytes.len() {
            assert_eq!(SumRow::read(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
