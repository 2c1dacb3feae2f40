//! One count as it lies on disk until it is added to the rows.

use super::rows::{Count, RowKey};
use crate::{
    dates::day_number,
    stored_text::{put_text, take_text},
};
use prost::encoding::{decode_varint, encode_varint};

/// The flag of a tally with a relay, above the bits of the day.
const RELAYED: u64 = 1 << 17;

/// The count of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally<'a> {
    pub row: RowKey<'a>,
    pub count: Count,
}

impl<'a> Tally<'a> {
    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let RowKey { program, user, is_claimed, relay, day, host, cluster, job } = self.row;
        let is_relayed = !is_claimed && !relay.is_empty();
        encode_varint(program, out);
        let flags = u64::from(is_claimed) | if is_relayed { RELAYED } else { 0 };
        encode_varint(u64::from(day) << 1 | flags, out);
        let relay = is_relayed.then_some(relay);
        for text in relay.into_iter().chain([user, host, cluster, job]) {
            put_text(out, text);
        }
        self.count.write(out);
    }

    /// Takes one from the front; `None` where that is no whole tally.
    pub fn read(from: &mut &'a [u8]) -> Option<Self> {
        let (program, flags) = (decode_varint(from).ok()?, decode_varint(from).ok()?);
        let (is_claimed, day) = (flags & 1 == 1, u16::try_from((flags & !RELAYED) >> 1).ok()?);
        let relay = if flags & RELAYED == 0 { &[] } else { take_text(from)? };
        let [user, host, cluster, job] =
            [take_text(from)?, take_text(from)?, take_text(from)?, take_text(from)?];
        let row = RowKey { program, user, is_claimed, relay, day, host, cluster, job };
        Some(Tally { row, count: Count::read(from, is_claimed)? })
    }

    /// Takes one as servers wrote it before rows named all at once: nobody knows what was proved.
    pub fn read_old(from: &mut &'a [u8]) -> Option<Self> {
        let program = decode_varint(from).ok()?;
        let [user, host, job] = [take_text(from)?, take_text(from)?, take_text(from)?];
        let count = Count::read(from, true)?;
        let day = day_number(count.last_ns);
        let row = RowKey { program, user, is_claimed: true, relay: b"", day, host, cluster: b"", job };
        Some(Tally { row, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_was_written_and_no_cut_of_it_is() {
        let count = Count { processes: 300, later: 0, claimed: 300, first_ns: -5, last_ns: 7_000_000_000 };
        let row = RowKey {
            program: 70_000,
            user: b"alice",
            is_claimed: true,
            relay: b"",
            day: 20_000,
            host: b"",
            cluster: b"alpha",
            job: b"4711",
        };
        let relayed = RowKey { is_claimed: false, relay: b"rack1", day: u16::MAX, ..row };
        let of_relay = Tally { row: relayed, count: Count { claimed: 0, ..count } };
        for tally in [Tally { row, count }, of_relay] {
            let mut bytes = Vec::new();
            tally.write(&mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((Tally::read(&mut rest), rest.len()), (Some(tally), 0));
            for cut in 0..bytes.len() {
                assert_eq!(Tally::read(&mut &bytes[..cut]), None, "cut at {cut}");
            }
        }
    }
}
