//! SIGHUP: reads the configuration again, and applies what can change while the server runs.
//!
//! For any other key, the log says that the old value stays until a restart. A wrong configuration
//! changes nothing.

use crate::{config::Config, join::Rules, learned::SoftwareNames, sd_notify, tls_server::Tls};
use anyhow::{Context, Result};
use std::sync::Arc;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, warn};

/// A function that sets the log's levels.
pub type SetLog = dyn Fn(&str) -> Result<()> + Send + Sync;

/// How to read the configuration again, and how to set the log's levels.
pub struct Reload {
    /// Reads the configuration in the same way as at the start.
    pub read: Box<dyn Fn() -> Result<Config> + Send + Sync>,
    /// Sets the levels of the log.
    pub set_log: Box<SetLog>,
}

/// What can change while the server runs.
pub struct ReloadTargets {
    /// The rules that filter and limit events.
    pub rules: watch::Sender<Arc<Rules>>,
    /// What programs are called that nobody registered.
    pub names: Arc<SoftwareNames>,
    /// The certificate and key.
    pub tls: Option<Arc<Tls>>,
}

impl Reload {
    /// Reads the configuration again at each SIGHUP. A SIGHUP no longer ends the process from when
    /// this returns, and the result is to be awaited.
    pub fn at_each_hangup(
        self,
        mut current: Config,
        changing: ReloadTargets,
    ) -> Result<impl Future<Output = ()> + Send> {
        let mut hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        Ok(async move {
            while hangups.recv().await.is_some() {
                sd_notify::reloading();
                match (self.read)() {
                    Ok(fresh) => current = self.apply(current, fresh, &changing),
                    Err(problem) => {
                        error!("the configuration stays as it was, because the new one is wrong: {problem:#}")
                    }
                }
                sd_notify::ready();
            }
        })
    }

    /// Applies what can change. Returns the configuration that is valid from now on.
    fn apply(&self, mut current: Config, fresh: Config, changing: &ReloadTargets) -> Config {
        // The same files may have other rules in them.
        match fresh.names.read_rules() {
            Ok(rules) => {
                changing.names.set_rules(rules);
                current.names.clone_from(&fresh.names);
            }
            Err(problem) => {
                error!("the rules for names stay as they were, because the new ones are wrong: {problem}")
            }
        }
        for key in current.changed(&fresh) {
            let applied = match key {
                "log_level" => {
                    (self.set_log)(&fresh.log_level).map(|()| current.log_level.clone_from(&fresh.log_level))
                }
                "filter" | "limit" => {
                    changing.rules.send_replace(Arc::new(Rules::new(&fresh)));
                    current.filter.clone_from(&fresh.filter);
                    current.limit.clone_from(&fresh.limit);
                    Ok(())
                }
                _ => {
                    warn!("`{key}` has changed, which needs a restart: until then, the old value stays");
                    continue;
                }
            };
            match applied {
                Ok(()) => info!("`{key}` has changed: the new value is in use"),
                Err(problem) => {
                    error!("`{key}` stays as it was, because the new value is wrong: {problem:#}")
                }
            }
        }
        // The same file may have another certificate in it.
        if let Some(tls) = &changing.tls {
            match tls.reload() {
                Ok(()) => info!("the TLS certificate and its key were read again"),
                Err(problem) => error!(
                    "the TLS certificate in use stays, because the new one cannot be used: {problem:#}"
                ),
            }
        }
        current
    }
}
