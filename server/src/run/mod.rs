//! The daemon in one function: opens what is durable, starts each stage, and stops them in the
//! order of the line.

mod addresses;
mod consumers;
#[cfg(fuzzing)]
pub mod fuzzing;
mod jobs_over;
mod listeners;
#[cfg(test)]
mod model;
mod registry_tokens;
mod shared;
mod stage;
#[cfg(test)]
mod year_of_sums;

use crate::{
    clock,
    config::Config,
    database::Store,
    queue::WriterMessage,
    rebuild_sums,
    reload::{Reload, ReloadTargets},
    sd_notify,
    shutdown::Shutdown,
};
use addresses::Addresses;
use anyhow::Result;
use consumers::Consumers;
use jobs_over::JobCloser;
use listeners::{Listeners, Receive, answer};
use shared::{Inlets, Shared};
use stage::Stage;
use std::path::PathBuf;
use tokio::time::timeout;
use tracing::{info, warn};

/// Runs the server until `shutdown`; `ready_file` is written when everything listens.
pub async fn run(
    config: Config,
    reload: Reload,
    ready_file: Option<PathBuf>,
    shutdown: Shutdown,
) -> Result<()> {
    // What can fail is opened before anything runs.
    let store = Store::open(&config.data_dir)?;
    rebuild_sums::forget_rest(&config.data_dir);
    store.watch_disk(config.queue.disk_free_min.0)?;
    let mark = clock::Mark::open(&config.data_dir);
    let (shared, Inlets { writer, registered, jobs_over }) = Shared::open(config, store, shutdown.clone())?;
    let Listeners { receive: sockets, http, addresses, tls } = Listeners::bind(&shared).await?;
    let open_starts = shared.open_starts()?;
    let join = shared.open_join(registered)?;
    let consumers = Consumers::open(&shared)?;
    let runtime = shared.runtime.clone();

    let receive = Receive::start(&shared, sockets)?;
    let (received, follow_runtime) = (Shutdown::new(), runtime.clone());
    let follow = shared.follow_stage(received.clone());
    let follow = Stage::start("follow", move || {
        follow.run(&follow_runtime);
        Ok(())
    })?;
    let queue = Stage::start_vital("queue", shutdown.clone(), move || writer.run())?;
    let join = Stage::start_vital("join", shutdown.clone(), move || join.run(&runtime))?;
    let outputs = consumers.start(&shared, open_starts)?;

    let mut answering = answer(&shared, http);
    let targets = ReloadTargets { rules: shared.rules.clone(), names: shared.names.clone(), tls };
    let marking = tokio::spawn(mark.keep());
    let closing_jobs = tokio::spawn(JobCloser::new(&shared).close(jobs_over));
    let tokens = registry_tokens::follow(shared.registry.clone(), shared.intake.tokens.clone());
    let following_tokens = tokio::spawn(tokens);
    let reloading = tokio::spawn(reload.at_each_hangup(shared.config.clone(), targets)?);
    addresses.announce(ready_file.as_deref())?;
    sd_notify::ready();

    shutdown.wait().await;
    sd_notify::stopping();

    // Each stage empties itself into the next.
    let within = shared.config.stop_timeout.0;
    let orderly = timeout(within, async {
        receive.ended().await?;
        received.ask();
        follow.ended().await?;
        let _ = shared.intake.writer.send(WriterMessage::Stop);
        queue.ended().await?;
        join.ended().await?;
        for output in outputs {
            output.ended().await?;
        }
        Ok::<(), anyhow::Error>(())
    })
    .await;
    shared.give_up.ask();
    shared.store.give_up();
    answering.shutdown().await;
    reloading.abort();
    marking.abort();
    closing_jobs.abort();
    following_tokens.abort();
    match orderly {
        Ok(result) => result?,
        Err(_) => warn!(
            "not everything went out within {within:?}; it is in the queue, and goes out after the next start"
        ),
    }
    info!("stopped");
    Ok(())
}
