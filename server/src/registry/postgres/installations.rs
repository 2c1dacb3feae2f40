//! Installations of all servers of the registry, in one table.
//!
//! One is acknowledged when it is on the server's own disk, and a moment later it is in the table:
//! so it is taken while the database is away, and what a server kept before it had a database
//! arrives as well. What still waits here is part of each list. With `acknowledge = "commit"` it
//! goes into the table, or is refused.

use super::{
    LOOKUP, PAUSE, Postgres, WALK,
    connections::{Connections, Session},
    values::signature_uuid,
};
use crate::registry::{
    InstallationFilter, InstallationId, InstallationPage, PAGE_BYTES_MAX, RegistryError,
    error::{OrDamaged, Result},
    installations::{Installations, id_of, module_of, signatures_of},
};
use ogrt_proto::Installation;
use prost::Message;
use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};
use tokio_postgres::types::ToSql;
use tracing::error;
use uuid::Uuid;

/// Installations in one transaction; each may have thousands of files.
const AT_ONCE: usize = 20;

/// Writes installations into the table, unless they are there.
async fn keep(session: &mut Session, installations: &[Installation]) -> Result<()> {
    let insert = "INSERT INTO installations (id, prefix, module, signatures, installation)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING";
    let transaction = session.transaction().await?;
    for installation in installations {
        let id = id_of(installation);
        let module = module_of(installation).map(str::as_bytes);
        let mut signatures: Vec<Uuid> = signatures_of(installation).map(signature_uuid).collect();
        signatures.sort_unstable();
        signatures.dedup();
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&&id[..], &installation.prefix(), &module, &signatures, &installation.encode_to_vec()];
        transaction.execute(insert, &parameters).await?;
    }
    Ok(transaction.commit().await?)
}

/// The installations of the table that fit, the newest first, by their ids; no more bytes than a
/// page has, and whether some are left out for that.
async fn list(
    session: &mut Session,
    filter: &InstallationFilter,
) -> Result<(Vec<(InstallationId, Installation)>, bool)> {
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let signature = filter.signature.map(|signature| vec![signature_uuid(signature)]);
    let module = filter.module.as_deref().map(str::as_bytes);
    let before = filter.before.as_ref().map(|id| &id[..]);
    let mut select = "WITH page AS (SELECT id, octet_length(installation) AS own,
            sum(octet_length(installation)) OVER (ORDER BY id DESC) AS with_all_before
            FROM installations WHERE true"
        .to_owned();
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    if let Some(prefix) = &filter.prefix {
        parameters.push(prefix);
        let number = parameters.len();
        select += &format!(" AND sha256(prefix) = sha256(${number}::bytea)");
    }
    if let Some(module) = &module {
        parameters.push(module);
        let number = parameters.len();
        select += &format!(" AND module IS NOT NULL AND sha256(module) = sha256(${number}::bytea)");
    }
    if let Some(signature) = &signature {
        parameters.push(signature);
        select += &format!(" AND signatures @> ${}::uuid[]", parameters.len());
    }
    if let Some(before) = &before {
        parameters.push(before);
        select += &format!(" AND id < ${}::bytea", parameters.len());
    }
    parameters.push(&limit);
    select += &format!(
        " ORDER BY id DESC LIMIT ${}) SELECT id, installation, (SELECT count(*) FROM page) FROM installations
            WHERE id IN (SELECT id FROM page WHERE with_all_before <= {PAGE_BYTES_MAX} OR with_all_before = own)
            ORDER BY id DESC",
        parameters.len()
    );
    let (mut found, mut fitting) = (Vec::new(), 0);
    for row in session.query(&select, &parameters).await? {
        fitting = row.get::<_, i64>(2);
        let damaged = || "an installation";
        let id = row.get::<_, &[u8]>(0).try_into();
        let id = id.map_err(|_| RegistryError::damaged("the table of installations", "an id is cut"))?;
        found.push((id, Installation::decode(row.get::<_, &[u8]>(1)).or_damaged(damaged)?));
    }
    let is_cut = (found.len() as i64) < fitting;
    Ok((found, is_cut))
}

/// Carries what waits into the table.
fn carry(connections: &Connections, installations: &Installations, within: Duration) -> Result<()> {
    loop {
        let waiting: Arc<[Installation]> = installations.oldest(AT_ONCE)?.into();
        if waiting.is_empty() {
            return Ok(());
        }
        let kept = waiting.clone();
        connections.ask(within, move |client| {
            let kept = kept.clone();
            Box::pin(async move { keep(client, &kept).await })
        })?;
        installations.remove(&waiting)?;
    }
}

impl Postgres {
    /// Starts a thread that carries over what waits, while the registry is open.
    pub(super) fn carry_installations(&self) -> std::io::Result<()> {
        let (connections, installations) =
            (Arc::downgrade(&self.connections), Arc::downgrade(&self.installations));
        let follow = move || {
            while let Some((connections, installations)) = connections.upgrade().zip(installations.upgrade())
            {
                match carry(&connections, &installations, WALK) {
                    // The connection has logged that it is away.
                    Ok(()) | Err(RegistryError::Away(_)) => {}
                    Err(problem) => {
                        error!(
                            "cannot write installations to the registry's database: {problem}. They wait here; trying again"
                        );
                    }
                }
                drop((connections, installations));
                thread::sleep(PAUSE);
            }
        };
        thread::Builder::new().name("installations".into()).spawn(follow).map(drop)
    }

    /// Writes an installation into the table, and not here.
    pub(super) fn commit_installation(&self, installation: &Installation) -> Result<()> {
        let installation = Arc::new(installation.clone());
        self.connections.ask(LOOKUP, move |client| {
            let installation = installation.clone();
            Box::pin(async move { keep(client, std::slice::from_ref(&*installation)).await })
        })
    }

    /// Carries what waits into the table at once.
    pub(super) fn carry_waiting_installations(&self) -> Result<()> {
        carry(&self.connections, &self.installations, LOOKUP)
    }

    /// A page of the installations in the table and of those that wait here.
    pub(super) fn installations_everywhere(&self, filter: &InstallationFilter) -> Result<InstallationPage> {
        // What arrives meanwhile is found twice rather than never.
        let waiting = self.installations.list(filter)?;
        let (asked, limit) = (filter.clone(), filter.limit);
        let (kept, is_cut) = self.connections.ask(LOOKUP, move |client| {
            // One more tells whether there is a next page.
            let filter = InstallationFilter { limit: asked.limit.saturating_add(1), ..asked.clone() };
            Box::pin(async move { list(client, &filter).await })
        })?;
        // Where a list ends early, nothing older of the other list is of this page.
        let kept_until = kept.last().map(|(id, _)| *id).filter(|_| is_cut);
        let until = kept_until.max(waiting.next);
        let mut all: BTreeMap<InstallationId, Installation> = kept.into_iter().collect();
        all.extend(waiting.installations.into_iter().map(|one| (id_of(&one), one)));
        if let Some(until) = &until {
            all = all.split_off(until);
        }
        let is_last = all.len() <= limit && until.is_none();
        let page: Vec<_> = all.into_iter().rev().take(limit).collect();
        let next = page.last().map(|(id, _)| *id).or(until).filter(|_| !is_last);
        Ok(InstallationPage { installations: page.into_iter().map(|(_, one)| one).collect(), next })
    }
}
