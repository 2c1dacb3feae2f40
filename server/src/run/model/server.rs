//! The server of a run: the stages of [`crate::run`] without sockets, with commits that may fail.

use super::{books, files, plan::Settings};
use crate::{
    database::Store,
    jobs,
    queue::{Submission, WriterMessage},
    run::{
        consumers::Consumers,
        shared::{Inlets, Shared},
        stage::Stage,
    },
    shutdown::Shutdown,
    uses,
};
use anyhow::{Result, bail};
use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// The longest that something may take of a server that is loaded.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The place where the servers of a run are.
pub struct Place<'a> {
    pub directory: &'a Path,
    pub runtime: &'a Handle,
}

/// What happens to a server that starts.
pub struct Opening {
    /// It dies when it has made this many commits.
    pub commits: u64,
    /// Files were cut off here by the crash before.
    pub torn: Option<usize>,
}

impl Opening {
    /// Nothing happens.
    pub fn whole() -> Self {
        Opening { commits: u64::MAX, torn: None }
    }
}

/// A server that runs.
pub struct Server {
    pub shared: Shared,
    /// Some of its commits may fail.
    pub is_armed: bool,
    stages: Vec<Stage>,
}

impl Server {
    /// Opens what an earlier one left, and looks whether its books are in order.
    pub fn open(place: &Place<'_>, settings: &Settings, opening: &Opening) -> Result<Server> {
        let _runtime = place.runtime.enter();
        let config = settings.config(place.directory);
        let store = Store::open(&config.data_dir)?;
        books::check(&store)?;
        store.faults().fail_after(opening.commits);
        let (shared, Inlets { writer, registered, .. }) = Shared::open(config, store, Shutdown::new())?;
        if let Some(torn) = opening.torn {
            files::tear(place.directory, &shared.queue, torn)?;
        }
        let open_starts = shared.open_starts()?;
        let join = shared.open_join(registered)?;
        let consumers = Consumers::open(&shared)?;
        shared.store.faults().fail_after(u64::MAX);

        let runtime = shared.runtime.clone();
        let mut stages = vec![Stage::start("queue", move || writer.run())?];
        stages.push(Stage::start("join", move || join.run(&runtime))?);
        stages.extend(consumers.start(&shared, open_starts)?);
        Ok(Server { shared, is_armed: false, stages })
    }

    /// Waits for what a question waits for; not long, where that may never come.
    pub fn wait_for(&self, caught_up: impl Future<Output = Option<i64>>) {
        let patience = if self.is_armed { Duration::from_millis(40) } else { PATIENCE };
        let _ = self.shared.runtime.block_on(async { timeout(patience, caught_up).await });
    }

    /// All commits after this many fail.
    pub fn arm(&mut self, commits: u64) {
        self.is_armed = true;
        self.shared.store.faults().fail_after(commits);
    }

    /// The database breaks in the commit after this many, once.
    pub fn break_once(&self, commits: u64) {
        self.shared.store.faults().break_after(commits);
    }

    /// Returns when the join has let everything go, and that is in the queue.
    pub fn wait_until_nothing_is_held(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.shared.store.held().held.first_key_value().is_some() {
            if Instant::now() > deadline {
                bail!("events are held that nothing lets go");
            }
            thread::sleep(Duration::from_millis(2));
        }
        // It is written before it is published; what comes after it is answered when both are done.
        let (receipt, answer) = oneshot::channel();
        let submission = Submission { receipt: Some(receipt), ..Submission::default() };
        self.shared.intake.writer.send(WriterMessage::Submit(submission))?;
        self.shared.runtime.block_on(answer)??;
        Ok(())
    }

    /// Returns when what was queued until now is kept for jobs and counted in the rows of uses.
    pub fn catch_up(&self) -> Result<()> {
        let until = self.shared.queue.tail().borrow().next;
        let deadline = Instant::now() + PATIENCE;
        let is_behind = |consumer| self.shared.queue.offset(consumer) < until;
        let tallies = self.shared.store.uses().tallies;
        loop {
            let is_behind =
                is_behind(jobs::CONSUMER) || is_behind(uses::CONSUMER) || tallies.first_key_value().is_some();
            // Also where nothing is behind: a commit is seen in one table before it is in all.
            self.shared.runtime.block_on(async {
                let _ = self.shared.jobs.catch_up().await;
                let _ = self.shared.uses.catch_up().await;
            });
            if !is_behind {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("jobs or uses do not catch up with batch {until}");
            }
        }
    }

    /// Stops in order: each stage empties itself into the next.
    pub fn stop(self) -> Result<()> {
        for result in self.end() {
            result?;
        }
        Ok(())
    }

    /// Dies: nothing that is still in memory is written.
    pub fn die(self) -> Result<()> {
        self.shared.store.faults().fail_after(0);
        self.shared.give_up.ask();
        let problems = self.end().into_iter().filter_map(Result::err);
        // Each may fail, for its commits do; none may panic.
        match problems.map(|problem| problem.to_string()).find(|problem| problem.ends_with("panic")) {
            Some(panic) => bail!("{panic} when its commits failed"),
            None => Ok(()),
        }
    }

    fn end(self) -> Vec<Result<()>> {
        let Server { shared, stages, .. } = self;
        shared.shutdown.ask();
        let _ = shared.intake.writer.send(WriterMessage::Stop);
        let results =
            stages.into_iter().map(|stage| shared.runtime.block_on(async { stage.ended().await })).collect();
        // Nobody waits for the end of retention. The database can be opened again when all have let
        // it go.
        while Arc::strong_count(&shared.uses) > 1 {
            thread::yield_now();
        }
        results
    }
}
