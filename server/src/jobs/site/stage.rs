//! The stage that writes this server's events into the site's database.

use super::Site;
use crate::{
    clock::now_ns,
    jobs::{CONSUMER, Jobs, PRUNE_EVERY, gather::WriteBatches},
    join::{BatchReader, Want},
    ledger::{Ear, LedgerError, Outcome, Place, Progress, Taking},
    shutdown::Shutdown,
};
use anyhow::Result;
use std::{
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

/// Entries' bytes behind one write.
const GATHER_BYTES: usize = 8 << 20;

/// The shortest time between two writes, however much is asked: small values take more room.
const LINGER: Duration = Duration::from_millis(50);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a server that has nothing to write says that it is there.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A question that is not answered yet.
#[derive(Clone, Copy)]
struct Question {
    number: i64,
    /// The end of the queue when it came.
    end: u64,
}

/// The state of the stage.
struct Writing<'a> {
    site: &'a Site,
    jobs: &'a Jobs,
    reader: BatchReader,
    place: Option<Place>,
    question: Option<Question>,
    /// The newest question that is answered.
    answered: i64,
    wrote: Instant,
    told: Instant,
    /// The last write had as much as one may have, and left something.
    is_behind: bool,
}

impl Site {
    /// Writes events until the join is closed. Runs in a thread of its own.
    pub async fn keep(self: &Arc<Self>, jobs: &Jobs, give_up: &Shutdown) {
        let deaf = Shutdown::new();
        if let Err(problem) = self.hear(deaf.clone()) {
            error!("questions at other servers are heard late: {problem}");
        }
        let reader = jobs.documents.reader(jobs.queue.offset(CONSUMER), Want::Entries);
        let now = Instant::now();
        let mut writing = Writing {
            site: self,
            jobs,
            reader,
            place: None,
            question: None,
            answered: 0,
            wrote: now,
            told: now,
            is_behind: false,
        };
        writing.run(give_up).await;
        deaf.ask();
    }

    /// Starts the thread that hears of questions.
    fn hear(&self, stop: Shutdown) -> std::io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (ear, ledger) = (Ear::new(self.asked.clone()), self.ledger.clone());
        let listen = move || runtime.block_on(ear.listen(&ledger, stop));
        thread::Builder::new().name("store ear".into()).spawn(listen).map(drop)
    }
}

