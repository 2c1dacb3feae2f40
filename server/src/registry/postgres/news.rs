//! Builds that other servers register, for events here that wait for them, and builds that they
//! withdraw, which no event here shows any more.
//!
//! Builds have numbers in the order in which they are committed, since one server at a time
//! registers. So one look for greater numbers finds every new build, however long the database was
//! away. A connection of its own hears of each write ([`Listener`]), and a look follows at once. A
//! look every second finds what was not heard. Only the summaries of builds that somebody here
//! missed are read. `server/tests/server/shared_registry.rs` holds that.

use super::{Postgres, connections::Connections, listener::Listener, read, withdraw};
use crate::registry::{Summaries, error::Result, same_build};
use ogrt_note::Signature;
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{self, Runtime},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

/// The time between two looks where nothing is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The shortest time between two looks, however much is heard.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(20);

/// The time between two questions whether the database still talks to us.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// How long a question may take that missed a build in the moment when it was registered.
const MISSED_WITHIN: Duration = Duration::from_secs(3);

/// The time between two looks for such builds.
const MISSED_EVERY: Duration = Duration::from_millis(200);

/// Builds in one answer of the database.
const AT_ONCE: usize = 5000;

/// Most builds that are remembered for such questions.
const RECENT_MAX: usize = 20_000;

/// The progress of the looks.
pub struct News {
    connections: Weak<Connections>,
    summaries: Weak<Summaries>,
    /// Whoever follows other tables than those of builds.
    others: watch::Sender<u64>,
    /// The last build that was seen; `None` before the first look.
    seen: Option<i64>,
    /// The last withdrawal that was seen; `None` before the first look.
    withdrawn: Option<i64>,
    /// The last builds that were found: a question may have missed one of them in the same moment.
    recent: VecDeque<(Instant, Signature)>,
}

impl News {
    /// Looks from now on.
    pub fn new(
        connections: &Arc<Connections>,
        summaries: &Arc<Summaries>,
        others: watch::Sender<u64>,
    ) -> Self {
        News {
            connections: Arc::downgrade(connections),
            summaries: Arc::downgrade(summaries),
            others,
            seen: None,
            withdrawn: None,
            recent: VecDeque::new(),
        }
    }

    /// Looks while the registry is open. Runs in a thread of its own, with this runtime.
    pub fn follow(mut self, runtime: &Runtime) {
        runtime.block_on(async {
            let (mut ear, mut looked) = (Ear::default(), None::<Instant>);
            let mut is_due = true;
            while let Some((connections, summaries)) =
                self.connections.upgrade().zip(self.summaries.upgrade())
            {
                if ear.open(&connections).await {
                    // What was written until now was heard by nobody.
                    is_due = true;
                    self.others.send_modify(|told| *told += 1);
                }
                // The log has it where the database is away; the next look finds what this one
                // missed.
                let _ = match is_due || looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                    true => {
                        looked = Some(Instant::now());
                        self.look(&connections, &summaries)
                    }
                    false => self.look_again(&connections, &summaries),
                };
                drop((connections, summaries));
                sleep(LOOK_AT_MOST_EVERY).await;
                let patience = if self.recent.is_empty() { LOOK_EVERY } else { MISSED_EVERY };
                let heard = ear.hear(patience).await;
                is_due = heard.builds;
                if heard.others {
                    self.others.send_modify(|told| *told += 1);
                }
            }
        });
    }

    fn look(&mut self, connections: &Connections, summaries: &Summaries) -> Result<()> {
        let withdrawn = self.withdrawn;
        let (last, gone) = connections.ask(super::LOOKUP, move |client| {
            Box::pin(async move { withdraw::after(client, withdrawn).await })
        })?;
        self.withdrawn = Some(last);
        // Before the builds that came in their place.
        gone.into_iter().for_each(|signature| summaries.removed(signature));
        loop {
            let seen = self.seen;
            let (last, fresh) = connections.ask(super::LOOKUP, move |client| {
                Box::pin(async move { read::registered_after(client, seen, AT_ONCE).await })
            })?;
            self.seen = Some(last);
            let is_all = fresh.len() < AT_ONCE;
            let now = Instant::now();
            self.recent.extend(fresh.into_iter().map(|signature| (now, signature)));
            self.look_again(connections, summaries)?;
            if is_all {
                return answer(connections, summaries);
            }
        }
    }

    /// Reads what somebody missed of the builds that were found last.
    fn look_again(&mut self, connections: &Connections, summaries: &Summaries) -> Result<()> {
        let recent = self.recent.iter().map(|(_, signature)| *signature);
        let missed: Arc<[Signature]> = recent.filter(|one| summaries.was_missed(*one)).collect();
        for missed in missed.chunks(AT_ONCE) {
            read_briefs(connections, summaries, missed)?;
        }
        let is_old = |(found, _): &(Instant, Signature)| found.elapsed() > MISSED_WITHIN;
        while self.recent.len() > RECENT_MAX || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        Ok(())
    }
}

