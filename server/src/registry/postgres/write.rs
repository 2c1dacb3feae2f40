//! Registration in the database. A group of records is one transaction, and one server at a time
//! registers, so that no link between two builds is missed.

use super::{
    index, links, names, schema,
    values::{output_digest, signature_uuid},
};
use crate::registry::{Build, MADE_AGAIN_MAX, Registration, error::Result, same_build};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary};
use prost::Message;
use std::{collections::HashMap, pin::pin};
use tokio_postgres::{Client, Transaction, binary_copy::BinaryCopyInWriter, types::Type};
use uuid::Uuid;

/// A new record.
struct FreshBuild {
    signature: Signature,
    record: BuildRecord,
    bytes: Bytes,
    registered_ns: i64,
    number: i64,
}

/// The result of a registration.
pub struct RegisteredBuilds {
    /// The outcomes, in the order of the builds.
    pub outcomes: Vec<Registration>,
    /// The summaries of the new builds.
    pub summaries: Vec<(Signature, BuildSummary)>,
}

/// Registers builds in order.
pub async fn register(client: &mut Client, builds: &[Build]) -> Result<RegisteredBuilds> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(schema::LOCK).await?;
    let records: Vec<Option<(Signature, BuildRecord)>> = builds.iter().map(read).collect();
    let asked: Vec<Uuid> =
        records.iter().flatten().map(|(signature, _)| signature_uuid(*signature)).collect();
    let mut known: HashMap<Signature, (i64, Bytes)> = HashMap::new();
    let select = "SELECT signature, number, record FROM builds WHERE signature = ANY($1)";
    for row in transaction.query(select, &[&asked]).await? {
        let signature = Signature::from_bytes(row.get::<_, Uuid>(0).into_bytes());
        known.insert(signature, (row.get(1), row.get::<_, Vec<u8>>(2).into()));
    }
    let mut fresh: Vec<FreshBuild> = Vec::new();
    let mut outcomes = Vec::with_capacity(builds.len());
    let mut again: Vec<(Signature, BuildRecord)> = Vec::new();
    for (build, read) in builds.iter().zip(records) {
        let Some((signature, record)) = read else {
            outcomes.push(Registration::Malformed);
            continue;
        };
        match known.get(&signature) {
            None => {
                known.insert(signature, (0, build.record.clone()));
                outcomes.push(Registration::New(signature));
                let (bytes, registered_ns) = (build.record.clone(), build.registered_ns);
                fresh.push(FreshBuild { signature, record, bytes, registered_ns, number: 0 });
            }
            Some((_, first)) if same_build::is_same(first, &build.record, &record) => {
                outcomes.push(Registration::Known(signature));
                let made = same_build::made(&record);
                let first = BuildRecord::decode(first.clone()).map(|first| same_build::made(&first));
                if first.is_ok_and(|first| !same_build::is_same_link(&first, &made)) {
                    again.push((signature, made));
                }
            }
            Some(_) => {
                same_build::complain(signature, &record);
                outcomes.push(Registration::Conflict(signature));
                continue;
            }
        }
        again.extend(build.made_again.iter().map(|made| (signature, same_build::made(made))));
    }
    let numbers = "SELECT nextval('build_numbers') FROM generate_series(1, $1::bigint)";
    let numbers = transaction.query(numbers, &[&(fresh.len() as i64)]).await?;
    for (fresh, row) in fresh.iter_mut().zip(numbers) {
        fresh.number = row.get(0);
        known.insert(fresh.signature, (fresh.number, Bytes::new()));
    }
    insert(&transaction, &fresh).await?;
    let signatures: Vec<_> = fresh.iter().map(|build| (build.number, build.signature)).collect();
    names::add(&transaction, &signatures).await?;
    let linked: Vec<_> = fresh.iter().map(|build| (build.signature, build.number, &build.record)).collect();
    links::link(&transaction, &linked).await?;
    let indexed: Vec<_> = fresh.iter().map(|build| (build.number, &build.record)).collect();
    index::add(&transaction, &indexed).await?;
    for (signature, made) in again {
        let number = known.get(&signature).map_or(0, |(number, _)| *number);
        let insert = "INSERT INTO made_again SELECT $1::bigint, $2::bigint, $3::bytea
            WHERE (SELECT count(*) FROM made_again WHERE number = $1::bigint) < $4::bigint ON CONFLICT DO NOTHING";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&number, &made.time_ns(), &made.encode_to_vec(), &(MADE_AGAIN_MAX as i64)];
        transaction.execute(insert, &values).await?;
    }
    transaction.commit().await?;
    let summary = |build: FreshBuild| (build.signature, same_build::summary(&build.record));
    Ok(RegisteredBuilds { outcomes, summaries: fresh.into_iter().map(summary).collect() })
}

/// The record and its signature, if it has them.
pub fn read(build: &Build) -> Option<(Signature, BuildRecord)> {
    let record = BuildRecord::decode(build.record.clone()).ok()?;
    Some((Signature::from_slice(record.signature())?, record))
}

async fn insert(transaction: &Transaction<'_>, fresh: &[FreshBuild]) -> Result<()> {
    if fresh.is_empty() {
        return Ok(());
    }
    let copy = "COPY builds (number, signature, registered_ns, time_ns, output_digest, brief, record)
        FROM STDIN BINARY";
    let types = [Type::INT8, Type::UUID, Type::INT8, Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for build in fresh {
        let brief = same_build::listed(&build.record, build.registered_ns);
        let digest = output_digest(&build.record);
        rows.as_mut()
            .write(&[
                &build.number,
                &signature_uuid(build.signature),
                &build.registered_ns,
                &brief.time_ns(),
                &digest,
                &brief.encode_to_vec(),
                &build.bytes.as_ref(),
            ])
            .await?;
    }
    rows.finish().await?;
    Ok(())
}
