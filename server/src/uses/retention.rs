//! What goes from the uses, so that they stay bounded: jobs by age, and programs that were unused
//! the longest.
//!
//! Jobs are swept a slice at a time, all the time, so that no sweep is ever long. Programs go when
//! there are as many as there may be: a sixteenth at once, so that this is rare.

use super::{
    ProgramNumber, Uses,
    rows::{self, About},
    use_counts::UseCounts,
};
use crate::{clock::now_ns, database::Writes};
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use tracing::info;

/// Rows of jobs looked at in one slice.
const SLICE: usize = 20_000;

/// The shortest time between two removals of programs.
const REMOVE_EVERY: Duration = Duration::from_secs(60);

/// Programs removed in one write.
const REMOVED_AT_ONCE: usize = 1000;

/// The progress of the sweep.
#[derive(Default)]
pub struct Sweep {
    after: Vec<u8>,
    programs_went: Option<Instant>,
}

impl Uses {
    /// Sweeps a slice.
    pub fn sweep(&self, sweep: &mut Sweep, counts: &mut UseCounts) -> Result<()> {
        self.sweep_jobs(sweep)?;
        let is_full = self.store.program_count.get()? >= self.config.programs_max as u64;
        if is_full && sweep.programs_went.is_none_or(|went| went.elapsed() > REMOVE_EVERY) {
            sweep.programs_went = Some(Instant::now());
            // What is gathered or on its way may count a program that goes.
            self.write(counts)?;
            while self.add_some()? {}
            counts.programs.forget();
            self.remove_longest_unused()?;
        }
        Ok(())
    }

    fn sweep_jobs(&self, sweep: &mut Sweep) -> Result<()> {
        let keep_ns = i64::try_from(self.config.jobs_keep.0.as_nanos()).unwrap_or(i64::MAX);
        let oldest = now_ns().saturating_sub(keep_ns);
        let begin = rows::prefix_of_all(About::Job).to_vec();
        let from = std::mem::take(&mut sweep.after).max(begin.clone());
        let end = vec![begin[0] + 1];
        let mut writes = self.store.database.writes();
        let (mut looked, mut gone) = (0, 0);
        for row in self.store.rows.range(from..end).take(SLICE) {
            let (key, value) = row.into_inner()?;
            looked += 1;
            if rows::read(&value).0.last_ns < oldest {
                writes.remove(&self.store.rows, key.clone());
                gone += 1;
            }
            sweep.after = key.to_vec();
        }
        if looked < SLICE {
            sweep.after.clear();
        }
        self.remove_rows(writes, gone)
    }

    fn remove_longest_unused(&self) -> Result<()> {
        let mut last_used: Vec<(i64, ProgramNumber)> = Vec::new();
        for row in self.store.rows.prefix(rows::prefix_of_all(About::User)) {
            let (key, value) = row.into_inner()?;
            let (program, last_ns) = (rows::parts(&key).0, rows::read(&value).0.last_ns);
            match last_used.last_mut() {
                Some((last, same)) if *same == program => *last = last_ns.max(*last),
                _ => last_used.push((last_ns, program)),
            }
        }
        last_used.sort_unstable();
        let count = self.store.program_count.get()? as usize;
        last_used.truncate(count.saturating_sub(self.config.programs_max - self.config.programs_max / 16));
        info!("uses.programs_max is reached: {} programs that were unused the longest go", last_used.len());
        for group in last_used.chunks(REMOVED_AT_ONCE) {
            self.remove_programs(group)?;
        }
        Ok(())
    }

    fn remove_programs(&self, group: &[(i64, ProgramNumber)]) -> Result<()> {
        let store = &self.store;
        let (mut writes, mut gone) = (store.database.writes(), 0);
        for (_, program) in group {
            for about in [About::User, About::Host, About::Job] {
                for row in store.rows.prefix(rows::prefix(about, *program)) {
                    writes.remove(&store.rows, row.key()?);
                    gone += 1;
                }
            }
            let Some(bytes) = store.programs.get(program.to_be_bytes())? else { continue };
            writes.remove(&store.program_numbers, &Sha256::digest(&bytes)[..16]);
            for signature in self.program(*program)?.iter().flat_map(|program| program.signatures()) {
                let key = [&signature.as_bytes()[..], &program.to_be_bytes()].concat();
                writes.remove(&store.programs_with, key);
            }
            writes.remove(&store.programs, program.to_be_bytes());
        }
        let programs = store.program_count.get()?.saturating_sub(group.len() as u64);
        writes.set(&store.program_count, programs);
        self.metrics.programs.set(programs);
        self.remove_rows(writes, gone)
    }

    fn remove_rows(&self, mut writes: Writes, gone: u64) -> Result<()> {
        if gone > 0 {
            let rows = self.store.row_count.get()?.saturating_sub(gone);
            writes.set(&self.store.row_count, rows);
            self.metrics.use_rows.set(rows);
        }
        Ok(writes.commit()?)
    }
}
