//! `GET /v1/jobs/{job_id}`: what a job ran, each process with its end, and the ranks of each launch
//! together. A job is known by its cluster and its id: without `cluster` the answer has the jobs of
//! all clusters with this id, and names them.
//!
//! The answer is made while it is read, a part at a time. It holds a page of the job's processes,
//! which for most jobs is all of them. A part is bounded in bytes; one process may have more, and
//! then its part has a share of the memory of all answers while it is sent.

use super::{Problem, Sources, file_names::FileNames, question, run_blocking};
use crate::{
    job_key::job_key,
    job_name,
    jobs::{JobCursor, JobError, JobPage, Jobs},
    launches::{Launch, Launches, may_be_rank},
    learned::SoftwareNames,
    ledger::LedgerError,
};
use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use std::{io, sync::Arc};

/// The path of all jobs.
const JOBS: &str = "/v1/jobs/";

/// Most processes of one part of an answer, and most bytes of several processes in one.
const PART: usize = 500;
const PART_BYTES: usize = 1 << 20;

/// Parts up to this size need no share of memory.
const LARGE: usize = 2 * PART_BYTES;

/// The parameters of a question about a job.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobParameters {
    cluster: String,
    limit: String,
    cursor: String,
}

/// The job's document, in the form of the `jobs` files, with `launches` if it had any. Where it
/// goes on, `next` is the cursor of the next page, and it says `"truncated": true` if the question
/// did not ask for a page.
pub async fn one(
    State(sources): State<Sources>,
    uri: Uri,
    parameters: Result<Query<JobParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let parameters = question::read(parameters)?;
    let cluster = Some(parameters.cluster).filter(|cluster| !cluster.is_empty());
    let cluster = cluster.map(|name| job_name::cluster_key_of(&name));
    let after = match &parameters.cursor[..] {
        "" => None,
        text => Some(text.parse::<JobCursor>().map_err(|()| {
            question::bad_request(format!("cursor={text}: expected the value of `next` in the page before"))
        })?),
    };
    let limit = question::number::<usize>("limit", &parameters.limit)?;
    // A job id may be any bytes, which a path of text is not.
    let asked = job_name::unescaped(uri.path().strip_prefix(JOBS).unwrap_or_default().as_bytes());
    let named = job_name::key_of(&asked);
    let name = job_name::of_key(&named).into_owned();
    sources.intake.settle().await;
    let counted_until_ns = sources.jobs.catch_up().await?;
    let jobs = sources.jobs.clone();
    let names = sources.names.clone();
    let part = sources.places.part().await;
    let found = run_blocking(move || {
        let _part = part;
        let max = jobs.page_max();
        names.catch_up();
        // What answers call a job comes first; then an id that looks like another one's name.
        for key in [named, job_key(&asked).into_owned()] {
            let limit = limit.unwrap_or(max).clamp(1, max);
            let page = jobs.page(&key, cluster.as_deref(), after.as_ref(), limit)?;
            if !page.is_of_nothing() {
                return Ok::<_, JobError>(Some((job_name::of_key(&key).into_owned(), page)));
            }
        }
        Ok(None)
    })
    .await?;
    let Some((job_id, page)) = found else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "no event of job {name} is kept: it had none, or they were deleted (jobs.keep, jobs.bytes_max){}",
                question::not_counted(counted_until_ns)
            ),
        ));
    };
    let answer = Answer {
        jobs: sources.jobs.clone(),
        job_id,
        page,
        written: 0,
        at_once: PART,
        processes: 0,
        has_ranks: false,
        files: FileNames::default(),
        names: sources.names.clone(),
        is_page: limit.is_some(),
        counted_until_ns,
    };
    let parts = futures_util::stream::try_unfold((Some(answer), None), move |(answer, sent)| {
        let places = sources.places.clone();
        async move {
            // The share of the part that was sent is free.
            drop(sent);
            let Some(mut answer) = answer else { return Ok(None) };
            let part = places.part().await;
            let made = run_blocking(move || {
                let bytes = answer.part()?;
                Ok::<_, JobError>((bytes, (!answer.is_whole()).then_some(answer), part))
            });
            // An answer that breaks off tells the client that it is not complete.
            let broken = |_| io::Error::other("the job cannot be read");
            let (bytes, rest, part) = made.await.map_err(broken)?;
            let share = match bytes.len() {
                0..=LARGE => None,
                len => places.share(len as u64).await.map_err(broken)?,
            };
            drop(part);
            Ok::<_, io::Error>(Some((bytes, (rest, share))))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(parts)).into_response())
}

