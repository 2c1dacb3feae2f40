//! Who ran what: counts that grow with what is distinct, not with events.
//!
//! The stage follows the join through the queue and gathers counts in memory ([`gather`]). Every few seconds it makes
//! them durable, in one write together with its place in the queue ([`tally`]): so after a crash each event is
//! counted, and once. Every minute, or when somebody asks, they are added to what is asked ([`rows`]).
//! What is bounded, and how the oldest go, is [`retention`]'s. Answers are made in [`answer`] and [`unregistered`].

mod answer;
mod gather;
mod hash_key;
mod program;
mod program_numbers;
mod retention;
mod rows;
mod tally;
mod unregistered;

pub use answer::Question;
pub use unregistered::{Unregistered, UnregisteredQuestion};

use crate::{
    config::UsesConfig,
    database::{Store, number},
    join::{Joined, Joiner},
    metrics::Metrics,
    queue::{Entry, Queue},
    registry::Registry,
    shutdown::Shutdown,
};
use anyhow::Result;
use gather::Gathered;
use ogrt_note::Signature;
use program::{Image, Seen};
use retention::Sweep;
use rows::{About, Count};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{error, warn};

/// Its place in the queue has this name, which no output can have.
pub const PLACE: &str = ".uses";

/// Names of numbers in `totals`.
const IMAGES: &str = "images";
const NEXT_IMAGE: &str = "next image";
const ROWS: &str = "use rows";

/// How often what was counted is added to the rows, unless somebody asks.
const ADD_EVERY: Duration = Duration::from_secs(60);

/// The longest that events are gathered before there is a look at what else is to do.
const TURN: Duration = Duration::from_millis(50);

/// An image's number.
pub type ImageNumber = u64;

/// See the module.
pub struct Uses {
    store: Arc<Store>,
    queue: Arc<Queue>,
    joined: Arc<Joined>,
    joiner: Arc<Joiner>,
    registry: Arc<dyn Registry>,
    metrics: Arc<Metrics>,
    config: UsesConfig,
    /// Batches before this one are wanted in the rows; and those that are.
    wanted: AtomicU64,
    complete: AtomicU64,
    asked: Notify,
}

impl Uses {
    /// Opens what is kept.
    pub fn new(
        store: Arc<Store>,
        queue: Arc<Queue>,
        joined: Arc<Joined>,
        joiner: Arc<Joiner>,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
        config: UsesConfig,
    ) -> Result<Self> {
        metrics.programs.set(store.total(IMAGES)?);
        metrics.use_rows.set(store.total(ROWS)?);
        let (wanted, complete, asked) = (AtomicU64::new(0), AtomicU64::new(0), Notify::new());
        Ok(Uses { store, queue, joined, joiner, registry, metrics, config, wanted, complete, asked })
    }

