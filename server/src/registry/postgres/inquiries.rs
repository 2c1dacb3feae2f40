//! Questions between the servers of one registry: when did these builds last run at yours?
//!
//! Each server counts what it received itself, so none of them alone can say that a build is
//! unused. The one that is about to delete builds writes their signatures into a table; every other
//! server looks there, brings its counts up to date, and writes when each of them ran last. Without
//! the answer of all servers no build is deleted.
//!
//! A server that is gone for good answers no more. So each server writes, once a day, on which day
//! each build ran last at it, and those days count when it is gone.
//! `server/tests/server/shared_retention.rs` holds that.

use super::connections::Session;
use crate::registry::{UsedElsewhere, error::Result};
use ogrt_note::Signature;
use std::collections::BTreeSet;
use tokio_postgres::Transaction;
use uuid::Uuid;

/// A question of another server.
pub struct Inquiry {
    /// Its number.
    pub id: i64,
    /// The builds that may be deleted.
    pub signatures: Vec<Signature>,
}

/// Makes this server known to the others, which wait for its answers from now on. Returns how many
/// others were seen within five minutes.
pub async fn join(session: &mut Session, server: i64, name: &str) -> Result<i64> {
    let insert = "INSERT INTO servers (server, name) VALUES ($1, $2)
        ON CONFLICT (server) DO UPDATE SET name = excluded.name, seen = now()";
    session.execute(insert, &[&server, &name]).await?;
    let others = "SELECT count(*) FROM servers WHERE server <> $1 AND seen > now() - interval '5 minutes'";
    Ok(session.query_one(others, &[&server]).await?.get(0))
}

/// The oldest question that this server has not answered.
pub async fn next(session: &mut Session, server: i64) -> Result<Option<Inquiry>> {
    let select = "SELECT id, signatures FROM inquiries i WHERE asker <> $1
        AND NOT EXISTS (SELECT 1 FROM inquiry_answers a WHERE a.inquiry = i.id AND a.server = $1)
        ORDER BY id LIMIT 1";
    let rows = session.ask_again(select, &[&server]).await?;
    Ok(rows.first().map(|row| {
        let signatures: Vec<Uuid> = row.get(1);
        let signatures = signatures.into_iter().map(|uuid| Signature::from_bytes(uuid.into_bytes()));
        Inquiry { id: row.get(0), signatures: signatures.collect() }
    }))
}

/// Answers a question: when each build ran last, in nanoseconds of Unix time.
pub async fn answer(session: &mut Session, server: i64, id: i64, last_used: &[Option<i64>]) -> Result<()> {
    // Whoever asked may have given up and removed the question.
    let insert =
        "INSERT INTO inquiry_answers SELECT id, $2::bigint, $3::bigint[] FROM inquiries WHERE id = $1
        ON CONFLICT DO NOTHING";
    session.execute(insert, &[&id, &server, &last_used]).await?;
    session.execute("UPDATE servers SET seen = now() WHERE server = $1", &[&server]).await?;
    Ok(())
}

/// Asks all other servers; the question's number.
pub async fn ask(session: &mut Session, server: i64, signatures: &[Uuid]) -> Result<i64> {
    session.execute("DELETE FROM inquiries WHERE asker = $1", &[&server]).await?;
    let insert = "INSERT INTO inquiries (asker, signatures) VALUES ($1, $2) RETURNING id";
    Ok(session.query_one(insert, &[&server, &signatures]).await?.get(0))
}

/// What the other servers have answered so far. One that was not seen for 30 days is left out.
pub async fn answers(session: &mut Session, server: i64, id: i64, builds: usize) -> Result<UsedElsewhere> {
    let select = "SELECT s.name, a.last_used FROM servers s
        LEFT JOIN inquiry_answers a ON a.inquiry = $1 AND a.server = s.server
        WHERE s.server <> $2 AND s.seen > now() - interval '30 days'";
    let mut used = UsedElsewhere { last_used: vec![None; builds], silent: BTreeSet::new() };
    for row in session.query(select, &[&id, &server]).await? {
        let Some(last_used) = row.get::<_, Option<Vec<Option<i64>>>>(1) else {
            used.silent.insert(row.get(0));
            continue;
        };
        for (known, last) in used.last_used.iter_mut().zip(last_used) {
            *known = (*known).max(last);
        }
    }
    Ok(used)
}

/// A day, in nanoseconds.
const DAY_NS: i64 = 86_400_000_000_000;

/// Notes when builds ran last at this server, in nanoseconds of Unix time. A row changes once a
/// day.
pub async fn note(session: &mut Session, server: i64, last_used: &[(Uuid, i64)]) -> Result<()> {
    let (signatures, days): (Vec<Uuid>, Vec<i32>) =
        last_used.iter().map(|(signature, last_ns)| (*signature, (last_ns / DAY_NS) as i32)).unzip();
    let upsert = "INSERT INTO last_used AS l (signature, server, day)
        SELECT signature, $1, day FROM unnest($2::uuid[], $3::integer[]) AS rows (signature, day)
        ON CONFLICT (signature, server) DO UPDATE SET day = excluded.day WHERE l.day < excluded.day";
    session.execute(upsert, &[&server, &signatures, &days]).await?;
    Ok(())
}

/// When builds ran last at servers that are gone: the end of the day, in nanoseconds of Unix time.
pub async fn left_behind(
    session: &mut Session,
    server: i64,
    id: i64,
    signatures: &[Uuid],
) -> Result<Vec<Option<i64>>> {
    let select =
        "SELECT (SELECT max(day) FROM last_used l WHERE l.signature = asked.signature AND l.server <> $1
            AND NOT EXISTS (SELECT 1 FROM inquiry_answers a WHERE a.inquiry = $2 AND a.server = l.server))
        FROM unnest($3::uuid[]) WITH ORDINALITY AS asked (signature, place) ORDER BY place";
    let rows = session.query(select, &[&server, &id, &signatures]).await?;
    let end = |day: i32| (i64::from(day) + 1) * DAY_NS;
    Ok(rows.iter().map(|row| row.get::<_, Option<i32>>(0).map(end)).collect())
}

/// Forgets when builds ran that are deleted.
pub async fn forget(transaction: &Transaction<'_>, signatures: &[Uuid]) -> Result<()> {
    transaction.execute("DELETE FROM last_used WHERE signature = ANY($1)", &[&signatures]).await?;
    Ok(())
}

/// Removes a question and its answers.
pub async fn settle(session: &mut Session, id: i64) -> Result<()> {
    session.execute("DELETE FROM inquiries WHERE id = $1", &[&id]).await?;
    Ok(())
}
