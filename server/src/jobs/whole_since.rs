//! The time since when everything is kept, of whomever it is.
//!
//! Events leave here in the order in which each sender's came, and a write has the time at which it
//! was made. So nothing is lost of what was written after the last write of which something is
//! gone (`everything_is_kept_since_the_last_write_that_lost_something`). An event is written after
//! it was received, and tells of nothing later.

use super::{Jobs, keys::WITH_SENDER, keys::log_prefix, keys::losses_begin, keys::losses_end};
use crate::{clock::now_ns, database::Writes};
use bytes::Buf;
use std::sync::PoisonError;

/// The mark of a database that has lost nothing since it began.
const ALWAYS: u64 = 1;

impl Jobs {
    /// The time since when nothing that was received is lost, in Unix nanoseconds; `None` where
    /// that is so since the database began.
    pub fn whole_since_ns(&self) -> fjall::Result<Option<i64>> {
        let since = self.store.whole_since.get()?;
        Ok(i64::try_from(since).ok().filter(|_| since > ALWAYS))
    }

    /// Notes that something is lost of what was written at this time.
    pub(super) fn put_lost(&self, writes: &mut Writes, time_ns: i64) -> fjall::Result<()> {
        let since = u64::try_from(time_ns).unwrap_or(0).saturating_add(1);
        if since > self.store.whole_since.get()? {
            writes.set(&self.store.whole_since, since);
        }
        Ok(())
    }

    /// Notes since when everything is kept, in a database that does not say.
    pub(super) fn begin_whole(&self) -> fjall::Result<()> {
        if self.store.whole_since.get()? != 0 {
            return Ok(());
        }
        let is_new = self.queue.offset(super::CONSUMER) == 0;
        let since = if is_new { ALWAYS } else { self.oldest_write_ns()?.max(2) as u64 };
        let mut writes = self.store.database.writes();
        writes.set(&self.store.whole_since, since);
        writes.commit()
    }

    /// The time of the oldest write that is kept, where nothing but what is older can be lost; else
    /// now.
    ///
    /// A job of which a part is lost has a mark, unless all of it went because it was old.
    fn oldest_write_ns(&self) -> fjall::Result<i64> {
        let is_marked = self.store.values.range(losses_begin()..losses_end()).next().is_some();
        // Those without a sender may be from before there were marks.
        let is_old = self.store.log.range(..vec![WITH_SENDER]).next().is_some();
        let mut oldest_ns = now_ns();
        if is_marked || is_old {
            return Ok(oldest_ns);
        }
        for (sender, _) in self.shares.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(first) = self.store.log.prefix(log_prefix(sender)).next() {
                let written_ns = (&*first.value()?).try_get_i64().unwrap_or(i64::MAX);
                oldest_ns = oldest_ns.min(written_ns);
            }
        }
        Ok(oldest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Size,
        jobs::tests::{Line, start},
        join::Want,
    };

    fn forget(line: &Line) {
        let mut writes = line.jobs.store.database.writes();
        writes.set(&line.jobs.store.whole_since, 0);
        writes.commit().unwrap();
        line.jobs.begin_whole().unwrap();
    }

    #[test]
    fn everything_is_kept_since_the_last_write_that_lost_something() {
        let directory = tempfile::tempdir().unwrap();
        let mut line = Line::open(directory.path());
        let began_ns = now_ns();
        line.queue(&[start(1, "a"), start(2, "b")]);
        line.write().unwrap();
        let written_ns = now_ns();
        line.jobs.prune().unwrap();
        assert_eq!(line.jobs.whole_since_ns().unwrap(), None, "nothing is lost");
        // A database of before does not say so, but it has no marks.
        forget(&line);
        let since = line.jobs.whole_since_ns().unwrap().unwrap();
        assert!((began_ns..=written_ns).contains(&since), "{began_ns} {since} {written_ns}");

        drop(line);
        let mut line = Line::open(directory.path());
        line.jobs.config.bytes_max = Size(1);
        line.jobs.prune().unwrap();
        let since = line.jobs.whole_since_ns().unwrap().unwrap();
        assert!((began_ns..=written_ns + 1).contains(&since), "{began_ns} {since} {written_ns}");
        // It has marks now.
        forget(&line);
        let since = line.jobs.whole_since_ns().unwrap().unwrap();
        assert!(since > written_ns && since <= now_ns(), "{written_ns} {since}");
        let dropped_ns = now_ns();
        let next = line.write().unwrap();
        let reader = line.jobs.documents.reader(next, Want::Entries);
        line.jobs.write(&reader, next, next + 1).unwrap();
        let since = line.jobs.whole_since_ns().unwrap().unwrap();
        assert!(since > dropped_ns, "a batch is lost that was in the queue: {dropped_ns} {since}");
    }
}
