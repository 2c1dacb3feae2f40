//! The room on the disk, looked at all the time.
//!
//! What the store has in memory will be written, and a merge of tables needs the room for its
//! result before it frees that of its sources. So the bound is `queue.disk_free_min` and both of
//! these. Below it no events are taken. A little lower what follows from events that were taken
//! waits, too; so do outputs with files on that disk. Then what is in memory is written and old
//! journals go, which may make room.

use super::{
    condition::Cause,
    engine::{Engine, Opened, free_space},
};
use std::{
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What may come between two looks, beyond the bound for what comes and for what follows from it.
const SLACK: u64 = 16 << 20;
const SLACK_STOPPED: u64 = 6 << 20;

/// Free space beyond the bound with which events are taken again.
const AGAIN: u64 = 4 << 20;

/// The most that one merge is thought to write.
const MERGE_MAX: u64 = 256 << 20;

/// The shortest time between two attempts to make room.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// Looks in a thread of its own while the engine is open.
pub fn watch(engine: &Arc<Engine>, free_min: u64) -> std::io::Result<()> {
    let engine = Arc::downgrade(engine);
    thread::Builder::new().name("disk".into()).spawn(move || look_again(&engine, free_min)).map(drop)
}

fn look_again(engine: &Weak<Engine>, free_min: u64) {
    let mut flushed: Option<Instant> = None;
    while let Some(engine) = engine.upgrade() {
        engine.mend_if_broken();
        let is_full = look(&engine, free_min);
        if is_full && flushed.is_none_or(|flushed| flushed.elapsed() > FLUSH_EVERY) {
            flushed = Some(Instant::now());
            make_room(&engine);
        }
        drop(engine);
        thread::sleep(LOOK_EVERY);
    }
}

/// Looks once; true when there is too little room.
fn look(engine: &Engine, free_min: u64) -> bool {
    let Some(free) = free_space(engine.path()) else { return false };
    let condition = engine.condition();
    let (in_memory, merge) =
        engine.read(|opened| (opened.database.write_buffer_size(), largest_merge(opened)));
    let was_full = condition.is_full();
    let bound = free_min + in_memory + merge + SLACK;
    let is_full = free < bound + if was_full { AGAIN } else { 0 };
    condition.stop_below(free_min + in_memory + merge.min(free_min) + SLACK_STOPPED, free);
    let why = || {
        format!(
            "the disk of {} has {} MiB free, and {} MiB are needed (queue.disk_free_min, and what is to be written)",
            engine.path().display(),
            free >> 20,
            bound >> 20
        )
    };
    if condition.set(Cause::Disk, is_full.then(why)) {
        match is_full {
            true => warn!("{}. No events are taken until there is room", why()),
            false => info!("the disk of {} has room again", engine.path().display()),
        }
    }
    is_full
}

fn largest_merge(opened: &Opened) -> u64 {
    opened.tables.iter().map(|table| table.disk_space().min(MERGE_MAX)).max().unwrap_or(0)
}

/// Writes what is in memory, where that fits, so that its journals can go.
fn make_room(engine: &Engine) {
    let Some(free) = free_space(engine.path()) else { return };
    let flushed = engine.read(|opened| {
        let fits = opened.database.write_buffer_size() + (8 << 20) < free;
        if fits { opened.flush() } else { Ok(()) }
    });
    if let Err(problem) = flushed {
        warn!("what the database has in memory cannot be written: {problem}");
    }
}
