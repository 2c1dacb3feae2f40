//! Readings that end in time, whatever the process does.
//!
//! Memory of a process may come from a file system that its owner runs, or wait for a handler of
//! page faults that never answers. Then the kernel waits, and a reading with it. Only the end of
//! the process, or of us, ends that.

use super::{interpreters::Python, process::pythons};
use std::{
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Readings that may be under way at once, those among them that nobody waits for any more.
pub const READINGS_MAX: usize = 8;

static READINGS: AtomicUsize = AtomicUsize::new(0);

/// One of the readings under way.
struct Place;

impl Place {
    fn take() -> io::Result<Self> {
        let take = |readings: usize| (readings < READINGS_MAX).then_some(readings + 1);
        let taken = READINGS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let busy = "as many processes as may be read at once do not answer";
        taken.map(|_| Place).map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, busy))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        READINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The Pythons of the process, as [`pythons`] reads them, by a thread that is left behind when the
/// time is over. After [`READINGS_MAX`] such threads nothing is read until one of them comes back.
pub fn pythons_within(pid: u32, limit: Duration) -> io::Result<Vec<Python>> {
    let place = Place::take()?;
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("read Python".into()).spawn(move || {
        let result = pythons(pid);
        drop(place);
        // Nobody waits any more where the time was over.
        let _ = sender.send(result);
    })?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} was not read within {limit:?}")))
    })
}
