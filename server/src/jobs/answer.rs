//! The answer about a job: a page of its processes, made in parts while somebody reads it.

use super::{
    Jobs,
    error::JobError,
    index::{JobIndex, Position, ValueReader},
};
use crate::{processes::Process, queue::Entry, registry::found_by::hexadecimal};
use ogrt_proto::hex;
use std::{collections::BTreeSet, fmt, ops::Range, str::FromStr, sync::Arc};

/// The place in a job's list of processes where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCursor {
    is_new: bool,
    tail: Vec<u8>,
    offset: u32,
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}.{}", u8::from(self.is_new), self.offset, hex(&self.tail))
    }
}

impl FromStr for JobCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut fields = text.splitn(3, '.');
        let mut field = || fields.next().ok_or(());
        let (is_new, offset, tail) = (field()? == "1", field()?, field()?);
        let offset = u32::from_str_radix(offset, 16).map_err(drop)?;
        let tail = hexadecimal(tail).ok_or(())?;
        Ok(JobCursor { is_new, tail, offset })
    }
}

/// A page of the processes of a job.
pub struct JobPage {
    index: Arc<JobIndex>,
    range: Range<usize>,
    is_first: bool,
    has_lost: bool,
}

impl JobPage {
    /// The number of its processes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// True if nothing is known of the job.
    pub fn is_of_nothing(&self) -> bool {
        self.index.len() == 0 && self.index.summaries.is_empty()
    }

    /// True if the job has more than is ever answered, or had more before a part was deleted.
    pub fn is_cut(&self) -> bool {
        self.index.is_cut || self.has_lost
    }

    /// Keys of the clusters in which there is such a job; an empty one where none was said.
    pub fn clusters(&self) -> &BTreeSet<Vec<u8>> {
        &self.index.clusters
    }

    /// The cursor of the next page, if there is one.
    pub fn next(&self) -> Option<JobCursor> {
        if self.range.end >= self.index.len() {
            return None;
        }
        let Position { value, offset } = self.index.process(self.range.end.checked_sub(1)?)?.first;
        let (is_new, tail) = self.index.tail(value);
        Some(JobCursor { is_new, tail: tail.to_vec(), offset })
    }

    /// Documents of some of the page's processes, by their numbers in it: of the first of them that
    /// have at most so many bytes together, and of one at least. The number of those, and theirs.
    pub fn processes(
        &self,
        jobs: &Jobs,
        part: Range<usize>,
        bytes_max: usize,
    ) -> Result<(usize, Vec<Vec<u8>>), JobError> {
        let mut part = self.range.start + part.start..(self.range.start + part.end).min(self.range.end);
        let (found, mut documents) = loop {
            let found: Vec<_> = part.clone().filter_map(|number| self.index.process(number)).collect();
            let firsts = found.iter().map(|process| process.first);
            let ends = found.iter().filter_map(|process| process.end).map(|(end, _)| end);
            let bytes_max = if part.len() > 1 { bytes_max } else { usize::MAX };
            match documents(jobs, &self.index, firsts.chain(ends).collect(), bytes_max)? {
                Some(documents) => break (found, documents),
                None => part.end = part.start + part.len() / 2,
            }
        };
        let mut take = |position| {
            let at = documents.binary_search_by_key(&position, |(position, _)| *position).ok()?;
            Some(std::mem::take(&mut documents[at].1))
        };
        let whole = |process: Process<Position>| {
            // What was deleted in this moment is left out.
            let first = take(process.first)?;
            let end = process.end.and_then(|(end, kind)| Some((take(end)?, kind)));
            Some(Process { first, end }.into_document())
        };
        Ok((part.len(), found.into_iter().filter_map(whole).collect()))
    }

    /// Counts of events that were over the job's limit, one document each; they stand in the first
    /// page.
    pub fn summaries(&self, jobs: &Jobs) -> Result<Vec<Vec<u8>>, JobError> {
        if !self.is_first {
            return Ok(Vec::new());
        }
        let found = documents(jobs, &self.index, self.index.summaries.clone(), usize::MAX)?;
        Ok(found.unwrap_or_default().into_iter().map(|(_, document)| document).collect())
    }
}

/// Documents of events, each with its place.
type Documents = Vec<(Position, Vec<u8>)>;

/// The documents of events, in the order of their places; `None` where they have more bytes than
/// that. Each value is unpacked once.
fn documents(
    jobs: &Jobs,
    index: &JobIndex,
    mut positions: Vec<Position>,
    bytes_max: usize,
) -> Result<Option<Documents>, JobError> {
    positions.sort_unstable();
    let mut documents = Vec::with_capacity(positions.len());
    let mut bytes: usize = 0;
    let mut values = ValueReader::new(jobs.values(), index, &positions);
    for of_value in positions.chunk_by(|left, right| left.value == right.value) {
        let Some(entries) = values.read(of_value[0].value)? else { continue };
        for position in of_value {
            let mut rest = entries.slice((position.offset as usize).min(entries.len())..);
            let Some(entry) = Entry::read(&mut rest) else { continue };
            let mut document = Vec::new();
            if jobs.joiner.document(&entry, &mut document).is_some() {
                bytes += document.len();
                documents.push((*position, document));
            }
            if bytes > bytes_max {
                return Ok(None);
            }
        }
    }
    Ok(Some(documents))
}

impl Jobs {
    /// The processes of the job with this key, with their ends, in the order in which they came; of
    /// one cluster where its key is given, else of all that have such a job.
    pub fn page(
        &self,
        job: &[u8],
        cluster: Option<&[u8]>,
        after: Option<&JobCursor>,
        limit: usize,
    ) -> Result<JobPage, JobError> {
        let index = self.index(job, cluster)?;
        let from = after.map_or(0, |after| index.count_until((after.is_new, &after.tail, after.offset)));
        let to = from.saturating_add(limit).min(index.len());
        let has_lost = self.values().has_lost(job, cluster)?;
        Ok(JobPage { index, range: from..to, is_first: after.is_none(), has_lost })
    }

    /// Most processes in one answer.
    pub fn page_max(&self) -> usize {
        self.config.answer_processes_max.max(1)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::job_key::job_key;

    /// All that one page holds.
    pub struct Answer {
        pub processes: Vec<Vec<u8>>,
        pub clusters: BTreeSet<Vec<u8>>,
    }

    pub fn answer(jobs: &Jobs, job_id: &[u8], cluster: Option<&[u8]>) -> Result<Answer, JobError> {
        let page = jobs.page(&job_key(job_id), cluster, None, usize::MAX)?;
        assert!(!page.index.is_cut && page.next().is_none());
        let (_, processes) = page.processes(jobs, 0..page.len(), usize::MAX)?;
        Ok(Answer { processes, clusters: page.clusters().clone() })
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = JobCursor { is_new: true, tail: vec![0, 1, 254, 255], offset: 70_000 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(
            ["", "1", "1.x.00", "1.0.zz"].map(str::parse::<JobCursor>),
            [Err(()), Err(()), Err(()), Err(())]
        );
    }
}
