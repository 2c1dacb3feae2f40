//! The builds that a term finds, in PostgreSQL: the same sorted runs as in the embedded registry.
//!
//! An index of PostgreSQL's own over sixty terms of every build would write a random page for each
//! digest that no other build has. Here a group of registrations is a run, a few rows of a table.
//! Sixteen runs become a larger one, in the transaction that adds the sixteenth.

use crate::registry::{
    RegistryError,
    error::{OrDamaged, Result},
    found_by::{self, Term},
    packed_rows::{self, Packer, Row, Rows, numbers_of},
};
use ogrt_proto::BuildRecord;
use std::{collections::HashMap, pin::pin};
use tokio_postgres::{GenericClient, Transaction, binary_copy::BinaryCopyInWriter, types::Type};

/// Bytes in a block: four blocks fill a page.
const BLOCK: usize = 1900;

/// How many runs are merged into one, and how many builds make a run too large to be merged.
const RUNS: usize = 16;
const LARGE: i64 = 65_536;

/// The rows of consecutive builds.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Number of the first build.
    pub first: i64,
    /// Number of the last build.
    pub last: i64,
    level: i32,
    /// How many builds existed when the run was written.
    builds: i64,
}

impl Run {
    /// The run in a row with `first, last, level, builds`.
    fn of(row: &tokio_postgres::Row) -> Self {
        Run { first: row.get(0), last: row.get(1), level: row.get(2), builds: row.get(3) }
    }
}

/// Numbers by the index of the term in the question, and by the first number of the run.
pub type FoundNumbers = HashMap<(usize, i64), Vec<i64>>;

/// Adds new builds, in the order of their numbers.
pub async fn add(transaction: &Transaction<'_>, builds: &[(i64, &BuildRecord)]) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (builds.first(), builds.last()) else { return Ok(()) };
    let mut rows: Vec<Row> = Vec::new();
    for (number, record) in builds {
        let number = u32::try_from(number - first).or_damaged(|| "the sequence of build numbers")?;
        rows.extend(found_by::of(record).into_iter().map(|term| (term, number)));
    }
    rows.sort_unstable();
    let run = Run { first: *first, last: *last, level: 0, builds: builds.len() as i64 };
    write(transaction, run, |each| rows.into_iter().for_each(each)).await?;
    while merge(transaction).await? {}
    Ok(())
}

/// Runs that begin before this number, the newest first.
pub async fn runs(client: &impl GenericClient, before: i64) -> Result<Vec<Run>> {
    let select = "SELECT first, last, level, builds FROM runs WHERE first < $1 ORDER BY first DESC";
    let rows = client.query(select, &[&before]).await?;
    Ok(rows.iter().map(Run::of).collect())
}

/// Builds in these runs that the terms find, ascending. Some may have been deleted.
pub async fn numbers(client: &impl GenericClient, terms: &[Term], runs: &[Run]) -> Result<FoundNumbers> {
    let asked: Vec<&[u8]> = terms.iter().map(|term| &term[..]).collect();
    let firsts: Vec<i64> = runs.iter().map(|run| run.first).collect();
    // Selects the last block that begins before the term's first row, and those that begin among
    // its rows.
    let select = "SELECT t.place, r.first, b.block
        FROM unnest($1::bytea[]) WITH ORDINALITY AS t (term, place) CROSS JOIN unnest($2::bigint[]) AS r (first)
        CROSS JOIN LATERAL (
            (SELECT first_row, block FROM blocks
                WHERE run = r.first AND first_row <= t.term || '\\x00000000'::bytea ORDER BY first_row DESC LIMIT 1)
            UNION ALL
            (SELECT first_row, block FROM blocks
                WHERE run = r.first AND first_row > t.term || '\\x00000000'::bytea
                    AND first_row <= t.term || '\\xffffffff'::bytea)
        ) b ORDER BY t.place, r.first, b.first_row";
    let mut found = FoundNumbers::new();
    for row in client.query(select, &[&asked, &firsts]).await? {
        let (place, run) = (row.get::<_, i64>(0) as usize - 1, row.get::<_, i64>(1));
        let (numbers, _) = numbers_of(row.get(2), &terms[place]);
        found.entry((place, run)).or_default().extend(numbers.into_iter().map(|n| run + i64::from(n)));
    }
    Ok(found)
}

