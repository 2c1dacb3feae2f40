//! Starts to flush a file before its commit, so that the commit has little left to wait for.
//!
//! At 100,000 events/s the documents of a second are 120 MB. To flush them at once takes half a
//! second, in which nothing is written. So every few megabytes a thread flushes the file while
//! writing goes on. Only the commit, which flushes again, says what is durable.

use anyhow::{Context, Result};
use std::{
    fs::File,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

/// Bytes that are written between two flushes.
const BYTES: u64 = 8 << 20;

/// Flushes one file; its thread ends with it.
pub struct Flusher {
    begin: SyncSender<()>,
    written: u64,
}

impl Flusher {
    /// Starts the thread for this file.
    pub fn new(file: &File) -> Result<Self> {
        let file = file.try_clone().context("cannot duplicate the descriptor of an output file")?;
        let (begin, asked) = sync_channel(1);
        let work = move || {
            for () in asked {
                // The commit meets the same error, and reports it.
                let _ = file.sync_data();
            }
        };
        thread::Builder::new()
            .name("flush".into())
            .spawn(work)
            .context("cannot start the thread that flushes files")?;
        Ok(Flusher { begin, written: 0 })
    }

    /// Notes that bytes were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        if self.written >= BYTES && self.begin.try_send(()).is_ok() {
            self.written = 0;
        }
    }
}