impl Writing<'_> {
    async fn run(&mut self, give_up: &Shutdown) {
        let (mut tail, mut asked) = (self.reader.tail(), self.site.asked.subscribe());
        let mut end = self.reader.tail();
        let mut pruned = Instant::now();
        loop {
            let seen = *tail.borrow_and_update();
            let number = *asked.borrow_and_update();
            if self.question.is_none() && number > self.answered {
                self.question = Some(Question { number, end: self.jobs.queue.tail().borrow().next });
            }
            let step = self.step(seen.next, seen.closed);
            let next = self.place.as_ref().map_or(0, |place| place.next);
            self.jobs.metrics.jobs_lag.set(seen.next.saturating_sub(self.jobs.queue.offset(CONSUMER)));
            if give_up.asked() {
                return;
            }
            if let Some(place) = self.place.clone()
                && seen.closed
                && next >= seen.next
            {
                // Nobody waits for a server that was stopped in order.
                if let Err(problem) = self.tell(&place, true) {
                    self.log("the store is not told that this server stops", &problem);
                }
                return;
            }
            match step {
                Ok(()) if next < seen.next && (seen.closed || self.is_behind) => continue,
                // Another one came meanwhile.
                Ok(()) if self.question.is_none() && *asked.borrow() > self.answered => continue,
                Ok(()) => {}
                // Events wait in the queue for the next start.
                Err(_) if seen.closed => return,
                Err(()) => {
                    let _ = timeout(PAUSE, give_up.wait()).await;
                    continue;
                }
            }
            if pruned.elapsed() > PRUNE_EVERY {
                pruned = Instant::now();
                self.jobs.indexes.forget_old();
                if let Err(problem) = self.site.prune(&self.jobs.config, &self.jobs.metrics) {
                    self.log("old events of jobs cannot be removed", &problem);
                }
            }
            let mut patience = TELL_EVERY.saturating_sub(self.told.elapsed());
            if next < seen.next {
                patience = patience.min(self.write_after().saturating_sub(self.wrote.elapsed()));
            }
            tokio::select! {
                _ = tail.changed(), if next >= seen.next => {}
                _ = end.wait_for(|tail| tail.closed) => {}
                _ = asked.changed(), if self.question.is_none() => {}
                () = sleep(patience) => {}
            }
        }
    }

    /// Takes the place, writes what is due, and tells how far it is.
    fn step(&mut self, end: u64, is_closed: bool) -> Result<(), ()> {
        if self.place.is_none() {
            self.take().map_err(|problem| self.log("this server's place cannot be taken", &problem))?;
        }
        let Some(place) = self.place.clone() else { return Err(()) };
        let is_due = is_closed || self.is_behind || self.wrote.elapsed() >= self.write_after();
        let written = match place.next < end && is_due {
            true => self.write(&place, end),
            false => self.tell(&place, false),
        };
        match written {
            Ok(Outcome::Committed) => Ok(()),
            Ok(Outcome::Fenced) => {
                warn!(
                    "another server has taken the place of this one in the store: a copy of this server's data_dir \
                     is in use. This one goes on with a log of its own"
                );
                self.place = None;
                Err(())
            }
            Err(problem) => {
                self.log("events of jobs cannot be written to the store", &problem);
                // Whether it was written is seen when the place is taken again.
                self.place = None;
                Err(())
            }
        }
    }

    /// The time between two writes.
    fn write_after(&self) -> Duration {
        if self.question.is_some() { LINGER.min(self.site.write_every) } else { self.site.write_every }
    }

    fn write(&mut self, place: &Place, end: u64) -> Result<Outcome> {
        let (now, last) = (now_ns(), self.jobs.queue.tail().borrow().next);
        let gathered = WriteBatches::read(&self.reader, place.next, end, GATHER_BYTES)?;
        let to = gathered.to;
        let groups = {
            let shares = self.site.shares.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.groups(&shares)
        };
        let progress = self.progress(to, last, now);
        let outcome = self.site.write(&groups, place, to, progress)?;
        if outcome == Outcome::Committed {
            self.go_on(to, progress)?;
            (self.wrote, self.is_behind) = (Instant::now(), to < end);
        }
        Ok(outcome)
    }

    /// Says that this server is there, or that it has written all that a question wants.
    fn tell(&mut self, place: &Place, is_closed: bool) -> Result<Outcome> {
        let (now, last) = (now_ns(), self.jobs.queue.tail().borrow().next);
        let mut progress = self.progress(place.next, last, now);
        if progress.asked == self.answered && !is_closed && self.told.elapsed() < TELL_EVERY {
            return Ok(Outcome::Committed);
        }
        progress.is_closed = is_closed;
        let outcome = self.site.ledger.tell(place, progress)?;
        if outcome == Outcome::Committed {
            self.note(progress);
        }
        Ok(outcome)
    }

    /// How far this server is when it has written all before `to`; the queue ended at `last`.
    fn progress(&self, to: u64, last: u64, now: i64) -> Progress {
        let answers = self.question.filter(|question| to >= question.end);
        let counted_ns = if to >= last { None } else { self.jobs.queue.received_ns(to) };
        Progress {
            asked: answers.map_or(self.answered, |question| question.number),
            counted_ns: counted_ns.unwrap_or(now),
            is_closed: false,
        }
    }

    fn note(&mut self, progress: Progress) {
        self.told = Instant::now();
        self.answered = progress.asked;
        self.question = self.question.filter(|question| question.number > progress.asked);
    }

    /// The place is at `to` now, so the queue need not keep what is before.
    fn go_on(&mut self, to: u64, progress: Progress) -> Result<()> {
        if let Some(place) = &mut self.place {
            place.next = to;
        }
        self.note(progress);
        self.move_on(to)
    }

    fn move_on(&self, to: u64) -> Result<()> {
        let mut writes = self.jobs.queue.writes();
        // Whoever goes back to the server's own database does not find these events there.
        self.jobs.put_lost(&mut writes, now_ns())?;
        self.jobs.queue.move_on(CONSUMER, to, writes)
    }

    /// Takes this server's place; as another log where this one is a copy.
    fn take(&mut self) -> Result<()> {
        let mut log = self.site.log.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..3 {
            match self.site.ledger.take(CONSUMER, &log)? {
                Taking::Taken(place) => {
                    let offset = self.jobs.queue.offset(CONSUMER);
                    debug!("the place in the store: {place:?}, here {offset}");
                    if place.next > offset {
                        self.move_on(place.next)?;
                    }
                    self.place = Some(place);
                    return Ok(());
                }
                Taking::Diverged(from) => {
                    let from = from.max(self.jobs.queue.offset(CONSUMER));
                    info!(
                        "the store knows another log with this one's number: a copy, or a backup that was restored. \
                         This server goes on with a number of its own from batch {from}"
                    );
                    log.part(from)?;
                }
            }
        }
        anyhow::bail!("the store knows every number that this server's log has taken")
    }

    fn log(&self, what: &str, problem: &anyhow::Error) {
        // The connection has logged that the database is away.
        match problem.downcast_ref() {
            Some(LedgerError::Away(_)) => debug!("{what}: {problem:#}"),
            _ => error!("{what}: {problem:#}; it is tried again"),
        }
    }
}
