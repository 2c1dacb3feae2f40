//! One count as it lies on disk until it is added to the rows.

use super::{
    ProgramNumber,
    rows::{About, Count},
};
use bytes::BufMut;
use prost::encoding::{decode_varint, encode_varint};

/// The count of one program, user, host and job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally<'a> {
    pub program: ProgramNumber,
    pub user: &'a [u8],
    pub host: &'a [u8],
    pub job: &'a [u8],
    pub count: Count,
}

impl<'a> Tally<'a> {
    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_varint(self.program, out);
        for text in [self.user, self.host, self.job] {
            encode_varint(text.len() as u64, out);
            out.put_slice(text);
        }
        self.count.write(out);
    }

    /// Takes one from the front; `None` where that is no whole tally.
    pub fn read(from: &mut &'a [u8]) -> Option<Self> {
        let program = decode_varint(from).ok()?;
        let mut text = || {
            let len = usize::try_from(decode_varint(from).ok()?).ok()?;
            let (text, rest) = from.split_at_checked(len)?;
            *from = rest;
            Some(text)
        };
        let (user, host, job) = (text()?, text()?, text()?);
        Some(Tally { program, user, host, job, count: Count::read(from)? })
    }

    /// The name that the rows about this have.
    pub fn name(&self, about: About) -> &'a [u8] {
        match about {
            About::User => self.user,
            About::Host => self.host,
            About::Job => self.job,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_was_written_and_no_cut_of_it_is() {
        let count = Count { processes: 300, later: 0, first_ns: -5, last_ns: 7_000_000_000 };
        let tally = Tally { program: 70_000, user: b"alice", host: b"", job: b"4711", count };
        let mut bytes = Vec::new();
        tally.write(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!((Tally::read(&mut rest), rest.len()), (Some(tally), 0));
        for cut in 0..bytes.len() {
            assert_eq!(Tally::read(&mut &bytes[..cut]), None, "cut at {cut}");
        }
    }
}
