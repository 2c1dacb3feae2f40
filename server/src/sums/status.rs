//! How a process ended, as sums tell it.

use ogrt_proto::EndedBy;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It ended by exit with status 0.
    Completed,
    /// It ended by exit with another status.
    Failed,
    /// A signal ended it.
    Killed,
    /// The kernel killed it because memory was short.
    Oom,
    /// It went on as another program, which counts as a process of its own.
    Exec,
    /// It has ended, and nobody saw how.
    Unseen,
}

/// All of them, in the order of their numbers on disk.
pub const STATUSES: [Status; 6] =
    [Status::Completed, Status::Failed, Status::Killed, Status::Oom, Status::Exec, Status::Unseen];

impl Status {
    /// The status by the fields of a ProcessEnd. `is_oom`: the kernel says that memory was short.
    pub fn of(ended_by: u64, exit_status: u64, is_oom: bool) -> Self {
        match i32::try_from(ended_by).ok().and_then(|how| EndedBy::try_from(how).ok()) {
            Some(EndedBy::Exit) if exit_status == 0 => Status::Completed,
            Some(EndedBy::Exit) => Status::Failed,
            Some(EndedBy::Signal) if is_oom => Status::Oom,
            Some(EndedBy::Signal) => Status::Killed,
            Some(EndedBy::Exec) => Status::Exec,
            Some(EndedBy::Unknown) | None => Status::Unseen,
        }
    }

    /// The word in answers.
    pub fn text(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Killed => "killed",
            Status::Oom => "oom",
            Status::Exec => "exec",
            Status::Unseen => "unknown",
        }
    }
}
