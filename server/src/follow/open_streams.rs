//! Processes that have a stream to us that is not read to its end: what comes by it is told before
//! their ends.

use super::{Follow, process_key::ProcessKey};
use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The number of streams of each process.
#[derive(Default)]
pub struct OpenStreams(Mutex<HashMap<ProcessKey, u32>>);

impl OpenStreams {
    /// True if the process has none.
    pub fn is_silent(&self, key: ProcessKey) -> bool {
        !self.streams().contains_key(&key)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<ProcessKey, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of a process. It ends when this is dropped.
pub struct OpenStream {
    follow: Arc<Follow>,
    key: ProcessKey,
}

impl OpenStream {
    /// A stream of the process with this number, by its pidfd where the kernel gave one.
    pub fn new(follow: &Arc<Follow>, pid: u32, pidfd: Option<&OwnedFd>) -> Self {
        let key = ProcessKey::of(pid, pidfd);
        *follow.open_streams.streams().entry(key).or_default() += 1;
        OpenStream { follow: follow.clone(), key }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.follow.open_streams.streams();
        if let Some(count) = streams.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.key);
            }
        }
    }
}
