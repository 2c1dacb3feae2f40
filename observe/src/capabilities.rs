//! Our own rights: the few that the parts need, and no others.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use std::io;

/// A right that a part needs for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Marks on filesystems (CAP_SYS_ADMIN).
    MarkFilesystems,
    /// What /proc tells of other users' processes (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH).
    ReadProcesses,
    /// A socket of the server that belongs to another user than root (CAP_DAC_OVERRIDE).
    ConnectToOthers,
}

impl Right {
    fn set(self) -> CapabilitySet {
        match self {
            Right::MarkFilesystems => CapabilitySet::SYS_ADMIN,
            Right::ReadProcesses => CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH,
            Right::ConnectToOthers => CapabilitySet::DAC_OVERRIDE,
        }
    }
}

/// Gives up every right but these, for good. It is called before the process has a second thread.
pub fn keep_only(rights: &[Right]) -> io::Result<()> {
    let wanted = rights.iter().fold(CapabilitySet::empty(), |all, right| all | right.set());
    let permitted = capabilities(None)?.permitted & wanted;
    let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    Ok(set_no_new_privs(true)?)
}
