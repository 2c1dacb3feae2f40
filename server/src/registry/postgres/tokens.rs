//! Tokens of the registry, which hold at each of its servers.

use super::{LOOKUP, Postgres, connections::Connections};
use crate::{
    registry::error::Result,
    tokens::{StoredToken, TokenHolder, TokenStore, TokensOfServer},
};
use std::sync::Arc;
use tokio_postgres::Client;
use tracing::debug;

/// The tokens of the registry, and those of this server.
pub struct TokensOfRegistry {
    /// Connections of its own: the server may not run.
    pub connections: Connections,
    /// What was added before the registry had tokens.
    pub own: TokensOfServer,
}

impl TokenStore for TokensOfRegistry {
    fn add(&self, token: StoredToken) -> anyhow::Result<bool> {
        if self.own.list()?.iter().any(|known| known.holder.name == token.holder.name) {
            return Ok(false);
        }
        let token = Arc::new(token);
        let added = self.connections.ask(LOOKUP, move |client| {
            let token = token.clone();
            Box::pin(async move {
                let insert = "INSERT INTO tokens (name, digest, scopes) VALUES ($1, $2, $3)
                    ON CONFLICT (name) DO NOTHING";
                let TokenHolder { name, scopes } = &token.holder;
                Ok(client.execute(insert, &[name, &token.digest, &scopes.to_string()]).await?)
            })
        })?;
        Ok(added > 0)
    }

    fn remove(&self, name: &str) -> anyhow::Result<bool> {
        let of_registry = name.to_owned();
        let removed = self.connections.ask(LOOKUP, move |client| {
            let name = of_registry.clone();
            Box::pin(async move { Ok(client.execute("DELETE FROM tokens WHERE name = $1", &[&name]).await?) })
        })?;
        Ok(self.own.remove(name)? || removed > 0)
    }

    fn list(&self) -> anyhow::Result<Vec<StoredToken>> {
        let mut tokens = self.connections.ask(LOOKUP, |client| Box::pin(all(client)))?;
        tokens.extend(self.own.list()?);
        Ok(tokens)
    }
}

/// All tokens of the registry, in the order of their names.
async fn all(client: &Client) -> Result<Vec<StoredToken>> {
    let mut tokens = Vec::new();
    for row in client.query("SELECT name, digest, scopes FROM tokens ORDER BY name", &[]).await? {
        let (name, digest, scopes): (String, String, &str) = (row.get(0), row.get(1), row.get(2));
        match scopes.parse() {
            Ok(scopes) => tokens.push(StoredToken { digest, holder: TokenHolder { name, scopes } }),
            // A newer server knows more scopes.
            Err(problem) => debug!("the token {name} permits nothing at this server: {problem:#}"),
        }
    }
    Ok(tokens)
}

impl Postgres {
    /// All tokens of the registry.
    pub(super) fn all_tokens(&self) -> Result<Vec<StoredToken>> {
        self.connections.ask(LOOKUP, |client| Box::pin(all(client)))
    }
}
