//! What is kept of uses: one row for each image and user, image and host, image and job.
//!
//! ```text
//! 'u' image user  -> count        'h' image host -> count        'j' image job -> count user
//! ```

use crate::{database::number, uses::ImageNumber};
use bytes::{Buf, BufMut};

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    User,
    Host,
    Job,
}

impl About {
    fn letter(self) -> u8 {
        match self {
            About::User => b'u',
            About::Host => b'h',
            About::Job => b'j',
        }
    }
}

/// Bytes of a key before its name.
const PREFIX: usize = 9;

/// Processes, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// That had the image at their start.
    pub processes: u64,
    /// That loaded what makes the image while they ran.
    pub later: u64,
    /// Unix time in nanoseconds.
    pub first_ns: i64,
    pub last_ns: i64,
}

impl Count {
    /// One process.
    pub fn one(is_later: bool, time_ns: i64) -> Self {
        let (processes, later) = (u64::from(!is_later), u64::from(is_later));
        Count { processes, later, first_ns: time_ns, last_ns: time_ns }
    }

    /// Both together.
    pub fn add(&mut self, other: &Count) {
        if other.processes + other.later == 0 {
            return;
        }
        if self.processes + self.later == 0 {
            *self = *other;
            return;
        }
        self.processes += other.processes;
        self.later += other.later;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Was it seen at some time in `[since, until)`, as far as first and last tell?
    pub fn is_within(&self, since: Option<i64>, until: Option<i64>) -> bool {
        since.is_none_or(|since| self.last_ns >= since) && until.is_none_or(|until| self.first_ns < until)
    }

    /// As a row's value; a job's has its user behind it.
    pub fn write(&self, user: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + user.len());
        out.put_u64(self.processes);
        out.put_u64(self.later);
        out.put_i64(self.first_ns);
        out.put_i64(self.last_ns);
        out.put_slice(user);
        out
    }

    /// The count of a row's value, and what is behind it.
    pub fn read(mut value: &[u8]) -> (Count, &[u8]) {
        let mut count = Count::default();
        if value.len() >= 32 {
            count.processes = value.get_u64();
            count.later = value.get_u64();
            count.first_ns = value.get_i64();
            count.last_ns = value.get_i64();
        }
        (count, value)
    }
}

/// The key of a row.
pub fn key(about: About, image: ImageNumber, name: &[u8]) -> Vec<u8> {
    let mut key = prefix(about, image);
    key.extend_from_slice(name);
    key
}

/// What all rows of an image begin with.
pub fn prefix(about: About, image: ImageNumber) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(about.letter());
    key.put_u64(image);
    key
}

/// All rows about one kind of thing.
pub fn prefix_of_all(about: About) -> [u8; 1] {
    [about.letter()]
}

/// The image and the name of a key.
pub fn parts(key: &[u8]) -> (ImageNumber, &[u8]) {
    (number(key.get(1..PREFIX).unwrap_or_default()), key.get(PREFIX..).unwrap_or_default())
}
