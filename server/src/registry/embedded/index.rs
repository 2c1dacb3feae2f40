//! The builds that a term finds: rows in runs that are written once, and a tail in memory.
//!
//! The rows of the last few thousand builds are in memory, in sorted pieces: after a restart they
//! are made again from the records ([`Index::open`]). When there are enough of them they are
//! written as a run ([`runs`]), and sixteen small runs become a large one. So the index of a
//! registration is some 320 bytes on disk, written twice, in order, whatever its terms are.
//!
//! Every 65,536 builds are a run that a question has to look into: 150 runs among ten million
//! builds. A question about an output looks only into the runs that may have it
//! ([`OutputFilter`](super::output_filter)), or each registration would be slower than the one
//! before. Deleted builds stay in their run until half of it is deleted, so callers check that a
//! build still exists.

use super::{
    Number,
    runs::{self, BUILDS, Run},
};
use crate::{
    database::{RegistryStore, Snapshot, number},
    registry::{
        error::{OrDamaged, Result},
        found_by::{self, Term},
        packed_rows::{self, Row},
    },
};
use ogrt_proto::BuildRecord;
use prost::Message;
use std::{
    sync::RwLock,
    time::{Duration, Instant},
};

/// How many runs are read to see how common a term is, and how many rows are counted there.
const RUNS_COMPARED: usize = 8;
const ROWS_COMPARED: usize = 50_000;

/// The time after which a question that goes on sees the state anew; in tests it is short.
const RENEW_AFTER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// See the module.
pub struct Index {
    store: RegistryStore,
    state: RwLock<IndexState>,
}

#[derive(Default)]
struct IndexState {
    /// Runs on disk, in the order of numbers.
    runs: Vec<Run>,
    /// The tail's first number, at the end of the runs.
    first: Number,
    /// How many builds the tail has.
    count: u64,
    /// The tail's rows, each piece sorted, the oldest piece first. Numbers count from `first`.
    pieces: Vec<Vec<Row>>,
}

/// The state that a question sees, all of one moment.
struct View {
    snapshot: Snapshot,
    since: Instant,
    runs: Vec<Run>,
    /// Numbers in the tail, ascending.
    tail: Vec<Number>,
}

impl Index {
    /// Reads the runs, and makes the tail again from the records of the builds after them.
    pub fn open(store: RegistryStore) -> Result<Self> {
        let runs = runs::all(&store)?;
        let state = IndexState { first: runs.last().map_or(0, Run::end), runs, ..IndexState::default() };
        let index = Index { store, state: RwLock::new(state) };
        index.catch_up()?;
        Ok(index)
    }

    fn catch_up(&self) -> Result<()> {
        let mut rows: Vec<(Term, Number)> = Vec::new();
        let (mut from, mut next) = (self.state().first, None);
        for record in self.store.records.range(from.to_be_bytes()..) {
            let (key, value) = record.into_inner()?;
            let of = number(&key);
            let record = BuildRecord::decode(value.get(super::HEADER..).unwrap_or_default())
                .or_damaged(|| format!("build record {of}"))?;
            rows.extend(found_by::of(&record).into_iter().map(|term| (term, of)));
            next = Some(of + 1);
            if of + 1 - from >= BUILDS[0] {
                self.grow(std::mem::take(&mut rows), of + 1)?;
                from = of + 1;
            }
        }
        next.map_or(Ok(()), |next| self.grow(rows, next))
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, IndexState> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self) -> std::sync::RwLockWriteGuard<'_, IndexState> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds the rows of builds whose records are written; `next` is the number of the build after
    /// them. One thread at a time calls this.
    pub fn grow(&self, rows: Vec<(Term, Number)>, next: Number) -> Result<()> {
        {
            let mut state = self.change();
            let first = state.first;
            let mut piece: Vec<Row> =
                rows.into_iter().map(|(term, number)| (term, (number - first) as u32)).collect();
            piece.sort_unstable();
            state.count = next - first;
            state.pieces.push(piece);
            state.join_pieces(1);
        }
        while self.state().count >= BUILDS[0] {
            self.write_tail()?;
            self.merge_runs()?;
        }
        Ok(())
    }

