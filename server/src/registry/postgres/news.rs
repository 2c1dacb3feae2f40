//! Builds that other servers register, for events here that wait for them, and builds that they
//! withdraw, which no event here shows any more.
//!
//! Builds have numbers in the order in which they are committed, since one server at a time
//! registers. So one look for greater numbers finds every new build, however long the database was
//! away, and it needs no session of its own. Only the summaries of builds that somebody here
//! missed are read. `server/tests/server/postgres.rs` holds that.

use super::{Postgres, connections::Connections, read, withdraw};
use crate::registry::{Summaries, error::Result, same_build};
use ogrt_note::Signature;
use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Builds in one answer of the database.
const AT_ONCE: usize = 5000;

/// The progress of the looks.
pub struct News {
    connections: Weak<Connections>,
    summaries: Weak<Summaries>,
    /// The last build that was seen; `None` before the first look.
    seen: Option<i64>,
    /// The last withdrawal that was seen; `None` before the first look.
    withdrawn: Option<i64>,
    /// What the last look found: a question may have missed one of these in the same moment.
    latest: Vec<Signature>,
}

impl News {
    /// Looks from now on.
    pub fn new(connections: &Arc<Connections>, summaries: &Arc<Summaries>) -> Self {
        News {
            connections: Arc::downgrade(connections),
            summaries: Arc::downgrade(summaries),
            seen: None,
            withdrawn: None,
            latest: Vec::new(),
        }
    }

    /// Looks while the registry is open. Runs in a thread of its own.
    pub fn follow(mut self) {
        while let Some((connections, summaries)) = self.connections.upgrade().zip(self.summaries.upgrade()) {
            // The log has it where the database is away; the next look finds what this one missed.
            let _ = self.look(&connections, &summaries);
            drop((connections, summaries));
            thread::sleep(LOOK_EVERY);
        }
    }

    fn look(&mut self, connections: &Connections, summaries: &Summaries) -> Result<()> {
        let withdrawn = self.withdrawn;
        let (last, gone) = connections.ask(super::LOOKUP, move |client| {
            Box::pin(async move { withdraw::after(client, withdrawn).await })
        })?;
        self.withdrawn = Some(last);
        // Before the builds that came in their place.
        gone.into_iter().for_each(|signature| summaries.removed(signature));
        let mut found = std::mem::take(&mut self.latest);
        loop {
            let seen = self.seen;
            let (last, fresh) = connections.ask(super::LOOKUP, move |client| {
                Box::pin(async move { read::registered_after(client, seen, AT_ONCE).await })
            })?;
            self.seen = Some(last);
            let is_all = fresh.len() < AT_ONCE;
            self.latest.extend(&fresh);
            found.extend(fresh);
            found.retain(|signature| summaries.was_missed(*signature));
            if !found.is_empty() {
                let asked: Arc<[Signature]> = found.drain(..).collect();
                let signatures = asked.clone();
                let briefs = connections.ask(super::LOOKUP, move |client| {
                    let asked = asked.clone();
                    Box::pin(async move { read::briefs(client, &asked).await })
                })?;
                for (signature, brief) in signatures.iter().zip(briefs) {
                    if let Some(brief) = brief {
                        summaries.registered(*signature, &same_build::summary(&brief));
                    }
                }
                summaries.announce();
            }
            if is_all {
                self.latest.truncate(AT_ONCE);
                return Ok(());
            }
            self.latest.clear();
        }
    }
}

impl Postgres {
    /// Starts a thread that looks.
    pub(super) fn follow_news(&self) -> std::io::Result<()> {
        let news = News::new(&self.connections, &self.summaries);
        thread::Builder::new().name("registry news".into()).spawn(move || news.follow()).map(drop)
    }
}
