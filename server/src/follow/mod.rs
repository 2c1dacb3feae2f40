//! Following: a process whose start came over a Unix socket is watched by pidfd until the kernel
//! says how it ended.
//!
//! Nothing runs in the process for it. The kernel marks its pidfd when it ends, and [`FollowStage`]
//! looks at all of them every few milliseconds: a watcher asleep in the kernel would make each
//! process that ends pay for waking it.
//!
//! ```text
//! receive: a start -> begin -> queue -> watch
//!          the process's own end -> queue, marked to wait for the kernel's
//! stage:   the kernel says that it ended -> all it sent has been received -> its end -> queue
//! ```
//!
//! Policy. A start has one end, the kernel's; what the process itself told of it becomes a part of
//! that one, by the join. Who else tells it is not heard. A process that lives when the server
//! stops is found again by the next one ([`OpenStarts`]). What is not known is absent. Tests:
//! `server/tests/server/follow.rs`.

mod accounts;
mod ancestors;
mod end_message;
mod ended_programs;
mod forks;
mod job_over;
mod observations;
mod open_starts;
mod open_streams;
mod places;
mod proc_usage;
mod process_key;
mod process_table;
mod receipts;
mod sample_times;
mod sender;
mod stage;
mod start_facts;
mod told_twice;
mod usage;

pub use job_over::UnseenEnds;
pub use open_starts::{CONSUMER, OpenStarts};
pub use open_streams::OpenStream;
pub use process_key::ProcessKey;
pub use process_table::ProcessStart;
pub use receipts::Receipts;
pub use stage::FollowStage;
pub use start_facts::is_fact;
pub use told_twice::StartTeller;

use crate::{alarm::Alarm, config::FollowConfig, fair_shares::ShareHolder, metrics::Metrics};
use accounts::Accounts;
use ancestors::Ancestors;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
    resource::{Resource, getrlimit},
};
use observations::Observations;
use ogrt_observe::KernelOffer;
use ogrt_proto::{EndAccount, Observation, Package};
use open_streams::OpenStreams;
use places::PlaceOffer;
use process_table::{EndCause, ProcessEnding, ProcessTable, StartOutcome};
use sender::SenderProcess;
use std::{
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};
use told_twice::ToldTwice;
use tracing::warn;

/// Events of a pidfd: once when the process has ended, once more when its parent has asked how.
const ENDS: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLET);

/// Why a further process is not followed.
const TOO_MANY: &str = "follow.processes_max, or half of the limit of open files, is reached";

/// The teller of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndTeller {
    /// The process is not followed, so whoever tells it is believed as far as ever.
    Unfollowed,
    /// The process itself, which is followed.
    Process,
    /// Somebody else, of a process that is followed.
    Stranger,
}

/// See the module.
pub struct Follow {
    offer: KernelOffer,
    /// `None` where nothing is followed.
    epoll: Option<Epoll>,
    /// The alarm of the thread that looks for ends.
    alarm: Alarm,
    /// The kernel tells of forks.
    hears_forks: bool,
    processes_max: usize,
    table: Mutex<ProcessTable>,
    ancestors: Mutex<Ancestors>,
    told_twice: Mutex<ToldTwice>,
    observations: Mutex<Observations>,
    accounts: Mutex<Accounts>,
    open_streams: OpenStreams,
    metrics: Arc<Metrics>,
    has_warned: AtomicBool,
    /// The time from which on processes have the numbers by which we see them.
    numbers_since_ns: AtomicI64,
}

