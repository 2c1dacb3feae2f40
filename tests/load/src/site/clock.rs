//! The time that a server sees, by a small library that is preloaded: months pass in seconds.
//!
//! libfaketime shows a thread the true time now and then, while another one reads its file. For a
//! server that is a jump of months. The server's program must be linked with the dynamic loader, or
//! it sees the true time.

use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsString,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

const SOURCE: &str = include_str!("clock.c");

/// See the module.
#[derive(Clone, Debug)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock whose offset is kept in this file. Its library is compiled beside it.
    pub fn new(file: &Path) -> Result<Self> {
        let (source, library) = (file.with_extension("c"), file.with_extension("so"));
        fs::write(&source, SOURCE).with_context(|| source.display().to_string())?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let output = compiler.output().context("cc")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        let clock = FakeClock { library, file: file.to_owned() };
        fs::write(file, 0_i64.to_ne_bytes()).with_context(|| file.display().to_string())?;
        Ok(clock)
    }

    /// Variables for the server.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![("LD_PRELOAD", self.library.clone().into()), ("SITE_CLOCK", self.file.clone().into())]
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
        let file = fs::OpenOptions::new().write(true).open(&self.file);
        let written = file.and_then(|file| file.write_all_at(&offset_s.to_ne_bytes(), 0));
        written.with_context(|| self.file.display().to_string())
    }
}

/// The true time, in seconds of Unix time.
pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
