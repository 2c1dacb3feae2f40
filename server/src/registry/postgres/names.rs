//! The signatures of builds by number, many in a row of a narrow table. Without it, an answer with
//! hundreds of thousands of builds would read a page of records for each.

use crate::registry::error::Result;
use ogrt_note::Signature;
use std::pin::pin;
use tokio_postgres::{GenericClient, Row, Transaction, binary_copy::BinaryCopyInWriter, types::Type};

/// How many signatures a row may hold; a full row fills a page. The schema has this number, too.
const SLICE: i64 = 400;

/// How many slices are read at once: 3 MB of signatures.
const SLICES_AT_ONCE: usize = 500;

/// Up to this many signatures of a slice are read one by one, instead of the whole slice; and how
/// many of these at once.
const FEW: usize = 4;
const SINGLE_AT_ONCE: usize = 10_000;

const SIGNATURE: usize = 16;

/// The signature of a deleted build.
const GONE: [u8; SIGNATURE] = [0; SIGNATURE];

/// Adds new builds, in the order of their numbers.
pub async fn add(transaction: &Transaction<'_>, builds: &[(i64, Signature)]) -> Result<()> {
    if builds.is_empty() {
        return Ok(());
    }
    let copy = "COPY signatures (slice, first, signatures) FROM STDIN BINARY";
    let types = [Type::INT8, Type::INT8, Type::BYTEA];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for row in builds.chunk_by(|(one, _), (next, _)| one + 1 == *next && one / SLICE == next / SLICE) {
        let (first, _) = row[0];
        let signatures: Vec<u8> = row.iter().flat_map(|(_, signature)| *signature.as_bytes()).collect();
        rows.as_mut().write(&[&(first / SLICE), &first, &signatures]).await?;
    }
    rows.finish().await?;
    Ok(())
}

/// The signatures of builds, in the order of `numbers`; `None` for a build that does not exist.
pub async fn of(client: &impl GenericClient, numbers: &[i64]) -> Result<Vec<Option<Signature>>> {
    // Numbers in ascending order, each with its index in the answer. They come as long ascending
    // and descending sequences, which sort fast.
    let mut wanted: Vec<(i64, usize)> = numbers.iter().copied().zip(0..).collect();
    wanted.sort();
    let mut found = vec![None; numbers.len()];
    let mut take = |first: i64, signatures: &[u8]| {
        let from = wanted.partition_point(|(number, _)| *number < first);
        for (number, place) in &wanted[from..] {
            let at = (number - first) as usize * SIGNATURE;
            let Some(signature) = signatures.get(at..at + SIGNATURE) else { break };
            found[*place] = Signature::from_slice(signature).filter(|_| *signature != GONE);
        }
    };
    let (mut whole, mut single) = (Vec::new(), Vec::new());
    for slice in wanted.chunk_by(|(one, _), (next, _)| one / SLICE == next / SLICE) {
        match slice.len() <= FEW {
            true => single.extend(slice.iter().map(|(number, _)| *number)),
            false => whole.push(slice[0].0 / SLICE),
        }
    }
    for slices in whole.chunks(SLICES_AT_ONCE) {
        rows(client, slices).await?.iter().for_each(|row| take(row.get(0), row.get(1)));
    }
    let select = format!(
        "SELECT n, substring(signatures FROM ((n - first) * {SIGNATURE} + 1)::int FOR {SIGNATURE})
        FROM unnest($1::bigint[]) AS n JOIN signatures ON slice = n / {SLICE}
            AND first <= n AND n < first + length(signatures) / {SIGNATURE}"
    );
    for numbers in single.chunks(SINGLE_AT_ONCE) {
        client.query(&select, &[&numbers]).await?.iter().for_each(|row| take(row.get(0), row.get(1)));
    }
    Ok(found)
}

/// The slices after this one, some ten thousand builds: the last of them, and all their signatures.
/// `None` when there are none.
pub async fn page(client: &impl GenericClient, after: Option<i64>) -> Result<Option<(i64, Vec<Signature>)>> {
    let select = "SELECT slice, signatures FROM signatures WHERE slice IN
            (SELECT DISTINCT slice FROM signatures WHERE slice > $1 ORDER BY slice LIMIT 25)
        ORDER BY slice";
    let (mut last, mut found) = (None, Vec::new());
    for row in client.query(select, &[&after.unwrap_or(-1)]).await? {
        last = Some(row.get(0));
        let signatures = row.get::<_, &[u8]>(1).chunks_exact(SIGNATURE).filter(|bytes| **bytes != GONE);
        found.extend(signatures.filter_map(Signature::from_slice));
    }
    Ok(last.map(|last| (last, found)))
}

/// Blanks the signatures of deleted builds.
pub async fn remove(transaction: &Transaction<'_>, numbers: &[i64]) -> Result<()> {
    let mut gone = numbers.to_vec();
    gone.sort_unstable();
    for slices in slices(&gone).chunks(SLICES_AT_ONCE) {
        for row in rows(transaction, slices).await? {
            let (first, mut signatures): (i64, Vec<u8>) = (row.get(0), row.get(1));
            for (number, signature) in (first..).zip(signatures.chunks_exact_mut(SIGNATURE)) {
                if gone.binary_search(&number).is_ok() {
                    signature.copy_from_slice(&GONE);
                }
            }
            if signatures.iter().all(|byte| *byte == 0) {
                let delete = "DELETE FROM signatures WHERE slice = $1 AND first = $2";
                transaction.execute(delete, &[&(first / SLICE), &first]).await?;
            } else {
                let update = "UPDATE signatures SET signatures = $3 WHERE slice = $1 AND first = $2";
                transaction.execute(update, &[&(first / SLICE), &first, &signatures]).await?;
            }
        }
    }
    Ok(())
}

/// The slices that ascending numbers may be in.
fn slices(numbers: &[i64]) -> Vec<i64> {
    let mut slices: Vec<i64> = numbers.iter().map(|number| number / SLICE).collect();
    slices.dedup();
    slices
}

async fn rows(client: &impl GenericClient, slices: &[i64]) -> Result<Vec<Row>> {
    Ok(client.query("SELECT first, signatures FROM signatures WHERE slice = ANY($1)", &[&slices]).await?)
}
