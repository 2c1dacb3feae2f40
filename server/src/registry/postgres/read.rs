//! Questions to the database, each in few statements. The statements that run for every process are
//! prepared.

use super::{
    connections::Session,
    index, inquiries,
    lease::{self, Lease},
    links::{self, Libraries},
    names,
    values::{names_of, signature_uuid},
};
use crate::registry::{
    Build, CONTAINING_MAX, ContainingBuilds, DEPTH_MAX, PAGE_BYTES_MAX, Part,
    error::{OrDamaged, Result},
    visited::VisitedSet,
};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use std::collections::HashMap;
use tokio_postgres::{Client, GenericClient, IsolationLevel, Row, Transaction, types::ToSql};
use uuid::Uuid;

/// How many numbers one statement has.
const NUMBERS_AT_ONCE: usize = 50_000;

/// The statement that reads whole builds.
macro_rules! whole {
    ($which:literal) => {
        concat!(
            "SELECT number, record, registered_ns,
                ARRAY(SELECT made FROM made_again m WHERE m.number = b.number ORDER BY time_ns, made)
            FROM builds b WHERE ",
            $which
        )
    };
}

/// The whole build.
pub async fn build(session: &mut Session, signature: Signature) -> Result<Option<Build>> {
    let rows = session.ask_again(whole!("signature = $1"), &[&signature_uuid(signature)]).await?;
    rows.first().map(|row| Ok(whole(row)?.1)).transpose()
}

fn whole(row: &Row) -> Result<(u64, Build)> {
    let (number, record, registered_ns): (i64, &[u8], i64) = (row.get(0), row.get(1), row.get(2));
    let made_again: Vec<&[u8]> = row.get(3);
    let made_again = made_again.into_iter().map(BuildRecord::decode).collect::<Result<_, _>>();
    let made_again = made_again.or_damaged(|| format!("a rebuild of build {number}"))?;
    Ok((number as u64, Build { record: Bytes::copy_from_slice(record), registered_ns, made_again }))
}

/// Builds in the order of registration, as many as a page has.
pub async fn export(client: &Client, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Build)>> {
    let select = whole!(
        "number IN (SELECT number FROM (SELECT number, octet_length(record) AS own,
            sum(octet_length(record)) OVER (ORDER BY number) AS all_before
            FROM builds WHERE number > $1 ORDER BY number LIMIT $2) AS page
        WHERE all_before <= $3 OR all_before = own) ORDER BY number"
    );
    let after = after.map_or(-1, |after| after as i64);
    let values: [&(dyn ToSql + Sync); 3] = [&after, &(limit as i64), &(PAGE_BYTES_MAX as i64)];
    client.query(select, &values).await?.iter().map(whole).collect()
}

/// The builds with numbers after `after`, in order, and the number of the last one. Without
/// `after`, no build and the last number that there is.
pub async fn registered_after(
    session: &mut Session,
    after: Option<i64>,
    limit: usize,
) -> Result<(i64, Vec<Signature>)> {
    let Some(after) = after else {
        let last = session.query_one("SELECT COALESCE(max(number), -1) FROM builds", &[]).await?;
        return Ok((last.get(0), Vec::new()));
    };
    let select = "SELECT number, signature FROM builds WHERE number > $1 ORDER BY number LIMIT $2";
    let rows = session.ask_again(select, &[&after, &(limit as i64)]).await?;
    let last = rows.last().map_or(after, |row| row.get(0));
    let signature = |row: &Row| Signature::from_bytes(row.get::<_, Uuid>(1).into_bytes());
    Ok((last, rows.iter().map(signature).collect()))
}

/// The part of each record that documents and lists show; `None` for one that is not registered.
pub async fn briefs(session: &mut Session, signatures: &[Signature]) -> Result<Vec<Option<BuildRecord>>> {
    let asked: Vec<Uuid> = signatures.iter().map(|signature| signature_uuid(*signature)).collect();
    let select = "SELECT signature, brief FROM builds WHERE signature = ANY($1)";
    let mut found = HashMap::new();
    for row in session.ask_again(select, &[&asked]).await? {
        found.insert(row.get::<_, Uuid>(0), brief(row.get(1))?);
    }
    Ok(asked.iter().map(|signature| found.remove(signature)).collect())
}

/// Decodes the short record.
pub fn brief(bytes: &[u8]) -> Result<BuildRecord> {
    BuildRecord::decode(bytes).or_damaged(|| "the summary of a build")
}

/// A walk's result.
pub struct Walk {
    /// The builds where it began.
    itself: Vec<i64>,
    /// Builds that contain the part, with their depth; the nearest first, then the newest.
    pub builds: Vec<(i64, u32)>,
    /// A bound ended the walk: there are more builds.
    pub is_cut: bool,
}

/// A transaction whose statements all see one state of the tables.
pub async fn one_moment(client: &mut Client) -> Result<Transaction<'_>> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    Ok(transaction.read_only(true).start().await?)
}