    /// Counts until the join is closed. Runs in a thread of its own.
    pub async fn count(&self, give_up: Shutdown) {
        let mut gathered = Gathered::new(self.queue.place(PLACE));
        let mut sweep = Sweep::default();
        let mut tail = self.joined.tail();
        let mut written = Instant::now();
        // Whatever an earlier run left.
        let (mut added, mut is_adding) = (Instant::now(), true);
        while !give_up.asked() {
            let seen = *tail.borrow_and_update();
            let begun = Instant::now();
            while gathered.next < seen.next && !gathered.is_full() && begun.elapsed() < TURN {
                let done = self.gather(&mut gathered);
                if done.is_err() {
                    // Half of a batch may be in the counts.
                    gathered.start_over(self.queue.place(PLACE));
                    patiently("uses cannot be counted", done, &give_up).await;
                    break;
                }
            }
            self.metrics.uses_lag.set(tail.borrow().next.saturating_sub(gathered.next));
            let caught_up = gathered.next >= seen.next;
            let ending = seen.closed && caught_up;
            let wanted = self.wanted.load(Ordering::Acquire);
            let is_wanted = gathered.next >= wanted && self.queue.place(PLACE) < wanted;
            let is_due = written.elapsed() >= self.config.write_every.0;
            if gathered.is_full() || is_due || ending || is_wanted {
                written = Instant::now();
                let done = self.write(&mut gathered);
                if ending && done.is_ok() {
                    return;
                }
                patiently("counts of uses cannot be written", done, &give_up).await;
                let done = self.sweep(&mut sweep, &mut gathered);
                patiently("old uses cannot be removed", done, &give_up).await;
            }
            let is_wanted =
                wanted > self.complete.load(Ordering::Acquire) && self.queue.place(PLACE) >= wanted;
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
    fn gather(&self, gathered: &mut Gathered) -> Result<()> {
        let Some((batch, held)) = self.joined.entries(gathered.next)? else {
            let head = self.queue.head()?.max(gathered.next + 1);
            warn!(
                "{} batches were dropped from the full queue before their uses were counted",
                head - gathered.next
            );
            gathered.next = head;
            return Ok(());
        };
        let mut rest = &batch.bytes[..];
        let mut seen = Seen::default();
        for index in 0.. {
            let Some(entry) = Entry::borrowed(&mut rest) else { break };
            if held.binary_search(&index).is_err() && seen.read(&entry) {
                self.count_one(gathered, &seen)?;
            }
        }
        gathered.next += 1;
        Ok(())
    }

    fn count_one(&self, gathered: &mut Gathered, seen: &Seen<'_>) -> Result<()> {
        let mark = gathered.mark(seen);
        if gathered.add(mark, seen) {
            return Ok(());
        }
        let Some(image) = gathered.images.number(&self.store, seen, self.config.programs_max as u64)? else {
            self.metrics.uses_dropped.add(1);
            return Ok(());
        };
        let name = match seen.uid {
            // A name is only claimed, unless the kernel gave the uid that it belongs to.
            Some(uid) if seen.is_proved || seen.username.is_empty() => {
                Some(self.joiner.user_name(uid).unwrap_or_else(|| uid.to_string().into()))
            }
            _ => None,
        };
        let user = name.as_deref().map_or(seen.username, str::as_bytes);
        gathered.add_first(mark, image, user, seen);
        Ok(())
    }

    /// Waits, not long, until what was received before is in the rows.
    pub async fn catch_up(&self) {
        let until = self.queue.tail().borrow().next;
        self.wanted.fetch_max(until, Ordering::AcqRel);
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.complete.load(Ordering::Acquire) < until && Instant::now() < deadline {
            self.asked.notify_one();
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// When something with the signature last ran, nanoseconds of Unix time, as far as it is counted by now.
    pub fn last_used(&self, signature: Signature) -> Result<Option<i64>> {
        let mut last = None;
        for image in self.images_with(signature)? {
            self.rows_of(About::User, image, |_, count, _| last = last.max(Some(count.last_ns)))?;
        }
        Ok(last)
    }

    fn image(&self, image: ImageNumber) -> Result<Option<Image>> {
        Ok(self.store.images.get(image.to_be_bytes())?.and_then(|value| Image::read(&value)))
    }

    /// Hands each row of an image to `each`.
    fn rows_of(
        &self,
        about: About,
        image: ImageNumber,
        mut each: impl FnMut(&[u8], Count, &[u8]),
    ) -> Result<()> {
        for row in self.store.uses.prefix(rows::prefix(about, image)) {
            let (key, value) = row.into_inner()?;
            let (count, rest) = rows::read(&value);
            each(rows::parts(&key).1, count, rest);
        }
        Ok(())
    }

    /// Images with the signature, and whether it is their program's.
    fn images_with(&self, signature: Signature) -> Result<Vec<ImageNumber>> {
        let mut images = Vec::new();
        for entry in self.store.images_with.prefix(signature.as_bytes()) {
            images.push(number(entry.key()?.get(16..).unwrap_or_default()));
        }
        Ok(images)
    }
}

/// Says what failed, and waits a moment before it is tried again.
async fn patiently<T>(what: &str, done: Result<T>, give_up: &Shutdown) {
    if let Err(problem) = done {
        error!("{what}: {problem:#}; it is tried again");
        let _ = timeout(Duration::from_secs(1), give_up.wait()).await;
    }
}