/// An answer in the making.
struct Answer {
    jobs: Arc<Jobs>,
    job_id: String,
    page: JobPage,
    /// Processes of the page that were asked for, and those that were there: others may be deleted
    /// meanwhile.
    written: usize,
    processes: usize,
    /// The number of processes to be tried for the next part.
    at_once: usize,
    /// One of them may be a rank.
    has_ranks: bool,
    /// Files of its processes that may have a name.
    files: FileNames,
    names: Arc<SoftwareNames>,
    /// The question asked for a page.
    is_page: bool,
    /// The time of receipt from which on events are not in the answer, where it lacks some.
    counted_until_ns: Option<i64>,
}

impl Answer {
    /// True if there is no part left.
    fn is_whole(&self) -> bool {
        self.written > self.page.len()
    }

    /// The next part.
    fn part(&mut self) -> Result<Bytes, JobError> {
        let mut body = Vec::new();
        if self.written == 0 {
            self.begin(&mut body);
        }
        let mut bytes = 0;
        let (taken, documents) = self.documents(self.written, self.at_once)?;
        for document in documents {
            if self.processes > 0 {
                body.push(b',');
            }
            self.has_ranks |= may_be_rank(&document);
            self.files.take(&document);
            self.processes += 1;
            bytes += document.len();
            body.extend(document);
        }
        self.at_once = at_once(taken, bytes);
        self.written += taken;
        if self.written == self.page.len() {
            self.end(&mut body)?;
            self.written += 1;
        }
        Ok(Bytes::from(body))
    }

    /// Documents of some of the page's processes, as many as a part may have, and their number.
    fn documents(&self, from: usize, at_once: usize) -> Result<(usize, Vec<Vec<u8>>), JobError> {
        let to = (from + at_once).min(self.page.len());
        self.page.processes(&self.jobs, from..to, PART_BYTES)
    }

    /// The launches of the page: its processes are read again, since most jobs have none.
    fn launches(&self) -> Result<Vec<Launch>, JobError> {
        let mut launches = Launches::default();
        if self.has_ranks {
            let (mut from, mut count) = (0, PART);
            while from < self.page.len() {
                let (taken, documents) = self.documents(from, count)?;
                documents.iter().for_each(|document| launches.take(document));
                from += taken;
                count = at_once(taken, documents.iter().map(Vec::len).sum());
            }
        }
        Ok(launches.into_list())
    }

    fn begin(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(b"{\"job_id\":");
        body.extend(serde_json::to_vec(&self.job_id).unwrap_or_default());
        let clusters: Vec<_> = self.page.clusters().iter().map(|key| job_name::of_cluster(key)).collect();
        if let [cluster] = &clusters[..]
            && !cluster.is_empty()
        {
            body.extend_from_slice(b",\"cluster\":");
            body.extend(serde_json::to_vec(cluster).unwrap_or_default());
        }
        if clusters.len() > 1 {
            body.extend_from_slice(b",\"clusters\":");
            body.extend(serde_json::to_vec(&clusters).unwrap_or_default());
        }
        body.extend_from_slice(b",\"processes\":[");
    }

    fn end(&mut self, body: &mut Vec<u8>) -> Result<(), JobError> {
        body.push(b']');
        let launches = self.launches()?;
        if !launches.is_empty() {
            body.extend_from_slice(b",\"launches\":");
            body.extend(serde_json::to_vec(&launches).unwrap_or_else(|_| b"[]".to_vec()));
        }
        let summaries = self.page.summaries(&self.jobs)?;
        if !summaries.is_empty() {
            body.extend_from_slice(b",\"summaries\":[");
            body.extend(summaries.join(&b','));
            body.push(b']');
        }
        let (named, is_names_cut) = self.files.named(&self.names).map_err(JobError::Names)?;
        if !named.is_empty() {
            body.extend_from_slice(b",\"names\":");
            body.extend(serde_json::to_vec(&named).unwrap_or_else(|_| b"[]".to_vec()));
        }
        if is_names_cut {
            body.extend_from_slice(b",\"names_truncated\":true");
        }
        let next = self.page.next();
        if self.page.is_cut() || (next.is_some() && !self.is_page) {
            body.extend_from_slice(b",\"truncated\":true");
        }
        if let Some(counted_until_ns) = self.counted_until_ns {
            body.extend(format!(",\"counted_until_ns\":{counted_until_ns}").into_bytes());
        }
        if let Some(next) = next {
            body.extend_from_slice(format!(",\"next\":\"{next}\"").as_bytes());
        }
        body.push(b'}');
        Ok(())
    }
}

/// The number of processes to try for a part, after one with so many.
fn at_once(taken: usize, bytes: usize) -> usize {
    (taken * (PART_BYTES / 4 * 3) / bytes.max(1)).clamp(1, PART)
}

/// A client may ask again where others ask for too much.
impl From<JobError> for Problem {
    fn from(cause: JobError) -> Self {
        match cause {
            JobError::Busy | JobError::Site(LedgerError::Away(_)) => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, cause.to_string())
            }
            _ => Problem::unanswered(cause),
        }
    }
}
