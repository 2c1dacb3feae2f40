//! The time that a server sees, by libfaketime: months pass in seconds.
//!
//! The server's program must be linked with the dynamic loader, or it sees the true time.

use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// See the module.
#[derive(Clone, Debug)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock whose offset is kept in this file; `None` where this machine has no libfaketime.
    pub fn new(file: &Path) -> Option<Self> {
        let architecture = std::env::consts::ARCH;
        let library = PathBuf::from(format!("/usr/lib/{architecture}-linux-gnu/faketime/libfaketime.so.1"));
        library.exists().then(|| FakeClock { library, file: file.to_owned() })
    }

    /// Variables for the server.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// Makes it this time, in seconds of Unix time.
    pub fn set(&self, time_s: i64) -> Result<()> {
        self.set_offset(time_s - now_s())
    }

    /// Makes it the true time.
    pub fn set_true(&self) -> Result<()> {
        self.set_offset(0)
    }

    fn set_offset(&self, offset_s: i64) -> Result<()> {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{offset_s:+}\n")).with_context(|| fresh.display().to_string())?;
        fs::rename(&fresh, &self.file).with_context(|| self.file.display().to_string())
    }

    /// Deletes what libfaketime left of a dead process: another with its number could not use it.
    pub fn forget(pid: u32) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = fs::remove_file(format!("/dev/shm/{name}{pid}"));
        }
    }
}

/// The true time, in seconds of Unix time.
pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