    /// Writes the first builds of the tail as a run.
    fn write_tail(&self) -> Result<()> {
        let mut tail = {
            let mut state = self.change();
            state.join_pieces(usize::MAX);
            // A copy, because questions use the original meanwhile.
            state.pieces.first().cloned().unwrap_or_default()
        };
        let rest: Vec<Row> = tail.extract_if(.., |(_, number)| u64::from(*number) >= BUILDS[0]).collect();
        let mut run = Run::new(self.state().first, 0, BUILDS[0] as u32);
        let fill = |each: &mut dyn FnMut(Row)| {
            tail.iter().for_each(|row| each(*row));
            Ok(())
        };
        run.write(&self.store, self.store.database.writes(), fill)?.commit()?;
        let mut state = self.change();
        state.first = run.end();
        state.runs.push(run);
        state.count -= BUILDS[0];
        state.pieces =
            vec![rest.into_iter().map(|(term, number)| (term, number - BUILDS[0] as u32)).collect()];
        Ok(())
    }

    /// Merges small runs into a large one, as soon as there are enough.
    fn merge_runs(&self) -> Result<()> {
        let (end, small) = {
            let state = self.state();
            let begin = state.first.saturating_sub(BUILDS[1]);
            let small = state.runs.iter().filter(|run| run.level == 0 && run.first >= begin);
            (state.first, small.cloned().collect::<Vec<Run>>())
        };
        if end % BUILDS[1] != 0 || small.is_empty() {
            return Ok(());
        }
        let builds = small.iter().map(|run| run.builds).sum();
        let first = end - BUILDS[1];
        let mut large = Run::new(first, 1, builds);
        let parts = small.iter().map(|run| ((run.first - first) as u32, run.rows(&self.store)));
        let mut writes =
            large.write_in_parts(&self.store, |each| packed_rows::merge(parts.collect(), each))?;
        // The parts were committed meanwhile, perhaps to a database that was opened again.
        let snapshot = self.store.database.snapshot();
        small.iter().try_for_each(|run| run.remove(&self.store, &mut writes, &snapshot))?;
        writes.commit()?;
        let mut state = self.change();
        state.runs.retain(|run| !small.contains(run));
        state.runs.push(large);
        Ok(())
    }

