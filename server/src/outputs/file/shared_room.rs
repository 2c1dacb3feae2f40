//! The room of a disk that has the store and an output's files.
//!
//! What the outputs write of events that were taken would else fill the disk behind the store, and
//! take what `queue.disk_free_min` leaves to others.

use crate::database::{Condition, free_space};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// See the module.
pub struct SharedRoom {
    path: PathBuf,
    condition: Arc<Condition>,
}

impl SharedRoom {
    /// The room that files in `path` share with the store in `data_dir`; `None` on a disk of their
    /// own.
    pub fn of(path: &Path, data_dir: &Path, condition: Arc<Condition>) -> Result<Option<Self>> {
        let device = |path: &Path| {
            let found = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
            anyhow::Ok(found.dev())
        };
        let is_shared = device(path)? == device(data_dir)?;
        Ok(is_shared.then(|| SharedRoom { path: path.to_owned(), condition }))
    }

    /// Fails where `bytes` more would leave less than the store's disk has to keep free.
    pub fn has(&self, bytes: u64) -> Result<()> {
        let Some(free) = free_space(&self.path) else { return Ok(()) };
        let needed = self.condition.room_to_leave() + bytes;
        ensure!(
            free >= needed,
            "the disk of {} has {} MiB free, and {} MiB are needed (queue.disk_free_min)",
            self.path.display(),
            free >> 20,
            needed >> 20
        );
        Ok(())
    }
}
