//! Which step a chore is at: `[3/9] title ... 12.3 s` in a log, a spinner with the newest line of
//! output on a terminal.

use crate::child::{self, Sink};
use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
    process::Command,
    time::{Duration, Instant},
};

/// The steps of one chore.
pub struct Steps {
    total: usize,
    done: usize,
    started: Instant,
}

/// The step that is being done.
pub struct Step {
    title: String,
    bar: Option<ProgressBar>,
    /// True when lines stand between the title and the time.
    said: Cell<bool>,
}

impl Steps {
    /// Begins a chore of `total` steps.
    pub fn new(total: usize) -> Steps {
        Steps { total, done: 0, started: Instant::now() }
    }

    /// Runs one step. An error in it gets the step's title.
    pub fn step<T>(&mut self, title: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
        self.done += 1;
        let title = format!("[{}/{}] {title}", self.done, self.total);
        let step = Step::begin(title);
        let started = Instant::now();
        let result = work(&step);
        step.end(result.is_ok(), started.elapsed());
        result.with_context(|| step.title.clone())
    }

    /// Seconds since the first step began.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Step {
    fn begin(title: String) -> Step {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message(title.clone());
            let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}  {prefix:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            print!("{title} ... ");
            let _ = io::stdout().flush();
        }
        Step { title, bar, said: Cell::new(false) }
    }

    fn end(&self, ok: bool, took: Duration) {
        let seconds = took.as_secs_f64();
        let verdict = if ok { "" } else { "FAILED after " };
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                println!("{} ... {verdict}{seconds:.1} s", self.title);
            }
            None if self.said.get() => println!("\n      {verdict}{seconds:.1} s"),
            None => println!("{verdict}{seconds:.1} s"),
        }
    }

    /// Runs a command to its end. Its output is shown only when it fails.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        child::run(command, &mut |line| self.show(line))
    }

    /// Runs a command to its end and returns its standard output.
    pub fn capture(&self, command: &mut Command) -> Result<String> {
        child::capture(command)
    }

    /// Runs a command and gives each line of its output to `sink` as it comes. A failure does not
    /// repeat the lines.
    pub fn watch(&self, command: &mut Command, sink: &mut Sink<'_>) -> Result<()> {
        let mut show_and_pass_on = |line: &str| {
            self.show(line);
            sink(line);
        };
        child::run(command, &mut show_and_pass_on).map_err(|error| {
            let text = error.to_string();
            anyhow!("{}", text.lines().next().unwrap_or_default())
        })
    }

    /// Prints a line that stays between the steps.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => {
                print!("\n      {line}");
                self.said.set(true);
            }
        }
    }

    fn show(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(line.chars().filter(|c| !c.is_control()).take(60).collect::<String>());
        }
    }
}
