//! Records that XALT sent by syslog: each is cut into blocks, a line for each.
//!
//! ```text
//! ... XALT_LOGGING_SYSTEM: V:4 kind:run syshost:SYSTEM key:run_fini_UUID crcStr:0x1234 nb:02 idx:00 value:{...
//! ```
//! Version 2 compresses the whole and writes it in base64; versions 3 and 4 write the JSON as it
//! is. Lines of version 1 have no `V:`, and the whole record in base64 or plain. Lines of several
//! records stand between each other, so what is not yet whole is kept, within a bound. A syslog
//! drops blanks at the end of a line: all blocks but the last are of one length.

use super::{
    findings::{Findings, Unusable},
    record_file::{RECORD_MAX, RecordKind, open},
};
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::ZlibDecoder;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// What stands in each line.
const LABEL: &[u8] = b"XALT_LOGGING_";

/// Longest line; of a longer one the rest is passed over.
const LINE_MAX: u64 = 16 << 20;

/// Blocks of one record.
const BLOCKS_MAX: usize = 65_536;

/// Bytes of all records that are not whole.
const PARTS_BYTES_MAX: usize = 256 << 20;

/// What a block costs beside its bytes.
const BLOCK_COST: usize = 32;

/// Whatever takes the text of a record.
type TakeText<'a> = dyn FnMut(&str, &[u8], &mut Findings) -> Result<()> + 'a;

/// A record of which some blocks are there.
struct Parts {
    version: u32,
    blocks: Vec<Option<Vec<u8>>>,
    missing: usize,
}

/// The records of a syslog, whose files may be rotated in the middle of a record.
#[derive(Default)]
pub struct SyslogRecords {
    parts: BTreeMap<Vec<u8>, Parts>,
    bytes: usize,
}

impl SyslogRecords {
    /// Hands over the text of each record of this kind that is whole with this file.
    pub fn each(
        &mut self,
        path: &Path,
        kind: RecordKind,
        findings: &mut Findings,
        with: &mut TakeText<'_>,
    ) -> Result<()> {
        let name = path.to_string_lossy();
        let file = match open(&path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
            Ok(file) => file,
            Err(why) => {
                findings.leave_out(why, &name);
                return Ok(());
            }
        };
        let (mut file, mut line) = (BufReader::new(file), Vec::new());
        for number in 1u64.. {
            line.clear();
            match (&mut file).take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => {
                    findings.leave_out(Unusable::Unreadable, &name);
                    break;
                }
            }
            let Some(block) = Block::read(&line, kind) else { continue };
            if self.bytes > PARTS_BYTES_MAX {
                self.give_up(findings);
            }
            let text = match self.add(block) {
                Ok(None) => continue,
                Ok(Some(whole)) => whole.text(),
                Err(why) => Err(why),
            };
            let what = format!("{name}, line {number}");
            match text {
                Ok(text) => with(&what, &text, findings)?,
                Err(why) => findings.leave_out(why, &what),
            }
        }
        Ok(())
    }

    /// Adds a block; the record where it is whole now.
    fn add(&mut self, block: Block<'_>) -> Result<Option<Parts>, Unusable> {
        let Block { version, key, count, index, value } = block;
        if count > BLOCKS_MAX || index >= count {
            return Err(Unusable::NotXalt);
        }
        if count == 1 {
            return Ok(Some(Parts { version, blocks: vec![Some(value.to_vec())], missing: 0 }));
        }
        let record = self.parts.entry(key.clone()).or_insert_with(|| {
            self.bytes += count * BLOCK_COST;
            Parts { version, blocks: vec![None; count], missing: count }
        });
        if let Some(place @ None) = record.blocks.get_mut(index) {
            self.bytes += value.len();
            *place = Some(value.to_vec());
            record.missing -= 1;
        }
        if record.missing > 0 {
            return Ok(None);
        }
        let whole = self.parts.remove(&key);
        self.bytes = self.bytes.saturating_sub(whole.as_ref().map_or(0, Parts::cost));
        Ok(whole)
    }

    /// Leaves out all that is not whole.
    pub fn give_up(&mut self, findings: &mut Findings) {
        for key in std::mem::take(&mut self.parts).into_keys() {
            findings.leave_out(Unusable::Incomplete, &String::from_utf8_lossy(&key));
        }
        self.bytes = 0;
    }
}

/// A line.
struct Block<'a> {
    version: u32,
    key: Vec<u8>,
    count: usize,
    index: usize,
    value: &'a [u8],
}

impl<'a> Block<'a> {
    /// Reads a line; `None` where it is not one of a record of this kind.
    fn read(line: &'a [u8], kind: RecordKind) -> Option<Self> {
        let at = find(line, LABEL)?;
        let line = line[at + LABEL.len()..].trim_ascii_end();
        let Some(value_at) = find(line, b" value:").filter(|_| find(line, b" V:").is_some()) else {
            let label = [b" ", kind.text().as_bytes(), b":"].concat();
            let value = &line[find(line, &label)? + label.len()..];
            return Some(Block { version: 1, key: Vec::new(), count: 1, index: 0, value });
        };
        let (head, value) = (str::from_utf8(&line[..value_at]).ok()?, &line[value_at + 7..]);
        let words: BTreeMap<&str, &str> =
            head.split_ascii_whitespace().filter_map(|word| word.split_once(':')).collect();
        let number = |key: &str| words.get(key)?.parse().ok();
        let text = |key: &str| words.get(key).copied();
        if text("kind")? != kind.text() {
            return None;
        }
        let crc = text("crcStr").or_else(|| text("crc")).unwrap_or_default();
        Some(Block {
            version: number("V")? as u32,
            key: format!("{} {crc}", text("key")?).into_bytes(),
            count: number("nb").filter(|count| *count > 0)?,
            index: number("idx")?,
            value,
        })
    }
}

impl Parts {
    fn cost(&self) -> usize {
        let len = |block: &Option<Vec<u8>>| block.as_ref().map_or(0, Vec::len) + BLOCK_COST;
        self.blocks.iter().map(len).sum()
    }

    /// The JSON.
    fn text(self) -> Result<Vec<u8>, Unusable> {
        let last = self.blocks.len() - 1;
        let mut blocks: Vec<Vec<u8>> = self.blocks.into_iter().map(Option::unwrap_or_default).collect();
        let len = blocks[..last].iter().map(Vec::len).max().unwrap_or(0);
        if (len as u64).saturating_mul(last as u64) > RECORD_MAX {
            return Err(Unusable::TooLarge);
        }
        blocks[..last].iter_mut().for_each(|block| block.resize(len, b' '));
        let text = blocks.concat();
        let is_plain = text.trim_ascii_start().starts_with(b"{");
        if text.len() as u64 > RECORD_MAX {
            return Err(Unusable::TooLarge);
        }
        if is_plain || self.version > 2 {
            return Ok(text);
        }
        let packed: Vec<u8> = text.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let bytes = STANDARD.decode(packed).map_err(|_| Unusable::NotJson)?;
        if self.version < 2 {
            return Ok(bytes);
        }
        let mut text = Vec::new();
        ZlibDecoder::new(&bytes[..])
            .take(RECORD_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|_| Unusable::NotJson)?;
        if text.len() as u64 > RECORD_MAX { Err(Unusable::TooLarge) } else { Ok(text) }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
