//! Runs of the index on disk. A run is a header with its number of builds, and blocks of [`packed
//! rows`](crate::registry::packed_rows), each under its first row. A run without a header does not
//! count. The header has the run's [`OutputFilter`] as well, unless an earlier version wrote it.

use super::{Number, output_filter::OutputFilter};
use crate::{
    database::{RegistryStore, Snapshot, Writes, number},
    registry::{
        RegistryError,
        error::Result,
        found_by::Term,
        packed_rows::{self, Packer, Row, Rows},
    },
};

/// How many builds a small run has, and a large one.
pub const BUILDS: [u64; 2] = [4096, 65_536];

/// Bytes in a block.
const BLOCK: usize = 4096;

/// Bytes of blocks in memory at once while a large run is written: a tenth of the run.
const PART: usize = 2 << 20;

/// Length of the key of a run's header, which sorts before its blocks.
const PREFIX: usize = 9;

/// The rows of consecutive builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first number that may be in the run.
    pub first: Number,
    /// Index of its size in [`BUILDS`].
    pub level: usize,
    /// How many builds existed when the run was written.
    pub builds: u32,
    /// The outputs of the builds.
    pub outputs: OutputFilter,
}

/// All runs, in the order of numbers.
pub fn all(store: &RegistryStore) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut from = 0u64;
    while let Some(entry) = store.terms.range(from.to_be_bytes()..).next() {
        let (key, value) = entry.into_inner()?;
        let level = key.get(8).map_or(usize::MAX, |level| usize::from(*level));
        if key.len() != PREFIX || level >= BUILDS.len() {
            return Err(RegistryError::damaged("the registry's index", "a run has no header"));
        }
        let (builds, outputs) = value.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let (builds, outputs) = (u32::from_be_bytes(*builds), OutputFilter::from_bytes(outputs));
        let run = Run { first: number(&key), level, builds, outputs };
        from = run.end();
        runs.push(run);
    }
    Ok(runs)
}

impl Run {
    /// A run that is to be written.
    pub fn new(first: Number, level: usize, builds: u32) -> Self {
        Run { first, level, builds, outputs: OutputFilter::of(builds) }
    }

    /// The number after the last that may be in the run.
    pub fn end(&self) -> Number {
        self.first + BUILDS[self.level]
    }

    fn prefix(&self) -> [u8; PREFIX] {
        let mut prefix = [0; PREFIX];
        prefix[..8].copy_from_slice(&self.first.to_be_bytes());
        prefix[8] = self.level as u8;
        prefix
    }

    fn key(&self, row: &Row) -> Vec<u8> {
        [&self.prefix()[..], &row.0, &row.1.to_be_bytes()].concat()
    }

    /// Adds the run to `writes`, and its outputs to its filter.
    pub fn write(
        &mut self,
        store: &RegistryStore,
        writes: Writes,
        fill: impl FnOnce(&mut dyn FnMut(Row)) -> Result<()>,
    ) -> Result<Writes> {
        self.fill(BlockWrites { store, writes, bytes: 0, bytes_max: usize::MAX, problem: None }, fill)
    }

    /// Writes a run that replaces smaller ones, part by part, because the whole does not fit in
    /// memory. The returned writes hold the header, without which the run does not count: the
    /// caller adds the deletion of the smaller runs and commits. What a crash leaves of a run is
    /// overwritten later.
    pub fn write_in_parts(
        &mut self,
        store: &RegistryStore,
        fill: impl FnOnce(&mut dyn FnMut(Row)) -> Result<()>,
    ) -> Result<Writes> {
        let mut writes = store.database.writes();
        self.remove(store, &mut writes, &store.database.snapshot())?;
        self.fill(BlockWrites { store, writes, bytes: 0, bytes_max: PART, problem: None }, fill)
    }

    fn fill(
        &mut self,
        mut parts: BlockWrites,
        fill: impl FnOnce(&mut dyn FnMut(Row)) -> Result<()>,
    ) -> Result<Writes> {
        let mut outputs = OutputFilter::of(self.builds);
        let mut packer = Packer::new(BLOCK, |first, block| parts.put(self.key(&first), block));
        fill(&mut |row| {
            outputs.add(&row.0);
            packer.push(row);
        })?;
        packer.finish();
        let store = parts.store;
        let mut writes = parts.last()?;
        let header = [&self.builds.to_be_bytes(), outputs.as_bytes()].concat();
        writes.insert(&store.terms, self.prefix(), header);
        self.outputs = outputs;
        Ok(writes)
    }

