//! SIGHUP: the configuration is read again, and what can change while the server runs changes.
//!
//! What cannot is refused with a line that names it; the old value stays until a restart. A configuration that is
//! wrong changes nothing at all.

use crate::{config::Config, join::Rules, sd_notify, tls_server::Tls};
use anyhow::{Context, Result};
use std::sync::Arc;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, warn};

/// Sets the levels of the log.
pub type SetLog = dyn Fn(&str) -> Result<()> + Send + Sync;

/// How the configuration is read again, and how the log follows it.
pub struct Reload {
    /// Reads the configuration as it was read at the start.
    pub read: Box<dyn Fn() -> Result<Config> + Send + Sync>,
    /// Sets the levels of the log.
    pub set_log: Box<SetLog>,
}

/// What changes while the server runs.
pub struct ReloadTargets {
    /// Filter and limit.
    pub rules: watch::Sender<Arc<Rules>>,
    /// The certificate.
    pub tls: Option<Arc<Tls>>,
}

impl Reload {
    /// Reads again at each SIGHUP, as long as the server runs.
    pub async fn at_each_hangup(self, mut current: Config, changing: ReloadTargets) -> Result<()> {
        let mut hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        while hangups.recv().await.is_some() {
            sd_notify::reloading();
            match (self.read)() {
                Ok(fresh) => current = self.apply(current, fresh, &changing),
                Err(problem) => error!("the configuration stays as it was: {problem:#}"),
            }
            sd_notify::ready();
        }
        Ok(())
    }

    /// Applies what can be applied; the configuration that holds from now on.
    fn apply(&self, mut current: Config, fresh: Config, changing: &ReloadTargets) -> Config {
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
                    warn!("`{key}` has changed, which needs a restart: the old value stays");
                    continue;
                }
            };
            match applied {
                Ok(()) => info!("`{key}` has changed"),
                Err(problem) => error!("`{key}` stays as it was: {problem:#}"),
            }
        }
        // The same file may hold another certificate.
        if let Some(tls) = &changing.tls {
            match tls.reload() {
                Ok(()) => info!("certificate and key were read again"),
                Err(problem) => error!("the certificate in use stays: {problem:#}"),
            }
        }
        current
    }
}
