//! The builds that a walk has visited, a bit for each number.

/// See the module.
#[derive(Default)]
pub struct VisitedSet(Vec<u64>);

impl VisitedSet {
    /// Adds a number; false if it was there already.
    pub fn insert(&mut self, number: u64) -> bool {
        let at = (number / 64) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        let (word, bit) = (&mut self.0[at], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
