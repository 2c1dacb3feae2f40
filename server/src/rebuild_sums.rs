//! `ogrt-server rebuild-sums`: the sums of reports, made again from the events that are kept.
//!
//! ```text
//! jobs and uses come to one place in the queue -> all events that are kept are counted, in tables
//!     aside -> what differs is told, and written: all of it at once, or nothing
//! ```
//! Only while the server does not run. So no event comes between, and what is counted again is
//! exactly what was counted: both stages have the same batches behind them, and the next server
//! goes on with both. What is aside is a database of its own, which goes at the end.

use crate::{
    clock::oldest_kept_ns,
    config::{Config, StoreBackend},
    database::Store,
    dates::date,
    jobs::{self, Jobs},
    join::{DocumentBatches, Joiner},
    learned::{LearnedFiles, SoftwareNames},
    metrics::Metrics,
    queue::{HeldEntries, Queue},
    registry::{self, Summaries},
    sums::{self, DayFigures, DayOutcome, Replacement},
    uses::{self, Neighbours, OwnEvents, Recount, Uses},
};
use anyhow::{Context, Result, ensure};
use std::{
    fmt::Write as _,
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// The directory of what is aside, in the data directory.
const ASIDE: &str = "rebuilding-sums";

/// Days that are named one by one.
const NAMED_MAX: usize = 100;

/// Makes the sums again, and tells what differs; false where something did. A trial writes nothing
/// of it.
pub fn rebuild_sums(config: &Config, is_trial: bool, mut to: impl Write) -> Result<bool> {
    let since = Instant::now();
    ensure!(
        Store::is_in(&config.data_dir),
        "there is no database in {}: name the data directory by --config or --data-dir",
        config.data_dir.display()
    );
    ensure!(
        config.store.backend == StoreBackend::Embedded,
        "what jobs ran is in the store's database (store.backend = \"postgres\"): sums are not made again from there"
    );
    let store = Store::open(&config.data_dir)?;
    let aside = Aside::new(&config.data_dir)?;
    let Stages { queue, jobs, uses } = Stages::open(config, &store)?;
    let until = queue.offset(jobs::CONSUMER).max(queue.offset(uses::CONSUMER));
    jobs.keep_until(until)?;
    uses.count_until(until)?;

    let first_day = sums::first_whole_day(uses.sums(), jobs.whole_since_ns()?)?;
    let tables = Store::open(&aside.0)?;
    let mut recount = Recount::new(&uses, tables.uses().sums, first_day, is_trial)?;
    jobs.each_value(|entries| recount.add(entries))?;
    let events = recount.events;
    let replacement = recount.compare(oldest_kept_ns(config.uses.jobs_keep.0))?;
    let is_same = replacement.is_same();
    let mut told = told(&replacement, first_day);
    if !is_trial {
        uses.replace_sums(replacement)?;
    }
    let done = match (is_same, is_trial) {
        (true, _) => "the sums are as they should be",
        (false, true) => "nothing was changed: without --dry-run the sums are made right",
        (false, false) => "the sums are made again",
    };
    let _ = writeln!(
        told,
        "{events} events were counted again in {:.1} s: {done}",
        since.elapsed().as_secs_f64()
    );
    to.write_all(told.as_bytes())?;
    Ok(is_same)
}

/// Removes what one left aside that was killed. Nobody else uses the database.
pub fn forget_rest(data_dir: &Path) {
    drop(Aside(data_dir.join(ASIDE)));
}

/// What stands on the store, as far as it is needed.
struct Stages {
    queue: Arc<Queue>,
    jobs: Jobs,
    uses: Uses,
}

impl Stages {
    fn open(config: &Config, store: &Store) -> Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let queue = Arc::new(Queue::open_as_it_is(store.queue())?);
        let held = Arc::new(HeldEntries::new(store.held()));
        let summaries = Arc::new(Summaries::new(1, None).0);
        let registry = registry::open(&config.registry, store, summaries.clone(), metrics.clone())?;
        let learned = Arc::new(LearnedFiles::open(&config.registry, store.learned())?);
        // Nothing is named here.
        let names = Arc::new(SoftwareNames::new(learned, Default::default()));
        let joiner = Arc::new(Joiner::new(registry.clone(), summaries));
        let documents = Arc::new(DocumentBatches::new(queue.clone(), held, joiner.clone())?);
        let uses = Uses::new(
            store.uses(),
            Arc::new(OwnEvents::new(queue.clone(), documents.clone())),
            Neighbours { joiner: joiner.clone(), registry, names },
            metrics.clone(),
            config.uses.clone(),
        )?;
        let config = config.jobs.clone();
        let jobs = Jobs::new(store.jobs(), queue.clone(), documents, joiner, metrics, config, None)?;
        Ok(Stages { queue, jobs, uses })
    }
}

/// A directory for tables aside. It goes with this, and what an earlier run left goes before.
struct Aside(PathBuf);

impl Aside {
    fn new(data_dir: &Path) -> Result<Self> {
        let aside = Aside(data_dir.join(ASIDE));
        match fs::remove_dir_all(&aside.0) {
            Err(problem) if problem.kind() != ErrorKind::NotFound => {
                Err(problem).with_context(|| format!("cannot remove {}", aside.0.display()))
            }
            _ => Ok(aside),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What differs, and what is left as it is.
fn told(replacement: &Replacement, first_day: u16) -> String {
    let mut text = String::new();
    let Replacement { days, months, jobs, jobs_differ, jobs_stay, limited_differ, .. } = replacement;
    if first_day > 0 {
        let _ = writeln!(
            text,
            "before {0}: left as it is. Not all events of these days are kept",
            date(first_day)
        );
    }
    let different: Vec<&DayOutcome> = days.iter().filter(|day| !day.is_same).collect();
    for DayOutcome { day, before, after, .. } in different.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "{}: differs", date(*day));
        let _ = writeln!(text, "    there    {}", figures(before));
        let _ = writeln!(text, "    counted  {}", figures(after));
    }
    if different.len() > NAMED_MAX {
        let _ = writeln!(text, "and {} more days", different.len() - NAMED_MAX);
    }
    for month in months {
        let _ = writeln!(text, "{}: the sums of the month differ from those of its days", &date(*month)[..7]);
    }
    if *limited_differ > 0 {
        let _ = writeln!(text, "processes over a job's limit: {limited_differ} days differ");
    }
    let _ = writeln!(text, "days: {} counted again, {} differ", days.len(), different.len());
    let _ = writeln!(text, "jobs: {jobs} counted again, {jobs_differ} differ, {jobs_stay} left as they are");
    text
}

fn figures(figures: &DayFigures) -> String {
    let DayFigures { rows, hosts, processes, ended, cpu_us, node_us } = figures;
    let hours = |us: &u64| *us as f64 / 3.6e9;
    format!(
        "{processes} processes, {ended} ended, {:.2} CPU hours, {:.2} node hours, in {rows} rows; {hosts} rows of hosts",
        hours(cpu_us),
        hours(node_us)
    )
}
