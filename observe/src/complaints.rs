//! Lines for the log: the first of a minute each, and how many were alike.

use std::time::{Duration, Instant};

/// Time in which one line is written.
const WINDOW: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub struct Complaints {
    since: Option<Instant>,
    silent: u64,
}

impl Complaints {
    /// Says what is wrong, unless something was said in the last minute.
    pub fn say(&mut self, problem: &str) {
        if self.since.is_some_and(|since| since.elapsed() < WINDOW) {
            self.silent += 1;
            return;
        }
        let silent = std::mem::take(&mut self.silent);
        self.since = Some(Instant::now());
        match silent {
            0 => eprintln!("ogrt-observe: {problem}"),
            _ => eprintln!("ogrt-observe: {problem} ({silent} more messages were not written)"),
        }
    }
}
