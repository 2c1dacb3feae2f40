//! What ogrt-observe tells of processes that have ended: exact CPU time and memory, by the kernel's
//! accounting.
//!
//! It comes by the number of a process, a moment before or after we see the end ourselves. So an
//! end waits for it, for a bounded time, and only while an observer says that it tells ends. The
//! account of a program is the one whose last exec was before its start, and whose end came after
//! it. Tests: `tests/end_to_end/tests/observe_ends.rs`.

use ogrt_observe::FIRST_PID_NAMESPACE;
use ogrt_proto::EndAccount;
use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

/// Accounts that are kept, at most. The oldest is dropped.
const ACCOUNTS_MAX: usize = 65_536;

/// Time for which an account is kept that nobody asks for: its start may be on its way.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// Time that an end waits for its account. The observer rests for 200 ms at most.
pub const WAIT: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub struct Accounts {
    by_pid: HashMap<u32, EndAccount>,
    order: VecDeque<(Instant, u32, i64)>,
    /// An observer tells ends.
    is_told: bool,
    /// Numbers of processes mean the same to the observer and to us.
    has_same_numbers: Option<bool>,
}

impl Accounts {
    /// An observer says that it tells ends.
    pub fn are_told(&mut self) {
        let here = || fs::metadata("/proc/self/ns/pid").is_ok_and(|here| here.ino() == FIRST_PID_NAMESPACE);
        self.is_told = *self.has_same_numbers.get_or_insert_with(here);
    }

    /// No observer is there any more.
    pub fn are_not_told(&mut self) {
        self.is_told = false;
    }

    /// True while ends are told.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Takes what an observer has told.
    pub fn add(&mut self, accounts: Vec<EndAccount>, now: Instant) {
        if !self.is_told {
            return;
        }
        for account in accounts {
            let pid = account.pid.and_then(|pid| u32::try_from(pid).ok());
            let Some((pid, seen_ns)) = pid.zip(account.seen_ns) else { continue };
            self.by_pid.insert(pid, account);
            self.order.push_back((now, pid, seen_ns));
        }
        let is_over = |(came, _, _): &mut (Instant, u32, i64)| now.duration_since(*came) > KEPT_FOR;
        while let Some((_, pid, seen_ns)) = match self.order.len() > ACCOUNTS_MAX {
            true => self.order.pop_front(),
            false => self.order.pop_front_if(is_over),
        } {
            self.forget(pid, seen_ns);
        }
    }

    fn forget(&mut self, pid: u32, seen_ns: i64) {
        if self.by_pid.get(&pid).is_some_and(|account| account.seen_ns == Some(seen_ns)) {
            self.by_pid.remove(&pid);
        }
    }

    /// True if there is one of the program that this process began at this time.
    pub fn has(&self, pid: u32, began_ns: i64) -> bool {
        self.by_pid.get(&pid).is_some_and(|account| is_of(account, began_ns))
    }

    /// Takes the one of the program that this process began at this time.
    pub fn take(&mut self, pid: u32, began_ns: i64) -> Option<EndAccount> {
        self.has(pid, began_ns).then(|| self.by_pid.remove(&pid)).flatten()
    }
}

fn is_of(account: &EndAccount, began_ns: i64) -> bool {
    let was_that_program = account.exec_ns.is_some_and(|exec_ns| exec_ns <= began_ns);
    was_that_program && account.seen_ns.is_some_and(|seen_ns| seen_ns >= began_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(pid: i32, exec_ns: i64, seen_ns: i64) -> EndAccount {
        EndAccount { pid: Some(pid), exec_ns: Some(exec_ns), seen_ns: Some(seen_ns), ..EndAccount::default() }
    }

    fn told() -> Accounts {
        Accounts { is_told: true, ..Accounts::default() }
    }

    #[test]
    fn an_account_is_of_the_last_program_of_its_process_alone() {
        let (mut accounts, now) = (told(), Instant::now());
        accounts.add(vec![account(7, 100, 200)], now);
        assert!(!accounts.has(7, 99), "it went on as another program");
        assert!(!accounts.has(7, 201), "that process was gone before");
        assert!(!accounts.has(8, 150));
        assert!(accounts.take(7, 100).is_some() && accounts.take(7, 100).is_none());
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_and_what_is_kept_has_a_bound() {
        let (mut accounts, now) = (told(), Instant::now());
        accounts.add(vec![account(7, 100, 200)], now);
        accounts.add(vec![account(8, 100, 200)], now + KEPT_FOR * 2);
        assert!(!accounts.has(7, 150) && accounts.has(8, 150));
        let many = (0..ACCOUNTS_MAX as i32 + 9).map(|pid| account(pid, 100, 200)).collect();
        accounts.add(many, now + KEPT_FOR * 2);
        assert!(accounts.by_pid.len() <= ACCOUNTS_MAX && accounts.order.len() <= ACCOUNTS_MAX);
        accounts.are_not_told();
        accounts.add(vec![account(1, 300, 400)], now);
        assert!(!accounts.has(1, 350));
    }
}
