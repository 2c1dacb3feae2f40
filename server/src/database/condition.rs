//! What the store can take at the moment, for those who would bring it more.
//!
//! Whoever receives asks [`Condition::takes_events`] first, which costs one load. Whoever waits for
//! an answer listens to changes, and gives up when nothing is taken any more. Whoever is asked says
//! why: [`Condition::refusals`].

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::watch;

/// A reason to take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A write failed, and the database is not mended yet.
    Broken,
    /// The disk has too little room.
    Disk,
    /// The queue is as large as it may be.
    Queue,
}

/// See the module.
pub struct Condition {
    refusals: Mutex<[Option<String>; 3]>,
    takes_events: watch::Sender<bool>,
    is_taking: AtomicBool,
    /// There is not even room for what follows from events that were taken.
    is_stopped: AtomicBool,
    /// Free bytes of the store's disk below which that is so.
    stopped_below: AtomicU64,
}

impl Default for Condition {
    fn default() -> Self {
        Condition {
            refusals: Mutex::default(),
            takes_events: watch::Sender::new(true),
            is_taking: AtomicBool::new(true),
            is_stopped: AtomicBool::new(false),
            stopped_below: AtomicU64::new(0),
        }
    }
}

impl Condition {
    /// True while events are taken.
    pub fn takes_events(&self) -> bool {
        self.is_taking.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)[Cause::Disk as usize].is_some()
    }

    /// Returns once no events are taken any more.
    pub async fn refuses(&self) {
        // The sender lives in `self`.
        let _ = self.takes_events.subscribe().wait_for(|takes| !takes).await;
    }

    /// The reasons why no events are taken; none while they are.
    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }

    /// Sets or ends a reason to take nothing; true when it is new or over.
    pub fn set(&self, cause: Cause, why: Option<String>) -> bool {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut refusals[cause as usize];
        let is_news = known.is_some() != why.is_some();
        *known = why;
        let takes = refusals.iter().all(Option::is_none);
        self.is_taking.store(takes, Ordering::Relaxed);
        self.takes_events.send_if_modified(|before| std::mem::replace(before, takes) != takes);
        is_news
    }

    /// Free bytes of the store's disk that nobody takes who writes what follows from events.
    pub fn room_to_leave(&self) -> u64 {
        self.stopped_below.load(Ordering::Relaxed)
    }

    pub(super) fn stop_below(&self, bytes: u64, free: u64) {
        self.stopped_below.store(bytes, Ordering::Relaxed);
        self.is_stopped.store(free < bytes, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}
