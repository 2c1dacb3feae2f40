//! Who ran what: counts that grow with what is distinct, not with events.
//!
//! The stage follows the join through the queue and gathers counts in memory ([`use_counts`]).
//! Every few seconds it makes them durable, in one write together with its offset in the queue
//! ([`pending_tallies`]): so after a crash each event is counted, and once. Every minute, or when
//! somebody asks, they are added to what is asked ([`rows`]). What is bounded, and how the oldest
//! are deleted, is [`retention`]'s. Answers are made in [`answer`] and [`unregistered`], from sums
//! of rows ([`sum`]).

mod answer;
mod end_counts;
mod ending;
mod event_log;
mod forgotten;
mod gone_programs;
mod hash_key;
mod object_names;
mod objects;
mod old_rows;
mod pending_tallies;
mod program;
mod program_numbers;
mod recount;
mod retention;
mod rows;
mod shares;
mod software;
mod sum;
mod tally;
mod unregistered;
mod use_counts;

pub use answer::UsesQuestion;
pub use event_log::{EventLog, OwnEvents};
pub use object_names::{ObjectName, file_name};
pub use objects::ObjectQuestion;
pub use program::{Program, UseEvent};
pub use recount::Recount;
pub use software::SoftwareQuestion;
pub use sum::Narrowing;
pub use unregistered::{UnregisteredPage, UnregisteredQuestion};

use crate::{
    clock::now_ns,
    config::UsesConfig,
    database::{SumsStore, UsesStore, number},
    join::Joiner,
    learned::SoftwareNames,
    metrics::Metrics,
    queue::Entry,
    registry::{Registry, RegistryError},
    shutdown::Shutdown,
    start_digest::StartDigest,
    sums::{self, UNKNOWN_PROGRAM},
};
use anyhow::Result;
use end_counts::{EndProgram, LaterProgram};
use ending::Ending;
use object_names::ObjectNumber;
use ogrt_note::Signature;
use retention::Sweep;
use shares::UseShares;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{error, warn};
use use_counts::UseCounts;

/// The consumer's name in the queue, which no output can have.
pub const CONSUMER: &str = ".uses";

/// The time between two additions of counts to the rows, unless somebody asks.
const ADD_EVERY: Duration = Duration::from_secs(60);

/// The longest time for which events are gathered before other work is looked at.
const TURN: Duration = Duration::from_millis(50);

/// The number of a program.
pub type ProgramNumber = u64;

/// See the module.
pub struct Uses {
    store: UsesStore,
    log: Arc<dyn EventLog>,
    joiner: Arc<Joiner>,
    registry: Arc<dyn Registry>,
    names: Arc<SoftwareNames>,
    metrics: Arc<Metrics>,
    config: UsesConfig,
    /// A server of before left rows.
    has_old_rows: bool,
    /// Who has how much; only the stage's thread changes it.
    shares: Mutex<UseShares>,
    /// Batches before this one are wanted in the rows; and those that are.
    wanted: AtomicU64,
    complete: AtomicU64,
    asked: Notify,
}

/// What says what a program is.
pub struct Neighbours {
    pub joiner: Arc<Joiner>,
    pub registry: Arc<dyn Registry>,
    pub names: Arc<SoftwareNames>,
}

/// Why a question about uses has no answer.
#[derive(Debug, thiserror::Error)]
pub enum UsesError {
    /// The registry did not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The server's own database failed.
    #[error("the server's own database failed: {0}")]
    Store(fjall::Error),
    /// The pattern of a path cannot be read.
    #[error("{0}: expected the pattern of a path, such as /opt/*/libmpi.so*")]
    Pattern(String),
}

impl From<fjall::Error> for UsesError {
    fn from(cause: fjall::Error) -> Self {
        UsesError::Store(cause)
    }
}

impl Uses {
    /// Opens what is kept.
    pub fn new(
        store: UsesStore,
        log: Arc<dyn EventLog>,
        neighbours: Neighbours,
        metrics: Arc<Metrics>,
        config: UsesConfig,
    ) -> Result<Self> {
        let Neighbours { joiner, registry, names } = neighbours;
        metrics.programs.set(store.program_count.get()?);
        metrics.use_rows.set(store.row_count.get()?);
        metrics.sum_rows.set(store.sums.row_count.get()?);
        let (wanted, complete, asked) = (AtomicU64::new(0), AtomicU64::new(0), Notify::new());
        let has_old_rows = store.old_rows.first_key_value().is_some();
        let shares = Mutex::new(UseShares::open(&store, &config)?);
        let uses = Uses {
            store,
            log,
            joiner,
            registry,
            names,
            metrics,
            config,
            has_old_rows,
            shares,
            wanted,
            complete,
            asked,
        };
        uses.complete_months()?;
        sums::begin_hosts(&uses.store.sums)?;
        Ok(uses)
    }

