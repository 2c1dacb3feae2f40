//! What was used on each day: processes, jobs, CPU time, node time, by program, user, account.
//!
//! ```text
//! day, program, user, who proved it, cluster, account, partition -> sums, and the jobs' numbers
//! ```
//! A process counts on the day on which it began. Rows grow with what is distinct. The same
//! stands there by month ([`forget_days`]), so a report over years is quick, and days that are long
//! past can go. What they are made of comes
//! as tallies ([`SumTally`]), which the stage of uses makes durable together with its offset in the
//! queue; here they are added ([`add`]), in the write that removes them. So each process counts
//! once, whatever crashes.
//!
//! Node time is a job's: its nodes, from its first process's start to its last one's end. It is
//! shared among its rows by CPU time ([`job_record`]). The same record tells how the job goes, and
//! jobs are found by a list of these ([`job_list`]).
//!
//! Hosts have rows of their own ([`hosts`]).

mod add;
mod change;
mod digest_numbers;
mod hosts;
pub mod job_list;
mod job_outcome;
mod job_record;
mod job_set;
mod limited;
mod months;
mod programs;
mod replacement;
mod row;
mod status;
mod tally;

pub use add::{Added, RecordKey, add, add_but, record};
pub use digest_numbers::digest_of;
pub use hosts::{HostKey, begin as begin_hosts, hosts_since_ns, take_holder};
pub use job_list::ListedJob;
pub use job_outcome::JobState;
pub use job_record::JobRecord;
pub use job_set::JobSet;
pub use limited::{LimitedCounts, limited_processes};
pub use months::{RowChanges, complete_day, days_since, forget_days, forget_jobs};
pub use programs::{keep_name, kept_name};
pub use replacement::{DayFigures, DayOutcome, Replacement, compare, copy_numbers, first_whole_day};
pub use row::{EndSum, SumKey, SumRow};
pub use status::{STATUSES, Status};
pub use tally::{JobFacts, Modules, SumTally};

/// Stands for a program that nobody knows: of an end that does not name it, or beyond the bounds.
pub const UNKNOWN_PROGRAM: u64 = u64::MAX;
