//! Registration in the database: a group of records is one transaction, and one server registers at a time, so that
//! no link between two builds is missed.

use super::schema;
use crate::registry::{
    Build, MADE_AGAIN_MAX, Part, Registration,
    found_by::{self, Term},
    same_build,
};
use anyhow::Result;
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::pin,
};
use tokio_postgres::{Client, Transaction, binary_copy::BinaryCopyInWriter, types::Type};
use uuid::Uuid;

/// A term as the database has it.
pub fn term_uuid(term: &Term) -> Uuid {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(term)[..16]);
    Uuid::from_bytes(half)
}

/// A signature as the database has it.
pub fn signature_uuid(signature: Signature) -> Uuid {
    Uuid::from_bytes(*signature.as_bytes())
}

/// A record that is new.
struct Fresh {
    signature: Signature,
    record: BuildRecord,
    bytes: Bytes,
    registered_ns: i64,
    number: i64,
}

/// Registers builds in order.
pub async fn register(client: &mut Client, builds: &[Build]) -> Result<Vec<Registration>> {
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
    let mut fresh: Vec<Fresh> = Vec::new();
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
                fresh.push(Fresh { signature, record, bytes, registered_ns, number: 0 });
            }
            Some((_, first)) if same_build::is_same(first, &build.record, &record) => {
                outcomes.push(Registration::Known(signature));
                let made = same_build::made(&record);
                let first = BuildRecord::decode(first.clone()).map(|first| same_build::made(&first));
                if first.is_ok_and(|first| first != made) {
                    again.push((signature, made));
                }
            }
            Some(_) => {
                same_build::complain(signature, &record);
                outcomes.push(Registration::Conflict(signature));
                continue;
            }
        }
        again.extend(build.made_again.iter().map(|made| (signature, made.clone())));
    }
    let numbers = "SELECT nextval('build_numbers') FROM generate_series(1, $1::bigint)";
    let numbers = transaction.query(numbers, &[&(fresh.len() as i64)]).await?;
    for (fresh, row) in fresh.iter_mut().zip(numbers) {
        fresh.number = row.get(0);
        known.insert(fresh.signature, (fresh.number, Bytes::new()));
    }
    insert(&transaction, &fresh).await?;
    link(&transaction, &fresh).await?;
    for (signature, made) in again {
        let number = known.get(&signature).map_or(0, |(number, _)| *number);
        let insert = "INSERT INTO made_again SELECT $1::bigint, $2::bigint, $3::bytea
            WHERE (SELECT count(*) FROM made_again WHERE number = $1::bigint) < $4::bigint ON CONFLICT DO NOTHING";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&number, &made.time_ns(), &made.encode_to_vec(), &(MADE_AGAIN_MAX as i64)];
        transaction.execute(insert, &values).await?;
    }
    transaction.commit().await?;
    Ok(outcomes)
}

/// The record and its signature, if it has them.
pub fn read(build: &Build) -> Option<(Signature, BuildRecord)> {
    let record = BuildRecord::decode(build.record.clone()).ok()?;
    Some((Signature::from_slice(record.signature())?, record))
}

async fn insert(transaction: &Transaction<'_>, fresh: &[Fresh]) -> Result<()> {
    if fresh.is_empty() {
        return Ok(());
    }
    let copy = "COPY builds (number, signature, registered_ns, time_ns, output_digest, terms, brief, record)
        FROM STDIN BINARY";
    let types = [
        Type::INT8,
        Type::UUID,
        Type::INT8,
        Type::INT8,
        Type::BYTEA,
        Type::UUID_ARRAY,
        Type::BYTEA,
        Type::BYTEA,
    ];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for build in fresh {
        let terms: Vec<Uuid> = found_by::of(&build.record).iter().map(term_uuid).collect();
        let brief = same_build::brief(&build.record).encode_to_vec();
        let digest = output_digest(&build.record);
        rows.as_mut()
            .write(&[
                &build.number,
                &signature_uuid(build.signature),
                &build.registered_ns,
                &build.record.time_ns(),
                &digest,
                &terms,
                &brief,
                &build.bytes.as_ref(),
            ])
            .await?;
    }
    rows.finish().await?;
    Ok(())
}

fn output_digest(record: &BuildRecord) -> Option<Vec<u8>> {
    let digest = record.output.as_ref()?.sha256.as_deref().and_then(found_by::as_digest)?;
    Some(digest.to_vec())
}

/// Writes which builds were linked into which: the new ones into each other, into older ones, and older into them.
async fn link(transaction: &Transaction<'_>, fresh: &[Fresh]) -> Result<()> {
    let mut linked: BTreeSet<(i64, i64)> = BTreeSet::new();
    // Into which are the new ones linked? Builds may come before what they contain.
    let mut names: HashMap<Uuid, i64> = HashMap::new();
    for build in fresh {
        for name in same_build::names(build.signature, &build.record) {
            names.insert(term_uuid(&name.as_input()), build.number);
        }
    }
    let asked: Vec<Uuid> = names.keys().copied().collect();
    let select = "SELECT number, ARRAY(SELECT unnest(terms) INTERSECT SELECT unnest($1::uuid[])) FROM builds
        WHERE terms && $1";
    for row in transaction.query(select, &[&asked]).await? {
        let dependent: i64 = row.get(0);
        let dependencies =
            row.get::<_, Vec<Uuid>>(1).into_iter().filter_map(|name| names.get(&name).copied());
        linked.extend(dependencies.map(|dependency| (dependency, dependent)));
    }
    // What is linked into the new ones?
    let mut by_signature: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    let mut by_digest: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
    for build in fresh {
        for input in &build.record.inputs {
            for signature in found_by::signatures(input) {
                by_signature.entry(signature_uuid(signature)).or_default().push(build.number);
            }
            if let Some(digest) = found_by::may_be_an_output(input) {
                by_digest.entry(digest.to_vec()).or_default().push(build.number);
            }
        }
    }
    let asked: Vec<&Uuid> = by_signature.keys().collect();
    let select = "SELECT number, signature FROM builds WHERE signature = ANY($1)";
    for row in transaction.query(select, &[&asked]).await? {
        let dependency: i64 = row.get(0);
        let dependents = by_signature.get(&row.get::<_, Uuid>(1)).into_iter().flatten();
        linked.extend(dependents.map(|dependent| (dependency, *dependent)));
    }
    let asked: Vec<&Vec<u8>> = by_digest.keys().collect();
    let select = "SELECT number, output_digest FROM builds WHERE output_digest = ANY($1)";
    for row in transaction.query(select, &[&asked]).await? {
        let dependency: i64 = row.get(0);
        let dependents = by_digest.get(&row.get::<_, Vec<u8>>(1)).into_iter().flatten();
        linked.extend(dependents.map(|dependent| (dependency, *dependent)));
    }
    linked.retain(|(dependency, dependent)| dependency != dependent);
    if linked.is_empty() {
        return Ok(());
    }
    let copy = "COPY linked (dependency, dependent) FROM STDIN BINARY";
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &[Type::INT8, Type::INT8]));
    for (dependency, dependent) in &linked {
        rows.as_mut().write(&[dependency, dependent]).await?;
    }
    rows.finish().await?;
    Ok(())
}

/// What a question about contents begins with.
pub fn names_of(part: Part) -> (Uuid, Option<Uuid>, Option<Vec<u8>>) {
    let term = term_uuid(&part.as_input());
    match part {
        Part::Signature(signature) => (term, Some(signature_uuid(signature)), None),
        Part::Digest(digest) => (term, None, Some(digest.to_vec())),
    }
}