    /// Counts until the join is closed. Runs in a thread of its own.
    pub async fn count(&self, give_up: Shutdown) {
        let mut counts = UseCounts::new(self.log.offset());
        let mut sweep = Sweep::default();
        let mut tail = self.log.tail();
        let mut written = Instant::now();
        // Whatever an earlier run left.
        let (mut added, mut is_adding) = (Instant::now(), true);
        while !give_up.asked() {
            let seen = *tail.borrow_and_update();
            let begun = Instant::now();
            while counts.next < seen.next && !counts.is_full() && begun.elapsed() < TURN {
                let done = self.gather(&mut counts);
                if done.is_err() {
                    // Half of a batch may be in the counts.
                    counts.start_over(self.log.offset(), &mut self.shares());
                    patiently("uses cannot be counted", done, &give_up).await;
                    break;
                }
            }
            self.metrics.uses_lag.set(tail.borrow().next.saturating_sub(counts.next));
            let caught_up = counts.next >= seen.next;
            let ending = seen.closed && caught_up;
            let wanted = self.wanted.load(Ordering::Acquire);
            let is_wanted = counts.next >= wanted && self.log.offset() < wanted;
            let is_due = written.elapsed() >= self.config.write_every.0;
            if counts.is_full() || is_due || ending || is_wanted {
                written = Instant::now();
                let done = self.write(&mut counts);
                if ending && done.is_ok() {
                    return;
                }
                patiently("counts of uses cannot be written", done, &give_up).await;
                let done = self.sweep(&mut sweep, &mut counts);
                patiently("old uses cannot be removed", done, &give_up).await;
            }
            let is_wanted = wanted > self.complete.load(Ordering::Acquire) && self.log.offset() >= wanted;
            if is_adding || is_wanted || added.elapsed() >= ADD_EVERY {
                let more = self.add_some();
                is_adding = *more.as_ref().unwrap_or(&true);
                added = Instant::now();
                patiently("counts of uses cannot be added up", more, &give_up).await;
            }
            if caught_up && !is_adding {
                let patience = self.config.write_every.0.saturating_sub(written.elapsed());
                tokio::select! {
                    // What comes together is taken together.
                    _ = tail.changed() => drop(timeout(Duration::from_millis(20), self.asked.notified()).await),
                    () = self.asked.notified() => {}
                    () = sleep(patience) => {}
                }
            }
        }
    }

    /// Takes the next batch of the queue.
    fn gather(&self, counts: &mut UseCounts) -> Result<()> {
        let Some((batch, held)) = self.log.entries(counts.next)? else {
            let head = self.log.head()?.max(counts.next + 1);
            warn!(
                "{} batches were dropped from the full queue before their uses were counted",
                head - counts.next
            );
            counts.next = head;
            self.forget_events(now_ns())?;
            return Ok(());
        };
        let mut rest = &batch.bytes[..];
        let mut event = UseEvent::default();
        for index in 0.. {
            let Some(entry) = Entry::borrowed(&mut rest) else { break };
            if held.binary_search(&index).is_ok() {
                continue;
            }
            self.count_entry(counts, &entry, &mut event)?;
        }
        counts.next += 1;
        Ok(())
    }

