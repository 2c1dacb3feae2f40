//! Deletes builds that are old or too many, except those that somebody ran lately and what these
//! contain.
//!
//! Off by default, because a registry is there to remember. A pass looks at all builds, the oldest
//! first, a slice at a time, so that nothing else waits for it.

use crate::{
    clock::now_ns,
    config::RegistryConfig,
    registry::{Registry, RegistryError, RetiredSlice},
    shutdown::Shutdown,
    uses::Uses,
};
use std::{cell::Cell, sync::Arc, time::Duration};
use tokio::time::timeout;
use tracing::{error, info};

/// How many builds a slice has.
const SLICE: usize = 1000;

/// The pause between slices, so that a pass takes a small part of the machine.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes passes until the shutdown. This runs in a thread of its own.
pub async fn keep_bounded(
    registry: Arc<dyn Registry>,
    uses: Arc<Uses>,
    config: RegistryConfig,
    shutdown: Shutdown,
) {
    if config.keep.0.is_zero() && config.builds_max == 0 {
        return;
    }
    let (mut after, mut gone) = (None, 0);
    loop {
        match slice(&*registry, &uses, &config, after) {
            Ok(retired) => {
                gone += retired.deleted;
                after = retired.last;
            }
            Err(problem) => {
                error!("cannot delete old builds: {problem}. Trying again later");
                after = None;
            }
        }
        let mut pause = PAUSE;
        if after.is_none() {
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

fn slice(
    registry: &dyn Registry,
    uses: &Uses,
    config: &RegistryConfig,
    after: Option<u64>,
) -> Result<RetiredSlice, RegistryError> {
    let before = |time: Duration| now_ns().saturating_sub(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let (keep, used) = (before(config.keep.0), before(config.keep_used.0));
    let too_many = match config.builds_max {
        0 => 0,
        max => registry.len()?.saturating_sub(max as u64),
    };
    let left = Cell::new(too_many);
    registry.retire(after, SLICE, &|signature, made_ns| {
        let is_old = !config.keep.0.is_zero() && made_ns < keep;
        if !is_old && left.get() == 0 {
            return Ok(false);
        }
        let may_delete = uses.last_used(signature)?.is_none_or(|last| last < used);
        if may_delete {
            left.set(left.get().saturating_sub(1));
        }
        Ok(may_delete)
    })
}
