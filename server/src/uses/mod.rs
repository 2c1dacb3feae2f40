//! Who ran what: counts that grow with what is distinct, not with events.
//!
//! The stage follows the join through the queue, gathers counts in memory ([`gather`]), and every few seconds, or
//! when somebody asks, adds them to what is on disk, in one write together with its place in the queue: so after a
//! crash each event is counted, and once. What is bounded, and how the oldest go, is [`retention`]'s.
//! Answers are made in [`answer`] and [`unregistered`].

mod answer;
mod gather;
mod image;
mod retention;
mod rows;
mod unregistered;

pub use answer::Question;
pub use unregistered::{Unregistered, UnregisteredQuestion};

use crate::{
    config::UsesConfig,
    database::{Store, number},
    join::{Joined, Joiner},
    metrics::Metrics,
    queue::Queue,
    registry::Registry,
};
use anyhow::Result;
use gather::Gathered;
use image::{Image, Seen};
use ogrt_note::Signature;
use retention::Sweep;
use rows::{About, Count};
use std::{
    sync::Arc,
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
        metrics.images.set(store.total(IMAGES)?);
        metrics.use_rows.set(store.total(ROWS)?);
        Ok(Uses { store, queue, joined, joiner, registry, metrics, config, asked: Notify::new() })
    }

    /// Counts until the join is closed. Runs in a thread of its own.
    pub async fn count(&self, give_up: crate::Shutdown) {
        let mut gathered = Gathered::new(self.queue.place(PLACE));
        let mut sweep = Sweep::default();
        let mut tail = self.joined.tail();
        let mut written = Instant::now();
        let mut wanted = false;
        loop {
            let seen = *tail.borrow_and_update();
            while gathered.next < seen.next && !gathered.is_full() {
                if let Err(problem) = self.gather(&mut gathered) {
                    error!("uses cannot be counted: {problem:#}; it is tried again");
                    let _ = timeout(Duration::from_secs(1), give_up.wait()).await;
                }
                if give_up.asked() {
                    return;
                }
            }
            let caught_up = gathered.next >= seen.next;
            let ending = seen.closed && caught_up;
            let is_due = written.elapsed() >= self.config.write_every.0;
            if gathered.is_full() || is_due || ending || (wanted && caught_up) {
                (written, wanted) = (Instant::now(), wanted && !caught_up);
                if let Err(problem) = self.write(&mut gathered) {
                    error!("counts of uses cannot be written: {problem:#}; it is tried again");
                    let _ = timeout(Duration::from_secs(1), give_up.wait()).await;
                } else if ending {
                    return;
                }
                if let Err(problem) = self.sweep(&mut sweep, &mut gathered) {
                    error!("old uses cannot be removed: {problem:#}");
                }
            }
            if give_up.asked() {
                return;
            }
            if caught_up {
                let patience = self.config.write_every.0.saturating_sub(written.elapsed());
                tokio::select! {
                    _ = tail.changed() => {
                        // What comes together is taken together.
                        let _ = timeout(Duration::from_millis(20), self.asked.notified()).await.map(|()| wanted = true);
                    }
                    () = self.asked.notified() => wanted = true,
                    () = sleep(patience) => {}
                }
            }
        }
    }

    /// Takes the next batch of the queue.
    fn gather(&self, gathered: &mut Gathered) -> Result<()> {
        let Some(entries) = self.joined.entries(gathered.next)? else {
            let head = self.queue.head()?.max(gathered.next + 1);
            warn!(
                "{} batches were dropped from the full queue before their uses were counted",
                head - gathered.next
            );
            gathered.next = head;
            return Ok(());
        };
        let mut seen = Seen::default();
        for entry in &entries {
            // Seen borrows from the message, which outlives it here.
            let mut this = Seen { program: seen.program, libraries: seen.libraries, ..Seen::default() };
            if this.read(entry, &entry.message) {
                self.count_one(gathered, &this)?;
            }
            seen = Seen { program: this.program, libraries: this.libraries, ..Seen::default() };
        }
        gathered.next += 1;
        Ok(())
    }

    fn count_one(&self, gathered: &mut Gathered, seen: &Seen<'_>) -> Result<()> {
        let Some(image) = gathered.image(&self.store, seen, self.config.images_max as u64)? else {
            self.metrics.uses_unkept.add(1);
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
        gathered.add(image, user, seen);
        Ok(())
    }

    /// Adds what was gathered to what is on disk, and moves the place on.
    fn write(&self, gathered: &mut Gathered) -> Result<()> {
        if gathered.next == self.queue.place(PLACE) {
            return Ok(());
        }
        let mut writes = self.store.batch();
        let mut rows = self.store.total(ROWS)?;
        for (key, (count, user)) in gathered.rows() {
            let known = self.store.uses.get(&key)?;
            let (mut total, mut user) = (count, user);
            match &known {
                Some(value) => {
                    let (before, known_user) = Count::read(value);
                    total.add(&before);
                    if user.is_empty() {
                        user = known_user.to_vec();
                    }
                }
                None if rows >= self.config.rows_max as u64 => {
                    self.metrics.uses_unkept.add(count.processes + count.later);
                    continue;
                }
                None => rows += 1,
            }
            writes.insert(&self.store.uses, key, total.write(&user));
        }
        let images = gathered.write_images(&self.store, &mut writes)?;
        writes.insert(&self.store.totals, ROWS, rows.to_be_bytes());
        self.queue.move_on_with(writes, PLACE, gathered.next, &[])?;
        gathered.written();
        self.metrics.use_rows.set(rows);
        self.metrics.images.set(images);
        Ok(())
    }

    /// Waits, not long, until what was received before is counted.
    pub async fn catch_up(&self) {
        let until = self.queue.tail().borrow().next;
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.queue.place(PLACE) < until && Instant::now() < deadline {
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
            let (count, rest) = Count::read(&value);
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