    /// Counts what an entry tells; it is read into this event.
    fn count_entry<'a>(
        &self,
        counts: &mut UseCounts,
        entry: &Entry<&'a [u8]>,
        event: &mut UseEvent<'a>,
    ) -> Result<()> {
        counts.limited.add(entry);
        let program = if event.read(entry) { self.count_one(counts, event)? } else { None };
        if let Some(end) = Ending::read(entry) {
            self.count_end(counts, &end, program.map(|later| (later, event.has_claims)))?;
        }
        Ok(())
    }

    /// Counts an event, and says its program; `None` where there is no room for it.
    fn count_one(&self, counts: &mut UseCounts, event: &UseEvent<'_>) -> Result<Option<ProgramNumber>> {
        let key = counts.key(event);
        if let Some(program) = counts.add(key, event) {
            return Ok(Some(program));
        }
        let name = self.user_name(event);
        let user = name.as_deref().map_or(event.username, str::as_bytes);
        let holder = event.holder(user);
        let Some(program) = counts.programs.number(self, event, &holder, &mut self.shares())? else {
            self.metrics.uses_dropped.add(1);
            return Ok(None);
        };
        counts.add_first(key, program, user, event);
        Ok(Some(program))
    }

    fn count_end(&self, counts: &mut UseCounts, end: &Ending<'_>, later: LaterProgram) -> Result<()> {
        let key = counts.ends.key(end, later);
        if counts.ends.add(key, end) {
            return Ok(());
        }
        let name = self.user_name(&end.process);
        let user = name.as_deref().map_or(end.process.username, str::as_bytes);
        let holder = end.process.holder(user);
        let digest = end.process.program_digest;
        let started = digest.map(|digest| counts.programs.of_start(self, &digest)).transpose()?.flatten();
        let program = match started {
            Some(program) => Some(program),
            None if end.is_named => {
                counts.programs.number(self, &end.process, &holder, &mut self.shares())?
            }
            None => None,
        };
        let program = EndProgram { program: program.unwrap_or(UNKNOWN_PROGRAM), is_whole: started.is_some() };
        counts.ends.add_first(key, program, later, user, end);
        Ok(())
    }

    /// The name that the kernel's uid has here; `None` where the event's own name counts.
    ///
    /// That is so of a claim, and of a proved event that came by a relay: the relay made the name
    /// of the uid. Any other name is only claimed.
    fn user_name(&self, event: &UseEvent<'_>) -> Option<Arc<str>> {
        let uid = event.uid.filter(|_| event.is_proved || event.username.is_empty())?;
        match self.joiner.user_name(uid) {
            None if !event.relay.is_empty() && !event.username.is_empty() => None,
            name => Some(name.unwrap_or_else(|| uid.to_string().into())),
        }
    }

    /// The tables of sums, as far as they are added.
    pub fn sums(&self) -> &SumsStore {
        &self.store.sums
    }

    /// Waits, not long, until what was received before is in the rows. Where that takes longer: the
    /// time of receipt from which on events are not counted yet.
    pub async fn catch_up(&self) -> Option<i64> {
        if self.catch_up_within(Duration::from_secs(2)).await {
            return None;
        }
        self.log.received_ns(self.complete.load(Ordering::Acquire))
    }

    /// Waits until what was received before is in the rows; false when that takes longer.
    pub async fn catch_up_within(&self, patience: Duration) -> bool {
        let until = self.log.received();
        self.wanted.fetch_max(until, Ordering::AcqRel);
        let deadline = Instant::now() + patience;
        while self.complete.load(Ordering::Acquire) < until {
            if Instant::now() >= deadline {
                return false;
            }
            self.asked.notify_one();
            sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// When something with the signature last ran, nanoseconds of Unix time, as far as it is
    /// counted by now.
    pub fn last_used(&self, signature: Signature) -> fjall::Result<Option<i64>> {
        let mut last = self.last_forgotten(&signature)?;
        for program in self.programs_with(signature)? {
            let count = self.whole(program)?.count;
            last = last.max((count.all() > 0).then_some(count.last_ns));
        }
        Ok(last)
    }

    fn shares(&self) -> MutexGuard<'_, UseShares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program with this number; of one that is gone, as far as sums name it, without what it
    /// had loaded.
    pub fn named_program(&self, program: ProgramNumber) -> fjall::Result<Option<Program>> {
        if let Some(known) = self.program(program)? {
            return Ok(Some(known));
        }
        Ok(sums::kept_name(&self.store.sums, program)?.and_then(|bytes| Program::read(&bytes)))
    }

    /// The program with this number, while it is kept.
    pub fn program(&self, program: ProgramNumber) -> fjall::Result<Option<Program>> {
        Ok(self.store.programs.get(program.to_be_bytes())?.and_then(|value| Program::read(&value)))
    }

    /// The program of the start with this digest, while it is kept.
    pub fn program_of_start(&self, digest: &StartDigest) -> fjall::Result<Option<ProgramNumber>> {
        program_numbers::of_start(&self.store, digest)
    }

    /// The bytes of the name of an object, while it is kept.
    pub fn object(&self, object: ObjectNumber) -> fjall::Result<Option<Vec<u8>>> {
        Ok(self.store.objects.get(object.to_be_bytes())?.map(|name| name.to_vec()))
    }

    /// Programs with the signature.
    fn programs_with(&self, signature: Signature) -> fjall::Result<Vec<ProgramNumber>> {
        let mut programs = Vec::new();
        for entry in self.store.programs_with.prefix(signature.as_bytes()) {
            programs.push(number(entry.key()?.get(16..).unwrap_or_default()));
        }
        programs.retain(|program| !forgotten::is_mark(*program));
        Ok(programs)
    }
}

/// Says what failed, and waits a moment before it is tried again.
async fn patiently<T>(what: &str, done: Result<T>, give_up: &Shutdown) {
    if let Err(problem) = done {
        error!("{what}: {problem:#}; it is tried again");
        let _ = timeout(Duration::from_secs(1), give_up.wait()).await;
    }
}
