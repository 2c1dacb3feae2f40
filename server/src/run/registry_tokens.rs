//! The tokens of a registry that several servers share: each server looks for them when it hears of
//! a change, and every second, so that one that is added or removed at any of them holds, or holds
//! no more, at all.

use crate::{registry::Registry, tokens::Tokens};
use std::{sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};
use tracing::error;

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks until the task is ended.
pub async fn follow(registry: Arc<dyn Registry>, tokens: Arc<Tokens>) {
    let mut news = registry.news();
    loop {
        let (registry, tokens) = (registry.clone(), tokens.clone());
        let look = spawn_blocking(move || match registry.tokens() {
            Ok(known) => tokens.mirror(&known),
            // The connection has logged that it is away: what was known last still holds.
            Err(_) => Ok(()),
        });
        if let Ok(Err(problem)) = look.await {
            error!(
                "the registry's tokens cannot be kept: {problem:#}. Those known before hold; trying again"
            );
        }
        let Some(news) = &mut news else { return };
        let _ = timeout(LOOK_EVERY, news.changed()).await;
    }
}