/// Answers the questions for which the database was away.
fn answer(connections: &Connections, summaries: &Summaries) -> Result<()> {
    let unanswered = summaries.take_unanswered();
    for (number, asked) in unanswered.chunks(AT_ONCE).enumerate() {
        if let Err(problem) = read_briefs(connections, summaries, asked) {
            summaries.give_back_unanswered(&unanswered[number * AT_ONCE..]);
            return Err(problem);
        }
    }
    Ok(())
}

/// Reads the summaries of these signatures, for whoever waits for them.
fn read_briefs(connections: &Connections, summaries: &Summaries, signatures: &[Signature]) -> Result<()> {
    let asked: Arc<[Signature]> = signatures.into();
    let briefs = connections.ask(super::LOOKUP, move |client| {
        let asked = asked.clone();
        Box::pin(async move { read::briefs(client, &asked).await })
    })?;
    for (signature, brief) in signatures.iter().zip(briefs) {
        match brief {
            Some(brief) => summaries.registered(*signature, &same_build::summary(&brief)),
            None => summaries.missed(*signature),
        }
    }
    summaries.announce();
    Ok(())
}

/// The connection that hears, and when it was last tried or asked.
#[derive(Default)]
struct Ear {
    listener: Option<Listener>,
    tried: Option<Instant>,
    builds: u64,
    others: u64,
}

/// What was heard: writes of builds, writes of anything else.
#[derive(Default)]
struct Sounds {
    builds: bool,
    others: bool,
}

impl Ear {
    /// Opens the connection where there is none; true where it was opened now.
    async fn open(&mut self, connections: &Connections) -> bool {
        let every = if self.listener.is_some() { ALIVE_EVERY } else { LOOK_EVERY };
        if self.tried.is_some_and(|tried| tried.elapsed() < every) {
            return false;
        }
        let is_first = self.tried.replace(Instant::now()).is_none();
        if let Some(listener) = &self.listener {
            if listener.is_alive().await {
                return false;
            }
            self.listener = None;
        }
        match connections.listen().await {
            Ok(listener) => {
                (self.listener, self.builds, self.others) = (Some(listener), 0, 0);
                if !is_first {
                    info!("the registry's database tells again what other servers write");
                }
                true
            }
            Err(problem) => {
                debug!("the registry's database does not tell what other servers write: {problem}");
                false
            }
        }
    }

    /// Waits for something to hear.
    async fn hear(&mut self, within: Duration) -> Sounds {
        let Some(listener) = &mut self.listener else {
            sleep(within).await;
            return Sounds::default();
        };
        match timeout(within, listener.next()).await {
            Ok(Some(heard)) => {
                let sounds =
                    Sounds { builds: heard.builds != self.builds, others: heard.others != self.others };
                (self.builds, self.others) = (heard.builds, heard.others);
                sounds
            }
            Ok(None) => {
                warn!(
                    "the registry's database no longer tells what other servers write. Until it does, this server \
                     looks every second"
                );
                (self.listener, self.tried) = (None, Some(Instant::now()));
                Sounds { builds: true, others: true }
            }
            Err(_) => Sounds::default(),
        }
    }
}

impl Postgres {
    /// Starts a thread that looks.
    pub(super) fn follow_news(&self) -> std::io::Result<()> {
        let news = News::new(&self.connections, &self.summaries, self.news.clone());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("registry news".into()).spawn(move || news.follow(&runtime)).map(drop)
    }
}