impl Follow {
    /// Finds out what the kernel offers.
    pub fn open(config: &FollowConfig, metrics: Arc<Metrics>) -> Self {
        let offer = match config.processes_max {
            0 => KernelOffer::Nothing,
            _ => KernelOffer::find_out(),
        };
        let epoll = match offer {
            KernelOffer::Nothing => None,
            _ => Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok(),
        };
        // The other half is for connections and files.
        let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let processes_max = config.processes_max.min(usize::try_from(files / 2).unwrap_or(usize::MAX));
        let ancestors = Ancestors::new(config.forks && epoll.is_some());
        Follow {
            offer: if epoll.is_some() { offer } else { KernelOffer::Nothing },
            epoll,
            alarm: Alarm::new(),
            hears_forks: ancestors.hears_forks(),
            processes_max,
            table: Mutex::default(),
            ancestors: Mutex::new(ancestors),
            told_twice: Mutex::default(),
            observations: Mutex::default(),
            accounts: Mutex::default(),
            open_streams: OpenStreams::default(),
            metrics,
            has_warned: AtomicBool::new(false),
            numbers_since_ns: AtomicI64::new(i64::MIN),
        }
    }

    /// What is told of the end of a process that is followed: "exit status", "exit time" or "no".
    pub fn offer(&self) -> &'static str {
        self.offer.text()
    }

    /// True if processes are followed at all.
    pub fn is_on(&self) -> bool {
        self.epoll.is_some()
    }

    /// True if the start with this event id is followed, and has no end yet.
    pub fn is_open(&self, event_id: &[u8; 16]) -> bool {
        self.table().places().is_taken(event_id)
    }

    /// The starts whose processes have ended, with the time, and whose end is not told.
    fn ended_starts(&self) -> Vec<([u8; 16], i64)> {
        self.table().ended_starts()
    }

    /// The number of a process, and the time of its start, while it is that program.
    fn living(&self, key: ProcessKey, event_id: &[u8; 16]) -> Option<(u32, i64)> {
        let table = self.table();
        let start = table.living(key, event_id)?;
        Some((start.credentials.pid, start.began_ns()))
    }

    /// True of a process that was looked at since it became this program.
    fn was_looked_at(&self, key: ProcessKey, event_id: &[u8; 16]) -> bool {
        self.table().living(key, event_id).is_some_and(|start| start.usage.was_looked_at())
    }

    /// Keeps what was observed of a process for its end, if it is still the program that was seen;
    /// and what processes have used that have ended.
    pub fn observe(&self, mut observation: Observation) {
        self.metrics.ends_unobserved.add(observation.ends_lost.unwrap_or(0));
        if observation.tells_ends() {
            let mut accounts = self.accounts();
            accounts.are_told();
            accounts.add(std::mem::take(&mut observation.end_accounts), Instant::now());
        }
        let Observation { pid, process_number, seen_ns, shared_objects, gpus, packages, .. } = observation;
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let key = process_number.map(ProcessKey::of_number).or(pid.map(ProcessKey::of_pid));
        let Some((key, seen_ns)) = key.zip(seen_ns) else { return };
        let current = self.table().current(key);
        if let Some((event_id, began_ns)) = current
            && began_ns <= seen_ns
        {
            self.observations().add(&event_id, shared_objects, gpus, packages);
        }
    }

    /// Keeps the packages that a process says it uses, for its end, marked as its claim.
    pub fn claim(&self, key: ProcessKey, uid: u32, packages: Vec<Package>) {
        let current = self.table().current(key);
        if let Some((event_id, _)) = current {
            self.observations().claim(event_id, uid, packages);
        }
    }

    /// True while an observer tells exactly what processes have used.
    pub fn has_accounting(&self) -> bool {
        self.accounts().is_told()
    }

    /// No observer is there any more.
    pub fn is_unobserved(&self) {
        self.accounts().are_not_told();
    }

    /// True if the kernel's account of the program that this process began may still come.
    fn awaits_account(&self, pid: u32, began_ns: i64) -> bool {
        let accounts = self.accounts();
        accounts.is_told() && !accounts.has(pid, began_ns)
    }

    /// Takes the kernel's account of a process, where its last program is the one that ended.
    fn take_account(&self, end: &ProcessEnding) -> Option<EndAccount> {
        match end.how {
            EndCause::Pidfd(_) | EndCause::Absence => {
                self.accounts().take(end.start.credentials.pid, end.start.began_ns())
            }
            EndCause::Exec | EndCause::Unseen { .. } => None,
        }
    }

    /// Takes what was observed of the process of a start.
    fn take_observed(&self, event_id: &[u8; 16]) -> Vec<u8> {
        self.observations().take(event_id)
    }

    /// True if another teller has told of this exec before, so that this start is left out.
    pub fn is_told_twice(
        &self,
        start: &ProcessStart<'_>,
        pidfd: Option<&OwnedFd>,
        teller: StartTeller,
    ) -> bool {
        if !self.is_on() || self.metrics.observers.get() == 0 {
            return false;
        }
        let key = ProcessKey::of(start.credentials.pid, pidfd);
        let is_twice = self.told_twice().is_told(key, start.event_id, start.message, teller);
        self.metrics.starts_twice.add(u64::from(is_twice));
        is_twice
    }

    /// True if the start with this event id was left out, because it was told twice.
    pub fn is_left_out(&self, event_id: &[u8; 16]) -> bool {
        self.metrics.observers.get() != 0 && self.told_twice().is_left_out(event_id)
    }

    /// Follows the sender of a start from now on, by its pidfd where the kernel gave one. What it
    /// returns is to be given to [`Follow::watch`] when the start is on its way to the queue, so
    /// that no end comes before it.
    pub fn begin(&self, start: &ProcessStart<'_>, pidfd: Option<OwnedFd>) -> Option<ProcessKey> {
        if !self.is_on() {
            return None;
        }
        let sender = match SenderProcess::open(start, pidfd) {
            Ok(sender) => sender,
            Err(problem) => {
                self.is_unfollowed(problem.desc());
                return None;
            }
        };
        let mut table = self.table();
        if !self.has_place(&mut table, start, &sender) {
            return None;
        }
        let begun = match sender {
            SenderProcess::Found { key, pidfd } => table.begin(key, pidfd, start),
            SenderProcess::Gone => table.is_gone(start),
        };
        self.metrics.processes_followed.set(table.places().count() as u64);
        if self.metrics.observers.get() != 0 && table.places().is_taken(&start.event_id) {
            self.observations().begin(start.event_id, start.credentials.uid, start.message);
        }
        match begun {
            StartOutcome::Followed(key) => Some(key),
            StartOutcome::Over => None,
        }
    }

    /// Tells whether there is a place for a start. A program that a followed process has become has
    /// the place of the one before it.
    fn has_place(&self, table: &mut ProcessTable, start: &ProcessStart<'_>, sender: &SenderProcess) -> bool {
        let uid = start.credentials.uid;
        let offer = table.places().offer(uid, self.processes_max);
        if offer == PlaceOffer::Free || table.places().is_taken(&start.event_id) {
            return true;
        }
        if let SenderProcess::Found { key, .. } = sender
            && table.is_followed(*key)
        {
            if offer == PlaceOffer::OverShare {
                return true;
            }
            table.is_replaced(*key, start);
        }
        match offer {
            PlaceOffer::OverShare => self.is_over_share(uid),
            _ => self.is_unfollowed(TOO_MANY),
        }
        false
    }

    fn is_over_share(&self, uid: u32) {
        self.metrics.processes_unfollowed.add(1);
        let sender = ShareHolder::proved_uid(uid);
        self.metrics.over("follow.processes_max", &sender, 1, "further processes of it have no end");
    }

    /// Follows the process of a start that came to an earlier run of the server.
    fn go_on(&self, start: &ProcessStart<'_>, key: ProcessKey, pidfd: OwnedFd) {
        let mut table = self.table();
        match table.places().offer(start.credentials.uid, self.processes_max) {
            PlaceOffer::Free => {}
            PlaceOffer::OverShare => return self.is_over_share(start.credentials.uid),
            PlaceOffer::Full => return self.is_unfollowed(TOO_MANY),
        }
        table.begin(key, pidfd, start);
        self.metrics.processes_followed.set(table.places().count() as u64);
        drop(table);
        self.watch(&[key]);
    }

    /// Follows a process as its next program, where it is followed as an earlier one.
    fn goes_on(&self, start: &ProcessStart<'_>, key: Option<&ProcessKey>) -> bool {
        let mut table = self.table();
        let again = key.and_then(|key| Some((*key, table.pidfd(*key)?)));
        again.is_some_and(|(key, pidfd)| table.begin(key, pidfd, start) == StartOutcome::Followed(key))
    }

    /// The nearest process above the sender of a start that has told of itself, where its parent
    /// has not. Asked before [`Follow::begin`].
    pub fn ancestor(&self, start: &ProcessStart<'_>) -> Option<u32> {
        let (pid, parent) = (start.credentials.pid, start.parent_pid?);
        if !self.is_on() || pid == 0 {
            return None;
        }
        {
            let table = self.table();
            // What it was before exec stands above it.
            if table.places().has_pid(parent) || table.places().has_pid(pid) {
                return None;
            }
        }
        let mut ancestors = self.ancestors.lock().unwrap_or_else(PoisonError::into_inner);
        ancestors.read_forks();
        let table = self.table();
        ancestors.nearest(pid, parent, |pid| table.places().has_pid(pid))
    }

    /// True if no process above the sender of a start has told of itself. `ancestor`: the nearest
    /// that has, where its parent has not. Asked before [`Follow::begin`].
    pub fn is_outermost(&self, start: &ProcessStart<'_>, ancestor: Option<u32>) -> bool {
        let is_known = self.is_on() && start.credentials.pid != 0;
        let Some(parent) = start.parent_pid.filter(|_| is_known && ancestor.is_none()) else { return false };
        !self.table().places().has_pid(parent)
    }

    /// Remembers which processes of these ends are gone.
    fn are_over(&self, ends: &[ProcessEnding]) {
        let table = self.table();
        let gone: Vec<_> =
            ends.iter().filter(|end| !table.places().has_pid(end.start.credentials.pid)).collect();
        drop(table);
        let mut ancestors = self.ancestors.lock().unwrap_or_else(PoisonError::into_inner);
        for end in gone {
            if let Some(ended_ns) = end.ended_ns {
                ancestors.has_ended(end.start.credentials.pid, ended_ns);
            }
        }
    }

    /// Takes up which processes have forked.
    fn read_forks(&self) {
        self.ancestors.lock().unwrap_or_else(PoisonError::into_inner).read_forks();
    }

    /// Has the kernel tell the ends of processes that [`Follow::begin`] returned.
    pub fn watch(&self, keys: &[ProcessKey]) {
        let Some(epoll) = &self.epoll else { return };
        // Also where a start is over already.
        self.alarm.ring();
        if keys.is_empty() {
            return;
        }
        let mut table = self.table();
        for key in keys {
            let Some(pidfd) = table.begin_to_watch(*key) else { continue };
            if let Err(problem) = epoll.add(pidfd, EpollEvent::new(ENDS, key.to_event())) {
                table.forget(*key);
                self.is_unfollowed(problem.desc());
            }
        }
    }

    /// Tells who it is that sends the end with this event id.
    pub fn teller(&self, event_id: &[u8; 16], pid: Option<u32>) -> EndTeller {
        if !self.is_on() {
            return EndTeller::Unfollowed;
        }
        match self.table().places().pid_of(event_id) {
            None => EndTeller::Unfollowed,
            Some(followed) if Some(followed) == pid => EndTeller::Process,
            Some(_) => {
                self.metrics.ends_claimed.add(1);
                EndTeller::Stranger
            }
        }
    }

    fn is_unfollowed(&self, why: &str) {
        self.metrics.processes_unfollowed.add(1);
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(
                "a process cannot be followed: {why}. Its end is recorded only if the process tells it; \
                 ogrt_processes_unfollowed_total counts further ones"
            );
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observations(&self) -> MutexGuard<'_, Observations> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told_twice(&self) -> MutexGuard<'_, ToldTwice> {
        self.told_twice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, ProcessTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
