//! Deletes builds that are old or too many, except those that somebody ran lately and what these
//! contain.
//!
//! Off by default, because a registry is there to remember. A pass looks at all builds, the oldest
//! first, a slice at a time, so that nothing else waits for it. What runs is counted late, and by
//! the server that received it. So before a slice is deleted, this server counts what it has
//! received, and every other server of the registry does the same and answers. Where one does not,
//! nothing is deleted. One server at a time makes a pass, by a lease.

use crate::{
    clock::oldest_kept_ns,
    config::RegistryConfig,
    metrics::Metrics,
    registry::{Registry, RegistryError, RetiredSlice},
    shutdown::Shutdown,
    uses::{Uses, UsesError},
};
use ogrt_note::Signature;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use tracing::{error, info, warn};

/// How many builds a slice has.
const SLICE: usize = 1000;

/// The pause between slices, so that a pass takes a small part of the machine.
const PAUSE: Duration = Duration::from_millis(100);

/// How long counting may take until what was received is in the counts.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);

/// How long the other servers may take to answer; each of them has to count first.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// The time between two looks for questions of other servers where nothing is heard of one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The reason why a slice was left as it is.
#[derive(Debug, thiserror::Error)]
enum NotRetired {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Uses(#[from] UsesError),
    #[error("the counts of who ran what are behind")]
    Behind,
    #[error(
        "{0} did not say what ran there. If that server is gone for good, remove it: ogrt-server servers remove {0}"
    )]
    Silent(String),
}

/// How many pauses of `look_every` are between two times when a server notes what ran there: a day,
/// by default.
const NOTED_EVERY: u32 = 24;

/// Makes passes until the shutdown. This runs in a thread of its own.
pub async fn keep_bounded(
    registry: Arc<dyn Registry>,
    uses: Arc<Uses>,
    config: RegistryConfig,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    if config.keep.0.is_zero() && config.builds_max == 0 {
        return;
    }
    let (mut after, mut gone) = (None, 0);
    loop {
        match slice(&*registry, &uses, &config, after, &metrics).await {
            Ok(Some(retired)) => {
                gone += retired.deleted;
                after = retired.last;
            }
            // Another server does it.
            Ok(None) => {
                metrics.silent_servers.set(0);
                after = None;
            }
            Err(problem) => {
                warn!("no old builds are deleted now: {problem}. Trying again later");
                after = None;
            }
        }
        let mut pause = PAUSE;
        if after.is_none() {
            // Where the database is away, the lease runs out.
            let _ = registry.end_retention();
            if gone > 0 {
                info!("{gone} builds were deleted, as registry.keep and registry.builds_max demand");
            }
            (gone, pause) = (0, config.look_every.0);
        }
        if timeout(pause, shutdown.wait()).await.is_ok() {
            return;
        }
    }
}

/// Tells the other servers of the registry what ran here, when they ask. This runs in a thread of
/// its own.
pub async fn answer_others(
    registry: Arc<dyn Registry>,
    uses: Arc<Uses>,
    mut news: watch::Receiver<u64>,
    shutdown: Shutdown,
) {
    let mut said = false;
    loop {
        let answered = answer_one(&*registry, &uses).await;
        if let Err(problem) = &answered
            && !matches!(problem, NotRetired::Registry(RegistryError::Away(_)))
            && !std::mem::replace(&mut said, true)
        {
            error!(
                "cannot tell the other servers which builds ran here, so none of them deletes any: {problem}. It is \
                 tried again"
            );
        }
        let pause = if answered.is_ok_and(|answered| answered) { Duration::ZERO } else { LOOK_EVERY };
        tokio::select! {
            () = shutdown.wait() => return,
            // Its sender lives as long as the registry.
            _ = timeout(pause, news.changed()) => {}
        }
    }
}

