//! The values of jobs in PostgreSQL, as answers read them.

use super::{Site, chunk::ChunkPlace};
use crate::jobs::{
    error::JobError,
    values::{JobValue, JobValues, ValueTail, Visit},
};
use futures_util::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio_postgres::Row;

/// How long one step of an answer may take.
const STEP: Duration = Duration::from_secs(20);

/// Places that are read at once, and bytes of values.
const PLACES: i64 = 5000;
const BYTES: i64 = 4 << 20;

/// Values that are read at once.
const AT_ONCE: usize = 32;

/// A row without its value.
struct ListedChunk {
    place: ChunkPlace,
    cluster: Vec<u8>,
    bytes: i64,
}

fn place(row: &Row) -> ChunkPlace {
    ChunkPlace {
        received_ns: row.get(0),
        partition: row.get(1),
        first: row.get(2),
        number: row.get(3),
        day: row.get(4),
    }
}

impl Site {
    /// The next values of a job behind a place, without what is in them.
    fn list(
        &self,
        job: &Arc<[u8]>,
        cluster: &Option<Arc<[u8]>>,
        after: ChunkPlace,
    ) -> Result<Vec<ListedChunk>, JobError> {
        let (job, cluster) = (job.clone(), cluster.clone());
        Ok(self.ledger.ask(STEP, move |session| {
            let (job, cluster) = (job.clone(), cluster.clone());
            Box::pin(async move {
                let select = "SELECT received_ns, partition, first, number, day, cluster, length(body)
                    FROM job_chunks WHERE job = $1 AND ($2::bytea IS NULL OR cluster = $2)
                        AND (received_ns, partition, first, number) > ($3, $4, $5, $6)
                    ORDER BY received_ns, partition, first, number LIMIT $7";
                let rows = session
                    .ask_again(
                        select,
                        &[
                            &&*job,
                            &cluster.as_deref(),
                            &after.received_ns,
                            &after.partition,
                            &after.first,
                            &after.number,
                            &PLACES,
                        ],
                    )
                    .await?;
                let listed = |row: &Row| ListedChunk {
                    place: place(row),
                    cluster: row.get(5),
                    bytes: i64::from(row.get::<_, i32>(6)),
                };
                Ok(rows.iter().map(listed).collect())
            })
        })?)
    }

    /// Values by their places; `None` for what is not there.
    fn bodies(&self, places: Vec<ChunkPlace>) -> Result<Vec<Option<Vec<u8>>>, JobError> {
        let places: Arc<[ChunkPlace]> = places.into();
        Ok(self.ledger.ask(STEP, move |session| {
            let places = places.clone();
            Box::pin(async move {
                let select = "SELECT body FROM job_chunks
                    WHERE day = $1 AND partition = $2 AND first = $3 AND number = $4";
                let select = session.prepare_once(select).await?;
                let (session, select) = (&*session, &select);
                // All are sent before the first answer comes.
                let body = |place: ChunkPlace| async move {
                    let ChunkPlace { partition, first, number, day, .. } = place;
                    session.query_opt(select, &[&day, &partition, &first, &number]).await
                };
                let rows = try_join_all(places.iter().copied().map(body)).await?;
                Ok(rows.into_iter().map(|row| row.map(|row| row.get(0))).collect())
            })
        })?)
    }
}

impl JobValues for Site {
    fn version(&self, job: &[u8]) -> Result<Vec<u8>, JobError> {
        let job: Arc<[u8]> = job.into();
        Ok(self.ledger.ask(STEP, move |session| {
            let job = job.clone();
            Box::pin(async move {
                // Whatever comes or goes changes one of them.
                let select =
                    "SELECT count(*), concat_ws(' ', count(*), sum(received_ns), sum(first + number))
                    FROM job_chunks WHERE job = $1";
                let rows = session.ask_again(select, &[&&*job]).await?;
                let row = rows.first().filter(|row| row.get::<_, i64>(0) > 0);
                Ok(row.map_or_else(Vec::new, |row| row.get::<_, String>(1).into_bytes()))
            })
        })?)
    }

    fn visit(&self, job: &[u8], cluster: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), JobError> {
        let (job, cluster): (Arc<[u8]>, Option<Arc<[u8]>>) = (job.into(), cluster.map(Into::into));
        let mut after = ChunkPlace::FIRST;
        loop {
            let listed = self.list(&job, &cluster, after)?;
            let mut rest = &listed[..];
            while let Some(first) = rest.first() {
                let mut bytes = first.bytes;
                let more = rest[1..].iter().take_while(|chunk| {
                    bytes += chunk.bytes;
                    bytes <= BYTES
                });
                let (part, behind) = rest.split_at(1 + more.count());
                rest = behind;
                let bodies = self.bodies(part.iter().map(|chunk| chunk.place).collect())?;
                for (chunk, body) in part.iter().zip(bodies) {
                    let (Some(packed), tail) = (body, chunk.place.tail()) else { continue };
                    let value = JobValue { tail: (true, &tail), cluster: &chunk.cluster, packed: &packed };
                    if visit(&value)?.is_break() {
                        return Ok(());
                    }
                }
            }
            match listed.last() {
                Some(last) if listed.len() as i64 == PLACES => after = last.place,
                _ => return Ok(()),
            }
        }
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn get(&self, _job: &[u8], tails: &[ValueTail<'_>]) -> Result<Vec<Option<Vec<u8>>>, JobError> {
        // A place that cannot be read is one where nothing is.
        let place = |(_, tail): &ValueTail<'_>| ChunkPlace::read(tail).unwrap_or(ChunkPlace::FIRST);
        self.bodies(tails.iter().map(place).collect())
    }

    fn has_lost(&self, job: &[u8], cluster: Option<&[u8]>) -> Result<bool, JobError> {
        let (job, cluster): (Arc<[u8]>, Option<Arc<[u8]>>) = (job.into(), cluster.map(Into::into));
        Ok(self.ledger.ask(STEP, move |session| {
            let (job, cluster) = (job.clone(), cluster.clone());
            Box::pin(async move {
                let select = "SELECT 1 FROM job_losses
                    WHERE job = $1 AND ($2::bytea IS NULL OR cluster = $2) LIMIT 1";
                Ok(!session.ask_again(select, &[&&*job, &cluster.as_deref()]).await?.is_empty())
            })
        })?)
    }
}
