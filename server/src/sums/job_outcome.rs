//! How a job goes: its processes, how they ended, and what that says of the job.
//!
//! A command that fails in a script says nothing of its job. What does is the end of an outermost
//! process, of a rank of MPI, or of any process that the kernel killed because memory was short: a
//! *verdict*. Only ends that a kernel told are verdicts.

use super::{EndSum, STATUSES, Status, tally::SumTally};
use crate::stored_text::{put_name, take_name};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// The state of a job, as its processes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Nobody told how it ended.
    Unknown,
    /// All that says how it went exited with status 0.
    Completed,
    /// A process has no end yet, of those whose ends a kernel tells.
    Running,
    /// A process that counts exited with another status than 0.
    Failed,
    /// A process that counts was ended by a signal.
    Killed,
    /// The kernel killed a process because memory was short.
    Oom,
}

impl JobState {
    /// All of them.
    pub const ALL: [JobState; 6] = [
        JobState::Unknown,
        JobState::Completed,
        JobState::Running,
        JobState::Failed,
        JobState::Killed,
        JobState::Oom,
    ];

    /// The word in questions and answers.
    pub fn text(self) -> &'static str {
        match self {
            JobState::Unknown => "unknown",
            JobState::Completed => "completed",
            JobState::Running => "running",
            JobState::Failed => "failed",
            JobState::Killed => "killed",
            JobState::Oom => "oom",
        }
    }

    /// The state of this word.
    pub fn read(text: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.text() == text)
    }

    fn of_failure(status: Status) -> Option<JobState> {
        match status {
            Status::Failed => Some(JobState::Failed),
            Status::Killed => Some(JobState::Killed),
            Status::Oom => Some(JobState::Oom),
            Status::Completed | Status::Exec | Status::Unseen => None,
        }
    }
}

/// Stand in front of the worst end on disk: of one by its program alone, and of one with a name.
const WORST: u8 = 1;
const NAMED_WORST: u8 = 2;

/// The first verdict of the worst state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorstEnd {
    pub status: Status,
    /// The exit status, or the signal.
    pub number: u8,
    pub program: u64,
    /// The name of what it ran, where its file does not say that; else empty.
    pub what_ran: Vec<u8>,
    /// When its process began.
    began_ns: i64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOutcome {
    /// Processes that started.
    pub started: u64,
    /// Those that ended, by status.
    pub ends: [EndSum; STATUSES.len()],
    /// Verdicts, by status.
    verdicts: [u64; STATUSES.len()],
    pub worst: Option<WorstEnd>,
}

