//! Builds that an administrator takes back: deleted from every table in one transaction with a row
//! that says who did it and what the record was.

use super::{connections::Session, index, inquiries, links, names, schema, values::signature_uuid};
use crate::registry::{
    Build, PAGE_BYTES_MAX, Withdrawal,
    error::{OrDamaged, Result},
};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// Deletes the build of a signature and keeps what it was.
pub async fn withdraw(
    client: &mut Client,
    signature: Signature,
    time_ns: i64,
    withdrawn_by: &str,
) -> Result<Option<Withdrawal>> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(schema::LOCK).await?;
    let keep = "WITH gone AS (DELETE FROM builds WHERE signature = $1 RETURNING number, signature, registered_ns, record),
        kept AS (INSERT INTO withdrawn (time_ns, signature, withdrawn_by, registered_ns, record)
            SELECT $2::bigint, signature, $3::text, registered_ns, record FROM gone)
        SELECT $2::bigint, $3::text, registered_ns, record, number FROM gone";
    let rows = transaction.query(keep, &[&signature_uuid(signature), &time_ns, &withdrawn_by]).await?;
    let Some(row) = rows.first() else {
        // The lock is given back with the answer, and not when the connection is next used.
        transaction.rollback().await?;
        return Ok(None);
    };
    let withdrawal = withdrawal(row);
    let number: i64 = row.get(4);
    let record = BuildRecord::decode(withdrawal.build.record.clone()).or_damaged(|| "a build record")?;
    links::unlink(&transaction, &[(signature, number, record)]).await?;
    // The builds that contain it stay, and are linked with the next build that has its names.
    for delete in ["DELETE FROM dependents WHERE dependency = $1", "DELETE FROM libraries WHERE number = $1"]
    {
        transaction.execute(delete, &[&number]).await?;
    }
    inquiries::forget(&transaction, &[signature_uuid(signature)]).await?;
    names::remove(&transaction, &[number]).await?;
    index::shrink(&transaction, &[number]).await?;
    transaction.commit().await?;
    Ok(Some(withdrawal))
}

/// The withdrawals after the one with this number, at whichever server they were made, and the
/// number of the last one. Before the first look there is none to be told of.
pub async fn after(session: &mut Session, number: Option<i64>) -> Result<(i64, Vec<Signature>)> {
    let Some(number) = number else {
        let last = session.query_one("SELECT COALESCE(max(number), -1) FROM withdrawn", &[]).await?;
        return Ok((last.get(0), Vec::new()));
    };
    let select = "SELECT number, signature FROM withdrawn WHERE number > $1 ORDER BY number";
    let rows = session.ask_again(select, &[&number]).await?;
    let signature = |row: &Row| Signature::from_bytes(row.get::<_, Uuid>(1).into_bytes());
    Ok((rows.last().map_or(number, |row| row.get(0)), rows.iter().map(signature).collect()))
}

/// The last withdrawals, the newest first, and whether there are more.
pub async fn last(client: &Client, limit: i64) -> Result<(Vec<Withdrawal>, bool)> {
    let select = "SELECT time_ns, withdrawn_by, registered_ns, record FROM withdrawn WHERE number IN
            (SELECT number FROM (SELECT number, octet_length(record) AS own,
                sum(octet_length(record)) OVER (ORDER BY number DESC) AS all_before
                FROM withdrawn ORDER BY number DESC LIMIT $1) AS page
            WHERE all_before <= $2 OR all_before = own)
        ORDER BY number DESC";
    let rows = client.query(select, &[&limit, &(PAGE_BYTES_MAX as i64)]).await?;
    let all: i64 = client.query_one("SELECT count(*) FROM withdrawn", &[]).await?.get(0);
    let withdrawals: Vec<_> = rows.iter().map(withdrawal).collect();
    let are_more = (withdrawals.len() as i64) < all;
    Ok((withdrawals, are_more))
}

fn withdrawal(row: &Row) -> Withdrawal {
    let build = Build {
        record: Bytes::copy_from_slice(row.get(3)),
        registered_ns: row.get(2),
        made_again: Vec::new(),
    };
    Withdrawal { time_ns: row.get(0), withdrawn_by: row.get(1), build }
}