/// Walks from a part to all that it was linked into, level by level. Some of it may have been
/// deleted.
pub async fn walk(client: &impl GenericClient, part: Part, depth_max: u32) -> Result<Walk> {
    let (signature, digest) = names_of(part);
    let select = "SELECT number FROM builds WHERE signature = $1 OR output_digest = $2";
    let rows = client.query(select, &[&signature, &digest]).await?;
    let itself: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let mut visited = VisitedSet::default();
    for number in &itself {
        visited.insert(*number as u64);
    }
    let mut walk = Walk { itself, builds: Vec::new(), is_cut: false };
    let mut found = links::dependents(client, &walk.itself).await?;
    found.extend(index::all_numbers(client, &part.as_input()).await?);
    let mut libraries = Libraries::default();
    for depth in 1..=depth_max {
        let mut level = std::mem::take(&mut found);
        level.retain(|number| visited.insert(*number as u64));
        level.sort_unstable();
        let room = CONTAINING_MAX - walk.builds.len();
        if level.len() > room {
            level.truncate(room);
            walk.is_cut = true;
        }
        walk.builds.extend(level.iter().rev().map(|number| (*number, depth)));
        if level.is_empty() || walk.is_cut || depth == depth_max {
            walk.is_cut |= !level.is_empty() && depth == DEPTH_MAX;
            break;
        }
        for numbers in libraries.among(client, &level).await?.chunks(NUMBERS_AT_ONCE) {
            found.extend(links::dependents(client, numbers).await?);
        }
    }
    Ok(walk)
}

/// The builds that contain the part, by signature.
pub async fn containing(client: &mut Client, part: Part, depth_max: u32) -> Result<ContainingBuilds> {
    let client = one_moment(client).await?;
    let walk = walk(&client, part, depth_max).await?;
    let numbers: Vec<i64> =
        walk.itself.iter().copied().chain(walk.builds.iter().map(|(number, _)| *number)).collect();
    let signatures = names::of(&client, &numbers).await?;
    let (itself, builds) = signatures.split_at(walk.itself.len());
    let depths = walk.builds.iter().map(|(_, depth)| *depth);
    Ok(ContainingBuilds {
        itself: match part {
            // The question's own signature is part of the answer, even if nobody registered it.
            Part::Signature(signature) => vec![signature],
            Part::Digest(_) => itself.iter().flatten().copied().collect(),
        },
        builds: builds
            .iter()
            .zip(depths)
            .filter_map(|(signature, depth)| Some(((*signature)?, depth)))
            .collect(),
        is_cut: walk.is_cut,
        // Deleted builds have no signature.
        is_known: signatures.iter().any(Option::is_some),
    })
}

/// A build that may be old enough to be deleted.
pub struct Candidate {
    pub number: i64,
    pub signature: Signature,
    /// The time when it was registered or made last.
    pub made_ns: i64,
    /// Another build contains this one.
    pub is_library: bool,
}

/// The builds after the one with number `after`.
pub async fn candidates(client: &Client, after: Option<u64>, limit: usize) -> Result<Vec<Candidate>> {
    let select = "SELECT number, signature,
            GREATEST(registered_ns, (SELECT max(time_ns) FROM made_again m WHERE m.number = b.number)),
            EXISTS (SELECT 1 FROM dependents WHERE dependency = b.number)
        FROM builds b WHERE number > $1 ORDER BY number LIMIT $2";
    let after = after.map_or(-1, |after| after as i64);
    let rows = client.query(select, &[&after, &(limit as i64)]).await?;
    let candidate = |row: Row| Candidate {
        number: row.get(0),
        signature: Signature::from_bytes(row.get::<_, Uuid>(1).into_bytes()),
        made_ns: row.get(2),
        is_library: row.get(3),
    };
    Ok(rows.into_iter().map(candidate).collect())
}

/// Deletes the builds that no other contains, if this server still holds the lease. Returns the
/// signatures of those that were deleted.
pub async fn remove(client: &mut Client, numbers: &[i64], held: Option<Lease>) -> Result<Vec<Signature>> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(super::schema::LOCK).await?;
    if let Some(held) = held {
        lease::check(&transaction, lease::RETENTION, held).await?;
    }
    let delete = "DELETE FROM builds b WHERE number = ANY($1)
        AND NOT EXISTS (SELECT 1 FROM dependents WHERE dependency = b.number) RETURNING signature, number, record";
    let mut gone = Vec::new();
    for row in transaction.query(delete, &[&numbers]).await? {
        let record = BuildRecord::decode(row.get::<_, &[u8]>(2)).unwrap_or_default();
        gone.push((Signature::from_bytes(row.get::<_, Uuid>(0).into_bytes()), row.get(1), record));
    }
    links::unlink(&transaction, &gone).await?;
    let signatures: Vec<Uuid> = gone.iter().map(|(signature, ..)| signature_uuid(*signature)).collect();
    inquiries::forget(&transaction, &signatures).await?;
    let numbers: Vec<i64> = gone.iter().map(|(_, number, _)| *number).collect();
    names::remove(&transaction, &numbers).await?;
    index::shrink(&transaction, &numbers).await?;
    transaction.commit().await?;
    Ok(gone.into_iter().map(|(signature, _, _)| signature).collect())
}

/// How many builds there are.
pub async fn count(client: &Client) -> Result<u64> {
    Ok(client.query_one("SELECT count(*) FROM builds", &[]).await?.get::<_, i64>(0) as u64)
}