    /// Deletes the run with `writes`.
    pub fn remove(&self, store: &RegistryStore, writes: &mut Writes, snapshot: &Snapshot) -> Result<()> {
        for entry in snapshot.prefix(&store.terms, self.prefix()) {
            writes.remove(&store.terms, entry.key()?);
        }
        Ok(())
    }

    /// All rows of the run, in order. Only the thread that removes runs asks for them: so the run
    /// stays as it is though no snapshot holds it.
    pub fn rows(&self, store: &RegistryStore) -> impl Iterator<Item = Result<Row>> + use<> {
        let mut blocks = store.terms.prefix(self.prefix()).skip(1);
        let mut rows: std::vec::IntoIter<Row> = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(row) = rows.next() {
                    return Some(Ok(row));
                }
                match blocks.next()?.value() {
                    Ok(block) => rows = Rows::of(&block).collect::<Vec<_>>().into_iter(),
                    Err(problem) => return Some(Err(problem.into())),
                }
            }
        })
    }

    /// Hands the term's numbers up to `last` to `each`, in descending order, until it returns
    /// false; then this returns false.
    pub fn each_back(
        &self,
        store: &RegistryStore,
        snapshot: &Snapshot,
        term: &Term,
        last: u32,
        mut each: impl FnMut(Number) -> Result<bool>,
    ) -> Result<bool> {
        let range = self.prefix().to_vec()..=self.key(&(*term, last));
        for block in snapshot.range(&store.terms, range).rev() {
            let (key, block) = block.into_inner()?;
            if key.len() <= PREFIX {
                break;
            }
            let (numbers, goes_on) = packed_rows::numbers_of(&block, term);
            for number in numbers.into_iter().rev().filter(|number| *number <= last) {
                if !each(self.first + u64::from(number))? {
                    return Ok(false);
                }
            }
            if !goes_on {
                break;
            }
        }
        Ok(true)
    }
}

/// Blocks that are being written.
struct BlockWrites<'a> {
    store: &'a RegistryStore,
    writes: Writes,
    bytes: usize,
    /// Most bytes in one commit.
    bytes_max: usize,
    problem: Option<fjall::Error>,
}

impl BlockWrites<'_> {
    fn put(&mut self, key: Vec<u8>, block: Vec<u8>) {
        self.bytes += block.len();
        self.writes.insert(&self.store.terms, key, block);
        if self.bytes >= self.bytes_max {
            self.bytes = 0;
            let full = std::mem::replace(&mut self.writes, self.store.database.writes());
            self.problem = self.problem.take().or(full.commit().err());
        }
    }

    /// The last writes, which are not committed.
    fn last(self) -> fjall::Result<Writes> {
        self.problem.map_or(Ok(self.writes), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Store;

    fn rows(builds: std::ops::Range<u32>) -> Vec<Row> {
        let row = |build: u32, own: u32| {
            let mut term = [b'x'; 17];
            term[..8].copy_from_slice(
                &u64::from(build * 64 + own).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes(),
            );
            (term, build)
        };
        let mut rows: Vec<Row> = builds.flat_map(|build| (0..64).map(move |own| row(build, own))).collect();
        rows.sort_unstable();
        rows
    }

    fn write(store: &RegistryStore, run: &mut Run, rows: &[Row]) -> Writes {
        let fill = |each: &mut dyn FnMut(Row)| {
            rows.iter().for_each(|row| each(*row));
            Ok(())
        };
        run.write_in_parts(store, fill).unwrap()
    }

    #[test]
    fn what_a_crash_leaves_of_a_large_run_is_not_there_and_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap().registry();
        let mut run = Run::new(0, 1, 20_000);
        let mut small = Run::new(0, 0, 4096);
        small.write(&store, store.database.writes(), |_| Ok(())).unwrap().commit().unwrap();
        // The last writes are lost.
        drop(write(&store, &mut run, &rows(0..20_000)));
        assert!(store.terms.iter().count() > 1000, "some of it is on disk");
        assert_eq!(all(&store).unwrap(), std::slice::from_ref(&small));
        // Some builds were removed in the meantime.
        let left = rows(0..6000);
        let mut writes = write(&store, &mut run, &left);
        small.remove(&store, &mut writes, &store.database.snapshot()).unwrap();
        writes.commit().unwrap();
        assert_eq!(all(&store).unwrap(), std::slice::from_ref(&run));
        let found: Vec<Row> = run.rows(&store).map(Result::unwrap).collect();
        assert!(found == left);
    }
}
