//! A stage of the line: a thread of its own, whose end is waited for.

use crate::shutdown::Shutdown;
use anyhow::{Context, Result, bail};
use std::thread;
use tokio::runtime::Handle;

/// See the module.
pub struct Stage {
    name: String,
    thread: thread::JoinHandle<Result<()>>,
}

impl Stage {
    /// Starts a thread.
    pub fn start(name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Stage> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        Ok(Stage {
            name: name.to_owned(),
            thread: thread.with_context(|| format!("cannot start the thread of {name}"))?,
        })
    }

    /// Starts one without which the server must not go on: when it ends, everything stops.
    pub fn start_vital(
        name: &str,
        shutdown: Shutdown,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Stage> {
        Stage::start(name, move || {
            let result = work();
            shutdown.ask();
            result
        })
    }

    /// Starts one whose work waits in the runtime, and may block the thread all the same.
    pub fn start_waiting<F: Future<Output = ()>>(
        name: &str,
        runtime: &Handle,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Stage> {
        let runtime = runtime.clone();
        Stage::start(name, move || {
            runtime.block_on(work());
            Ok(())
        })
    }

    /// Waits for its end.
    pub async fn ended(self) -> Result<()> {
        let Stage { name, thread } = self;
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(result)) => result,
            _ => bail!("stage {name} ended by a panic"),
        }
    }
}
