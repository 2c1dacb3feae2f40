//! Numbers that follow from a seed.

/// A generator of numbers (xorshift): the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// A generator with this seed.
    pub fn of(seed: u64) -> Self {
        Numbers(seed | 1 << 40)
    }

    /// The next number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// A number below the bound; small ones come more often.
    pub fn skewed(&mut self, bound: usize) -> usize {
        self.below(bound as u64).min(self.below(bound as u64)) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
