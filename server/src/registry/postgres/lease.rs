//! What one server of the registry does at a time: it holds a lease, a row with its number, an
//! epoch and a time until which it holds.
//!
//! Time is the database's, so no server's clock matters. A lease that has run out may be taken by
//! another server, which makes a new epoch. Whoever hung meanwhile finds that its epoch is over
//! before it changes anything ([`check`] is in the same transaction).

use super::connections::Session;
use crate::registry::{RegistryError, error::Result};
use std::time::Duration;
use tokio_postgres::Transaction;

/// The lease of whoever deletes old builds.
pub const RETENTION: &str = "retention";

/// How long a lease holds unless it is renewed: longer than the work for one slice of builds.
const HOLDS: Duration = Duration::from_secs(180);

/// A lease that this server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// This server's number.
    pub server: i64,
    /// The epoch, which is over when another server takes the lease.
    pub epoch: i64,
}

/// Takes the lease, or renews it. `None` while another server holds it, and where the work was done
/// within the time `every`.
pub async fn take(session: &mut Session, name: &str, server: i64, every: Duration) -> Result<Option<Lease>> {
    let take = "INSERT INTO leases AS l (name, server, epoch, until)
            VALUES ($1, $2, 1, now() + $3::double precision * interval '1 second')
        ON CONFLICT (name) DO UPDATE SET server = excluded.server, until = excluded.until,
            epoch = l.epoch + CASE WHEN l.server = $2 AND l.until > now() THEN 0 ELSE 1 END
        WHERE (l.server = $2 AND l.until > now())
            OR (l.until <= now() AND coalesce(l.done <= now() - $4::double precision * interval '1 second', true))
        RETURNING epoch";
    // Whoever is a little early would wait for a whole period more.
    let since_done = every.as_secs_f64() * 0.9;
    let row = session.query_opt(take, &[&name, &server, &HOLDS.as_secs_f64(), &since_done]).await?;
    Ok(row.map(|row| Lease { server, epoch: row.get(0) }))
}

/// Gives the lease back: the work is done.
pub async fn give_back(session: &mut Session, name: &str, lease: Lease) -> Result<()> {
    let end = "UPDATE leases SET until = now(), done = now() WHERE name = $1 AND server = $2 AND epoch = $3";
    session.execute(end, &[&name, &lease.server, &lease.epoch]).await?;
    Ok(())
}

/// An error unless this server still holds the lease; nobody takes it before the transaction ends.
pub async fn check(transaction: &Transaction<'_>, name: &'static str, lease: Lease) -> Result<()> {
    let held = "SELECT 1 FROM leases WHERE name = $1 AND server = $2 AND epoch = $3 AND until > now()
        FOR UPDATE";
    match transaction.query_opt(held, &[&name, &lease.server, &lease.epoch]).await? {
        Some(_) => Ok(()),
        None => Err(RegistryError::LeaseLost),
    }
}
