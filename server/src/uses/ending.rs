//! What the end of a process tells of its use: how it ended, and what it took.
//!
//! The server that followed a process repeats in its end what sums need of its start. An end that
//! does not repeat it, from clients that speak for themselves, counts under an unknown program.

use super::program::UseEvent;
use crate::{
    fields::{Fields, Value},
    queue::{EndSource, Entry, Kind},
    start_digest::StartDigest,
    stored_text::NAME_MAX,
    sums::{EndSum, Status},
};
use ogrt_proto::{
    ToldBy,
    field_numbers::{process_end, process_info},
};

/// See the module.
pub struct Ending<'a> {
    /// The process as its start told of it, with the time of its start.
    pub process: UseEvent<'a>,
    /// It has told of its program.
    pub is_named: bool,
    pub status: Status,
    pub sum: EndSum,
    pub ended_ns: i64,
    /// It says how its job went, with this exit status or signal.
    pub verdict: Option<u8>,
    /// The name of what it ran, where its file does not say that.
    pub what_ran: &'a [u8],
    /// The digest of the names of its modules.
    pub modules_digest: Option<StartDigest>,
}

impl<'a> Ending<'a> {
    /// Reads one; `None` where that is no end.
    pub fn read(entry: &Entry<&'a [u8]>) -> Option<Self> {
        if entry.kind != Kind::End {
            return None;
        }
        let (mut job, mut cluster, mut host, mut start) = (&[][..], &[][..], &[][..], &[][..]);
        let (mut ended_ns, mut alive_until_ns, mut duration_ns) = (None, None, None);
        let (mut ended_by, mut exit_status, mut signal, mut part_index) = (0, 0, 0, None);
        let mut is_oom = false;
        let mut is_told = entry.end_source == EndSource::Kernel;
        let mut cpu_us = 0u64;
        for field in Fields::of(entry.message) {
            match field.ok()? {
                (process_end::JOB_ID, Value::Bytes(bytes)) => job = bytes,
                (process_end::CLUSTER, Value::Bytes(bytes)) => cluster = bytes,
                (process_end::HOSTNAME, Value::Bytes(bytes)) => host = bytes,
                (process_end::START, Value::Bytes(bytes)) => start = bytes,
                (process_end::TIME_NS, Value::Varint(ns)) => ended_ns = Some(ns as i64),
                (process_end::ALIVE_UNTIL_NS, Value::Varint(ns)) => alive_until_ns = Some(ns as i64),
                (process_end::DURATION_NS, Value::Varint(ns)) => duration_ns = i64::try_from(ns).ok(),
                (process_end::ENDED_BY, Value::Varint(how)) => ended_by = how,
                (process_end::EXIT_STATUS, Value::Varint(status)) => exit_status = status,
                (process_end::SIGNAL, Value::Varint(number)) => signal = number,
                (process_end::OOM_KILLED, Value::Varint(value)) => is_oom = value != 0,
                // Parts stand in their order, and the first one says how it ended.
                (process_end::PART_INDEX, Value::Varint(index)) => {
                    part_index.get_or_insert(index);
                }
                (process_end::TOLD_BY, Value::Varint(by)) => {
                    is_told |= entry.via.is_some() && by == ToldBy::Kernel as u64
                }
                (
                    process_end::USER_TIME_US | process_end::SYSTEM_TIME_US | process_end::WORKER_TIME_US,
                    Value::Varint(us),
                ) => cpu_us = cpu_us.saturating_add(us),
                _ => {}
            }
        }
        if part_index.unwrap_or(0) > 0 {
            return None;
        }
        let status = Status::of(ended_by, exit_status, is_oom && is_told);
        let mut process = UseEvent::default();
        let ReadStart { started_ns, speaks_for_job, modules_digest, ranks, what_ran } =
            process.read_start(start);
        let is_named = process.is_named();
        (process.job, process.cluster, process.host) = (job, cluster, host);
        if let Some(kernel) = entry.credentials {
            (process.uid, process.is_proved) = (Some(kernel.uid), true);
            process.relay = entry.relay_name().unwrap_or_default();
        }
        let ended_ns = entry.believed_ns(ended_ns.or(alive_until_ns));
        // A long life ends long after the start was received: the duration leads back to it.
        let started_ns = match (duration_ns, started_ns) {
            (Some(duration), _) => ended_ns.saturating_sub(duration),
            (None, Some(started)) if started <= ended_ns => started,
            _ => ended_ns,
        };
        process.time_ns = started_ns.max(0);
        process.cut();
        // XALT records one rank for all of a launch: its time stands for theirs.
        let ranks = if entry.is_import() { ranks } else { 1 };
        let wall_us = duration_ns.map_or(0, |ns| ns.unsigned_abs() / 1000).saturating_mul(ranks);
        let speaks_for_job = is_told && (speaks_for_job || status == Status::Oom);
        let verdict = speaks_for_job.then_some(match status {
            Status::Failed => exit_status as u8,
            Status::Killed | Status::Oom => signal as u8,
            Status::Completed | Status::Exec | Status::Unseen => 0,
        });
        let sum = EndSum { processes: 1, cpu_us, wall_us };
        // Of what failed alone it is told.
        let is_told = verdict.is_some_and(|number| number > 0);
        let what_ran = if is_told { &what_ran[..what_ran.len().min(NAME_MAX)] } else { &[] };
        Some(Ending { process, is_named, status, sum, ended_ns, verdict, what_ran, modules_digest })
    }
}

/// What an end repeats of its start, beside what uses count.
struct ReadStart<'a> {
    /// The time of the start, as the sender says.
    started_ns: Option<i64>,
    /// Its end says how its job went: it was a rank of a launch, or nothing above it told of
    /// itself.
    speaks_for_job: bool,
    modules_digest: Option<StartDigest>,
    what_ran: &'a [u8],
    /// The number of ranks of its launch.
    ranks: u64,
}

impl<'a> UseEvent<'a> {
    /// Reads what an end repeats of its start.
    fn read_start(&mut self, start: &'a [u8]) -> ReadStart<'a> {
        let (started_ns, modules_digest, what_ran) = (None, None, &[][..]);
        let mut read = ReadStart { started_ns, speaks_for_job: false, modules_digest, what_ran, ranks: 1 };
        for (number, value) in Fields::of(start).map_while(Result::ok) {
            match (number, value) {
                (process_info::START_TIME_NS, Value::Varint(ns)) => read.started_ns = Some(ns as i64),
                (process_info::IS_OUTERMOST, Value::Varint(value)) => read.speaks_for_job |= value != 0,
                (process_info::MPI_SIZE, Value::Varint(size)) => read.ranks = size.clamp(1, u32::MAX.into()),
                // A rank alone says nothing: Slurm gives one to all that a batch script runs.
                (process_info::LAUNCH, Value::Bytes(bytes)) => read.speaks_for_job |= !bytes.is_empty(),
                (process_info::WHAT_RAN, Value::Bytes(bytes)) => read.what_ran = bytes,
                (process_info::PROGRAM_DIGEST, Value::Bytes(bytes)) => {
                    self.program_digest = bytes.try_into().ok();
                }
                (process_info::MODULES_DIGEST, Value::Bytes(bytes)) => {
                    read.modules_digest = bytes.try_into().ok();
                }
                (number, value) => self.start_field(number, value),
            }
        }
        read
    }
}