/// All builds that the term finds. Some may have been deleted.
pub async fn all_numbers(client: &impl GenericClient, term: &Term) -> Result<Vec<i64>> {
    let found = numbers(client, &[*term], &runs(client, i64::MAX).await?).await?;
    let mut numbers: Vec<i64> = found.into_values().flatten().collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes the runs of these deleted builds again, where half of a run is deleted.
pub async fn shrink(transaction: &Transaction<'_>, gone: &[i64]) -> Result<()> {
    for run in runs(transaction, i64::MAX).await? {
        if !gone.iter().any(|number| (run.first..=run.last).contains(number)) {
            continue;
        }
        let select = "SELECT number FROM builds WHERE number BETWEEN $1 AND $2";
        let there = transaction.query(select, &[&run.first, &run.last]).await?;
        if there.len() as i64 > run.builds / 2 {
            continue;
        }
        let there: std::collections::HashSet<i64> = there.iter().map(|row| row.get(0)).collect();
        let blocks = take(transaction, &[run]).await?;
        if !there.is_empty() {
            let rows = blocks.iter().flat_map(|(_, block)| Rows::of(block));
            let stays = rows.filter(|(_, number)| there.contains(&(run.first + i64::from(*number))));
            let smaller = Run { builds: there.len() as i64, ..run };
            write(transaction, smaller, |each| stays.for_each(each)).await?;
        }
    }
    Ok(())
}

/// Merges the last runs of one size into a larger one, if there are enough; true if it did.
async fn merge(transaction: &Transaction<'_>) -> Result<bool> {
    let mut last = runs_of_one_size(transaction).await?;
    last.reverse();
    let builds: i64 = last.iter().map(|run| run.builds).sum();
    let ([first, .., newest], true) = (&last[..], last.len() >= RUNS || builds >= LARGE) else {
        return Ok(false);
    };
    let run = Run { first: first.first, last: newest.last, level: first.level + 1, builds };
    let blocks = take(transaction, &last).await?;
    let parts = last.iter().map(|part| {
        let own = blocks.iter().filter(|(run, _)| *run == part.first);
        let rows = own.flat_map(|(_, block)| Rows::of(block)).map(Ok::<_, RegistryError>);
        ((part.first - run.first) as u32, rows)
    });
    let parts: Vec<_> = parts.collect();
    let mut merged = Ok(());
    write(transaction, run, |each| merged = packed_rows::merge(parts, each)).await?;
    merged.map(|()| true)
}

/// The newest runs that are small and of one size, the newest first.
async fn runs_of_one_size(transaction: &Transaction<'_>) -> Result<Vec<Run>> {
    let select = "SELECT first, last, level, builds FROM runs ORDER BY first DESC LIMIT $1";
    let rows = transaction.query(select, &[&(RUNS as i64)]).await?;
    let runs: Vec<Run> = rows.iter().map(Run::of).collect();
    let level = runs.first().map(|run| run.level);
    Ok(runs.into_iter().take_while(|run| Some(run.level) == level && run.builds < LARGE).collect())
}

/// Takes runs out of the tables. Returns their blocks in order, each with the first number of its
/// run.
async fn take(transaction: &Transaction<'_>, runs: &[Run]) -> Result<Vec<(i64, Vec<u8>)>> {
    let firsts: Vec<i64> = runs.iter().map(|run| run.first).collect();
    let select = "SELECT run, block FROM blocks WHERE run = ANY($1) ORDER BY run, first_row";
    let blocks = transaction.query(select, &[&firsts]).await?;
    transaction.execute("DELETE FROM blocks WHERE run = ANY($1)", &[&firsts]).await?;
    transaction.execute("DELETE FROM runs WHERE first = ANY($1)", &[&firsts]).await?;
    Ok(blocks.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn write(
    transaction: &Transaction<'_>,
    run: Run,
    fill: impl FnOnce(&mut dyn FnMut(Row)),
) -> Result<()> {
    let insert = "INSERT INTO runs (first, last, level, builds) VALUES ($1, $2, $3, $4)";
    transaction.execute(insert, &[&run.first, &run.last, &run.level, &run.builds]).await?;
    let mut blocks: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut packer = Packer::new(BLOCK, |(term, number), block| {
        blocks.push(([&term[..], &number.to_be_bytes()].concat(), block));
    });
    fill(&mut |row| packer.push(row));
    packer.finish();
    let copy = "COPY blocks (run, first_row, block) FROM STDIN BINARY";
    let types = [Type::INT8, Type::BYTEA, Type::BYTEA];
    let mut rows = pin!(BinaryCopyInWriter::new(transaction.copy_in(copy).await?, &types));
    for (first_row, block) in &blocks {
        rows.as_mut().write(&[&run.first, first_row, block]).await?;
    }
    rows.finish().await?;
    Ok(())
}