/// Answers a question of another server; false when there is none.
async fn answer_one(registry: &dyn Registry, uses: &Uses) -> Result<bool, NotRetired> {
    let Some((inquiry, signatures)) = registry.inquiry()? else { return Ok(false) };
    if !uses.catch_up_within(COUNTED_WITHIN).await {
        return Err(NotRetired::Behind);
    }
    let last_used: Result<Vec<_>, _> = signatures.iter().map(|build| uses.last_used(*build)).collect();
    registry.answer_inquiry(inquiry, last_used.map_err(UsesError::from)?)?;
    Ok(true)
}

/// Notes once a day for the other servers which builds ran here, should this one be gone one day.
/// This runs in a thread of its own.
pub async fn note_for_others(
    registry: Arc<dyn Registry>,
    uses: Arc<Uses>,
    look_every: Duration,
    shutdown: Shutdown,
) {
    let mut pause = look_every;
    while timeout(pause, shutdown.wait()).await.is_err() {
        pause = match note_all(&*registry, &uses, &shutdown).await {
            Ok(()) => look_every.saturating_mul(NOTED_EVERY),
            // What is noted already stays, and the rest comes with the next time.
            Err(_) => look_every,
        };
    }
}

async fn note_all(registry: &dyn Registry, uses: &Uses, shutdown: &Shutdown) -> Result<(), NotRetired> {
    if !uses.catch_up_within(COUNTED_WITHIN).await {
        return Err(NotRetired::Behind);
    }
    let mut after = None;
    while let Some((last, signatures)) = registry.signatures(after)? {
        let mut last_used = Vec::new();
        for signature in signatures {
            if let Some(last_ns) = uses.last_used(signature).map_err(UsesError::from)? {
                last_used.push((signature, last_ns));
            }
        }
        if !last_used.is_empty() {
            registry.note_last_used(&last_used)?;
        }
        after = Some(last);
        if timeout(PAUSE, shutdown.wait()).await.is_ok() {
            break;
        }
    }
    Ok(())
}

/// Works on one slice; `None` while another server does that.
async fn slice(
    registry: &dyn Registry,
    uses: &Uses,
    config: &RegistryConfig,
    after: Option<u64>,
    metrics: &Metrics,
) -> Result<Option<RetiredSlice>, NotRetired> {
    if !registry.take_retention(config.look_every.0)? {
        return Ok(None);
    }
    let (keep, used) = (oldest_kept_ns(config.keep.0), oldest_kept_ns(config.keep_used.0));
    let is_unused = |last: Option<i64>| last.is_none_or(|last| last < used);
    let too_many = match config.builds_max {
        0 => 0,
        max => registry.len()?.saturating_sub(max as u64),
    };
    // Which builds would be deleted, by what is counted so far: mostly none, and then nothing has
    // to be counted for it.
    let left = Cell::new(too_many);
    let candidates = RefCell::new(Vec::new());
    let looked = registry.retire(after, SLICE, &|signature, made_ns| {
        let is_old = !config.keep.0.is_zero() && made_ns < keep;
        if (is_old || left.get() > 0) && is_unused(uses.last_used(signature)?) {
            left.set(left.get().saturating_sub(1));
            candidates.borrow_mut().push(signature);
        }
        Ok(false)
    })?;
    let candidates = candidates.into_inner();
    if candidates.is_empty() {
        metrics.silent_servers.set(0);
        return Ok(Some(looked));
    }
    if !uses.catch_up_within(COUNTED_WITHIN).await {
        return Err(NotRetired::Behind);
    }
    let elsewhere = registry.used_elsewhere(&candidates, ANSWERED_WITHIN)?;
    metrics.silent_servers.set(elsewhere.silent.len() as u64);
    if let Some(server) = elsewhere.silent.first() {
        return Err(NotRetired::Silent(server.clone()));
    }
    let elsewhere: HashMap<Signature, Option<i64>> =
        candidates.into_iter().zip(elsewhere.last_used).collect();
    Ok(Some(registry.retire(after, SLICE, &|signature, _| match elsewhere.get(&signature) {
        Some(last) => Ok(is_unused(uses.last_used(signature)?.max(*last))),
        None => Ok(false),
    })?))
}