    /// Writes the runs between these numbers again without deleted builds, where those are half of
    /// a run; an empty run is deleted. One thread at a time calls this.
    pub fn shrink(
        &self,
        from: Number,
        to: Number,
        mut is_there: impl FnMut(Number) -> Result<bool>,
    ) -> Result<()> {
        let runs: Vec<Run> = self.state().runs.clone();
        for run in runs.into_iter().filter(|run| run.first <= to && from < run.end()) {
            let mut there = vec![false; BUILDS[run.level] as usize];
            let mut builds = 0;
            for (number, there) in (run.first..run.end()).zip(&mut there) {
                *there = is_there(number)?;
                builds += u32::from(*there);
            }
            if builds > run.builds / 2 {
                continue;
            }
            let mut writes = self.store.database.writes();
            let snapshot = self.store.database.snapshot();
            run.remove(&self.store, &mut writes, &snapshot)?;
            let mut smaller = Run::new(run.first, run.level, builds);
            if builds > 0 {
                writes = smaller.write(&self.store, writes, |each| {
                    for row in run.rows(&self.store) {
                        let row = row?;
                        if there.get(row.1 as usize).is_some_and(|there| *there) {
                            each(row);
                        }
                    }
                    Ok(())
                })?;
            }
            writes.commit()?;
            let mut state = self.change();
            match state.runs.iter().position(|known| *known == run) {
                Some(at) if builds > 0 => state.runs[at] = smaller,
                Some(at) => {
                    state.runs.remove(at);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Hands the builds that the term finds to `each`, in ascending order, until it returns false.
    /// Those that are registered meanwhile may be among them.
    pub fn each(&self, term: &Term, mut each: impl FnMut(Number) -> bool) -> Result<()> {
        let mut from = 0;
        'views: loop {
            let view = self.view(term);
            let begin = from;
            for run in view.runs.iter().filter(|run| run.end() > begin) {
                let mut numbers = Vec::new();
                run.each_back(&self.store, &view.snapshot, term, u32::MAX, |number| {
                    numbers.push(number);
                    Ok(number > begin)
                })?;
                for number in numbers.into_iter().rev().filter(|number| *number >= begin) {
                    if !each(number) {
                        return Ok(());
                    }
                }
                from = run.end();
                if view.is_old() {
                    continue 'views;
                }
            }
            view.tail.into_iter().filter(|number| *number >= from).all(each);
            return Ok(());
        }
    }

    /// Hands those below `before` to `each`, in descending order, until it returns false.
    pub fn each_before(
        &self,
        term: &Term,
        mut before: Number,
        mut each: impl FnMut(Number) -> Result<bool>,
    ) -> Result<()> {
        'views: loop {
            let view = self.view(term);
            let below = before;
            for number in view.tail.iter().rev().filter(|number| **number < below) {
                if !each(*number)? {
                    return Ok(());
                }
                before = *number;
            }
            for run in view.runs.iter().rev().filter(|run| run.first < below) {
                let last = (below - 1).min(run.end() - 1) - run.first;
                let mut is_over = false;
                let is_through = run.each_back(&self.store, &view.snapshot, term, last as u32, |number| {
                    before = number;
                    is_over = !each(number)?;
                    Ok(!is_over && !view.is_old())
                })?;
                match (is_through, is_over) {
                    (_, true) => return Ok(()),
                    (false, false) => continue 'views,
                    (true, false) => {}
                }
            }
            return Ok(());
        }
    }

    /// Does the term find this build?
    pub fn contains(&self, term: &Term, wanted: Number) -> Result<bool> {
        let (run, snapshot) = {
            let state = self.state();
            if wanted >= state.first {
                let row = (*term, (wanted - state.first) as u32);
                return Ok(state.pieces.iter().any(|piece| piece.binary_search(&row).is_ok()));
            }
            let after = state.runs.partition_point(|run| run.first <= wanted);
            let run = after.checked_sub(1).and_then(|at| state.runs.get(at));
            let run = run.filter(|run| wanted < run.end() && run.outputs.may_have(term)).cloned();
            (run, self.store.database.snapshot())
        };
        let Some(run) = run else { return Ok(false) };
        let mut found = false;
        run.each_back(&self.store, &snapshot, term, (wanted - run.first) as u32, |number| {
            found = number == wanted;
            Ok(false)
        })?;
        Ok(found)
    }

    /// How common a term was among the newest builds: enough to say which of two is rarer.
    pub fn weight(&self, term: &Term) -> Result<usize> {
        let view = self.view(term);
        let mut rows = view.tail.len();
        for run in view.runs.iter().rev().take(RUNS_COMPARED) {
            run.each_back(&self.store, &view.snapshot, term, u32::MAX, |_| {
                rows += 1;
                Ok(rows < ROWS_COMPARED)
            })?;
        }
        Ok(rows)
    }

    fn view(&self, term: &Term) -> View {
        let state = self.state();
        let runs = state.runs.iter().filter(|run| run.outputs.may_have(term)).cloned().collect();
        View { snapshot: self.store.database.snapshot(), since: Instant::now(), runs, tail: state.tail(term) }
    }
}

impl View {
    /// True when it is time to see the state anew: the engine keeps in memory what is written
    /// meanwhile.
    fn is_old(&self) -> bool {
        self.since.elapsed() > RENEW_AFTER
    }
}

impl IndexState {
    /// The builds of the tail that the term finds.
    fn tail(&self, term: &Term) -> Vec<Number> {
        let mut numbers = Vec::new();
        for piece in &self.pieces {
            let from = piece.partition_point(|row| *row < (*term, 0));
            let rows = piece[from..].iter().take_while(|(found, _)| found == term);
            numbers.extend(rows.map(|(_, number)| self.first + u64::from(*number)));
        }
        numbers
    }

    /// Joins the last two pieces until the first of them is more than `larger` times as large, so
    /// that there are few pieces.
    fn join_pieces(&mut self, larger: usize) {
        while let [.., before, last] = &self.pieces[..]
            && before.len() <= last.len().saturating_mul(larger)
        {
            let mut last = self.pieces.pop().unwrap_or_default();
            if let Some(before) = self.pieces.last_mut() {
                before.append(&mut last);
                // Two sorted halves: the stable sort only merges them.
                before.sort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    fn term(kind: u8, number: u64) -> Term {
        let mut term = [kind; 17];
        term[1..9].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        term
    }

    /// Each build has a term of its own, one that every tenth has, and one that all have.
    fn fill(index: &Index, numbers: std::ops::Range<u64>, at_once: usize) {
        for some in numbers.collect::<Vec<_>>().chunks(at_once) {
            let rows = some
                .iter()
                .flat_map(|n| [(term(b'o', *n), *n), (term(b't', n % 10), *n), (term(b'a', 0), *n)]);
            index.grow(rows.collect(), some[some.len() - 1] + 1).unwrap();
        }
    }

    fn all(index: &Index, term: Term) -> Vec<u64> {
        let mut found = Vec::new();
        index
            .each(&term, |number| {
                found.push(number);
                true
            })
            .unwrap();
        found
    }

    #[test]
    fn rows_are_found_in_the_tail_in_small_runs_and_in_large_ones() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::open(Store::open(directory.path()).unwrap().registry()).unwrap();
        let mut count = 0;
        // In memory; some small runs; a large one and some more.
        for until in [1000, 3 * 4096 + 77, 65_536 + 5000] {
            fill(&index, count..until, 611);
            count = until;
            assert!(all(&index, term(b'a', 0)).into_iter().eq(0..count));
            assert!(all(&index, term(b't', 7)).into_iter().eq((7..count).step_by(10)));
            for number in [0, 1, 4095, 4096, count / 2, count - 1] {
                let number = number.min(count - 1);
                assert_eq!(all(&index, term(b'o', number)), [number]);
                assert!(index.contains(&term(b'a', 0), number).unwrap());
                assert_eq!(index.contains(&term(b't', 3), number).unwrap(), number % 10 == 3);
            }
            assert!(all(&index, term(b'o', count)).is_empty());
            // However many runs there are, an output is looked for where it is.
            for number in [0, 4095, count / 2, count, count + 1] {
                let runs = index.view(&term(b'o', number)).runs;
                assert!(runs.len() <= 1, "{number}: {runs:?}");
            }
            let (mut back, mut expected) = (Vec::new(), Vec::new());
            index
                .each_before(&term(b't', 2), count - 3, |number| {
                    back.push(number);
                    Ok(back.len() < 900)
                })
                .unwrap();
            expected.extend((0..count - 3).rev().filter(|number| number % 10 == 2).take(900));
            assert_eq!(back, expected);
            assert!(index.weight(&term(b'o', 3)).unwrap() <= 1);
            assert!(index.weight(&term(b'a', 0)).unwrap() > index.weight(&term(b't', 0)).unwrap());
        }
        let levels: Vec<usize> = index.state().runs.iter().map(|run| run.level).collect();
        assert_eq!(levels, [1, 0]);
    }

    #[test]
    fn a_run_of_which_half_is_gone_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().registry();
        let index = Index::open(store.clone()).unwrap();
        fill(&index, 0..2 * 4096 + 10, 500);
        let blocks = || store.terms.iter().count();
        let before = blocks();
        index.shrink(0, 100, |number| Ok(number > 1000)).unwrap();
        assert_eq!(blocks(), before, "a quarter is not half");
        index.shrink(0, 100, |number| Ok(number > 3000)).unwrap();
        assert!(blocks() < before);
        assert!(all(&index, term(b'a', 0)).into_iter().eq(3001..2 * 4096 + 10));
        index.shrink(0, 100, |_| Ok(false)).unwrap();
        assert!(all(&index, term(b'a', 0)).into_iter().eq(4096..2 * 4096 + 10));
        drop(index);
        // The tail is made from records, and there are none.
        let index = Index::open(store.clone()).unwrap();
        assert!(all(&index, term(b'a', 0)).into_iter().eq(4096..2 * 4096));
    }
}