impl JobOutcome {
    /// Adds processes.
    pub fn add(&mut self, tally: &SumTally<'_>) {
        self.started = self.started.saturating_add(tally.processes);
        let Some((status, sum)) = &tally.ends else { return };
        self.ends[*status as usize].add(sum);
        let Some(number) = tally.verdict else { return };
        let verdicts = &mut self.verdicts[*status as usize];
        *verdicts = verdicts.saturating_add(sum.processes);
        let Some(state) = JobState::of_failure(*status) else { return };
        let end = WorstEnd {
            status: *status,
            number,
            program: tally.key.program,
            what_ran: tally.what_ran.to_vec(),
            began_ns: tally.first_ns,
        };
        let rank = |end: &WorstEnd| (JobState::of_failure(end.status), std::cmp::Reverse(end.began_ns));
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| rank(worst) < (Some(state), std::cmp::Reverse(end.began_ns)))
        {
            self.worst = Some(end);
        }
    }

    /// Processes: an end may be known without its start.
    pub fn processes(&self) -> u64 {
        self.started.max(self.ended())
    }

    /// Processes without an end.
    pub fn open(&self) -> u64 {
        self.processes() - self.ended()
    }

    /// CPU time, in microseconds.
    pub fn cpu_us(&self) -> u64 {
        self.ends.iter().fold(0, |sum, end| sum.saturating_add(end.cpu_us))
    }

    /// Verdicts of this status.
    pub fn verdicts(&self, status: Status) -> u64 {
        self.verdicts[status as usize]
    }

    /// The state of the job. `is_claimed`: nobody proved its processes.
    pub fn state(&self, is_claimed: bool) -> JobState {
        match self.worst.as_ref().and_then(|worst| JobState::of_failure(worst.status)) {
            Some(failure) => failure,
            None if self.is_running(is_claimed) => JobState::Running,
            None if self.verdicts(Status::Completed) > 0 && self.verdicts(Status::Unseen) == 0 => {
                JobState::Completed
            }
            None => JobState::Unknown,
        }
    }

    /// A process has no end yet, and a kernel tells of ends.
    pub fn is_running(&self, is_claimed: bool) -> bool {
        !is_claimed && self.open() > 0
    }

    /// Tells that both say the same. Of several ends at one moment, any may be the worst.
    pub fn is_like(&self, other: &JobOutcome) -> bool {
        let sums = |outcome: &JobOutcome| {
            let worst = outcome.worst.as_ref().map(|worst| (worst.status, worst.began_ns));
            (outcome.started, outcome.ends, outcome.verdicts, worst)
        };
        sums(self) == sums(other)
    }

    fn ended(&self) -> u64 {
        self.ends.iter().fold(0, |sum, end| sum.saturating_add(end.processes))
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_varint(self.started, out);
        for (end, verdicts) in self.ends.iter().zip(self.verdicts) {
            for number in [end.processes, end.cpu_us, end.wall_us, verdicts] {
                encode_varint(number, out);
            }
        }
        let Some(worst) = &self.worst else { return out.put_u8(0) };
        out.put_u8(if worst.what_ran.is_empty() { WORST } else { NAMED_WORST });
        out.put_slice(&[worst.status as u8, worst.number]);
        out.put_u64(worst.program);
        out.put_i64(worst.began_ns);
        if !worst.what_ran.is_empty() {
            put_name(out, &worst.what_ran);
        }
    }

    /// Takes one off the front.
    pub fn read(from: &mut &[u8]) -> Option<JobOutcome> {
        let mut outcome = JobOutcome { started: decode_varint(from).ok()?, ..JobOutcome::default() };
        for (end, verdicts) in outcome.ends.iter_mut().zip(&mut outcome.verdicts) {
            for number in [&mut end.processes, &mut end.cpu_us, &mut end.wall_us, verdicts] {
                *number = decode_varint(from).ok()?;
            }
        }
        let worst = from.try_get_u8().ok()?;
        if worst == WORST || worst == NAMED_WORST {
            let status = *STATUSES.get(usize::from(from.try_get_u8().ok()?))?;
            let (number, program) = (from.try_get_u8().ok()?, from.try_get_u64().ok()?);
            let began_ns = from.try_get_i64().ok()?;
            let what_ran = if worst == NAMED_WORST { take_name(from)?.to_vec() } else { Vec::new() };
            outcome.worst = Some(WorstEnd { status, number, program, what_ran, began_ns });
        }
        Some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::SumKey;

    fn start<'a>(processes: u64) -> SumTally<'a> {
        SumTally { job: b"1", processes, ..SumTally::default() }
    }

    fn end<'a>(status: Status, verdict: Option<u8>, program: u64, first_ns: i64) -> SumTally<'a> {
        let sum = EndSum { processes: 1, cpu_us: 7, wall_us: 9 };
        let key = SumKey { program, ..SumKey::default() };
        SumTally { key, first_ns, ends: Some((status, sum)), verdict, ..start(0) }
    }

    #[test]
    fn a_job_has_the_worst_of_its_verdicts_and_no_other_end_counts() {
        let mut job = JobOutcome::default();
        job.add(&start(4));
        assert_eq!([false, true].map(|claimed| job.state(claimed)), [JobState::Running, JobState::Unknown]);
        job.add(&end(Status::Failed, None, 1, 0));
        job.add(&end(Status::Completed, Some(0), 2, 0));
        assert_eq!((job.state(false), job.open()), (JobState::Running, 2));
        job.add(&end(Status::Killed, None, 3, 0));
        job.add(&end(Status::Completed, None, 3, 0));
        assert_eq!((job.state(false), job.open(), job.cpu_us()), (JobState::Completed, 0, 28));
        for (status, number, program, began_ns) in [
            (Status::Failed, 3, 4, 50),
            (Status::Failed, 4, 5, 40),
            (Status::Killed, 9, 6, 90),
            (Status::Failed, 5, 7, 10),
        ] {
            let what_ran: &[u8] = if status == Status::Killed { b"fit.py" } else { b"" };
            job.add(&SumTally { what_ran, ..end(status, Some(number), program, began_ns) });
            let mut bytes = Vec::new();
            job.write(&mut bytes);
            assert_eq!(JobOutcome::read(&mut &bytes[..]), Some(job.clone()));
            assert!((0..bytes.len()).all(|cut| JobOutcome::read(&mut &bytes[..cut]).is_none()));
        }
        let worst = job.worst.as_ref().map(|worst| (worst.number, worst.program));
        assert_eq!(
            (job.state(false), worst, job.verdicts(Status::Failed)),
            (JobState::Killed, Some((9, 6)), 3)
        );
        assert_eq!(job.worst.as_ref().map(|worst| &worst.what_ran[..]), Some(&b"fit.py"[..]));
        // More ends than starts: a start was lost.
        assert_eq!((job.processes(), job.open()), (8, 0));
    }

    #[test]
    fn a_job_whose_outermost_end_nobody_saw_is_not_said_to_be_complete() {
        let mut job = JobOutcome::default();
        job.add(&end(Status::Completed, Some(0), 1, 0));
        job.add(&end(Status::Unseen, Some(0), 1, 0));
        assert_eq!(job.state(false), JobState::Unknown);
        assert_eq!(JobState::ALL.map(|state| JobState::read(state.text())), JobState::ALL.map(Some));
    }
}
