//! Jobs of several rows, each once.
//!
//! A short list first; where it is as long as a bit for each job that there is, it becomes these
//! bits.

/// See the module.
pub struct JobUnion {
    list: Vec<u32>,
    bits: Vec<u64>,
    /// Words for a bit of each job.
    words: usize,
    /// The length of the list at which doubles are removed.
    due: usize,
}

impl JobUnion {
    /// No jobs of so many.
    pub fn new(jobs: u64) -> Self {
        let words = usize::try_from(jobs / 64 + 1).unwrap_or(usize::MAX);
        JobUnion { list: Vec::new(), bits: Vec::new(), words, due: 64 }
    }

    /// Adds one.
    pub fn add(&mut self, job: u32) {
        if !self.bits.is_empty() {
            if let Some(word) = self.bits.get_mut(job as usize / 64) {
                *word |= 1 << (job % 64);
            }
            return;
        }
        self.list.push(job);
        if self.list.len() >= self.due {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
        self.due = self.list.len() * 2 + 64;
        if self.list.len() >= self.words * 2 {
            self.bits = vec![0; self.words];
            std::mem::take(&mut self.list).into_iter().for_each(|job| self.add(job));
        }
    }

    /// Returns how many there are.
    pub fn count(&mut self) -> u64 {
        if self.bits.is_empty() {
            self.tidy();
        }
        self.list.len() as u64 + self.bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_counts_once_in_either_form() {
        for jobs in [1_000_000u32, 1000, 1] {
            let mut union = JobUnion::new(jobs.into());
            for round in 0..3 {
                for job in (0..jobs).step_by(7) {
                    union.add(job);
                }
                assert_eq!(union.count(), u64::from(jobs.div_ceil(7)), "{jobs} jobs, round {round}");
            }
        }
    }
}
