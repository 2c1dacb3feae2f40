//! A sketch, and its bytes.

use crate::{
    elf::{Elf, ElfBytes, NotElf},
    go, hash,
    minima::{MINIMA_MAX, Minima},
    symbols, texts,
};

/// The version of the format, its first byte.
const VERSION: u8 = 1;

/// Fewest hashes of a kind that say something.
const EVIDENCE_MIN: usize = 40;

/// Longest sketch, in bytes.
pub const ENCODED_MAX: usize = 1 + 2 * (2 + 4 * MINIMA_MAX);

/// The kinds of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Names of functions and variables.
    Symbols,
    /// Messages and other texts.
    Texts,
}

impl Evidence {
    /// All kinds, in the order of the format.
    pub const ALL: [Evidence; 2] = [Evidence::Symbols, Evidence::Texts];
}

/// A sketch: the smallest hashes of the names of a file, and of its texts. What is too little to
/// say something is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch([Minima; 2]);

impl Sketch {
    /// Makes the sketch of a file; `None` where it has too little that is its own.
    pub fn of_file(file: &dyn ElfBytes) -> Result<Option<Self>, NotElf> {
        let elf = Elf::parse(file)?;
        let mut sketch = Sketch::default();
        if !elf.is_linked {
            return Err(NotElf);
        }
        let [names, all_texts] = &mut sketch.0;
        add_names(&elf, &mut |hash| names.add(hash));
        texts::add(&elf, &mut |hash| all_texts.add(hash));
        sketch
            .0
            .iter_mut()
            .filter(|minima| minima.hashes().len() < EVIDENCE_MIN)
            .for_each(|minima| *minima = Minima::default());
        Ok((sketch != Sketch::default()).then_some(sketch))
    }

    /// All hashes of a file, or of an object of an archive, of both kinds.
    pub fn all_hashes(file: &dyn ElfBytes) -> Result<Vec<hash::Hash>, NotElf> {
        let elf = Elf::parse(file)?;
        let mut hashes = Vec::new();
        add_names(&elf, &mut |hash| hashes.push(hash));
        texts::add(&elf, &mut |hash| hashes.push(hash));
        Ok(hashes)
    }

    /// The hashes of one kind.
    pub fn minima(&self, kind: Evidence) -> &Minima {
        &self.0[kind as usize]
    }

    /// Its bytes: the version; of each kind the number of hashes, and the hashes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for minima in &self.0 {
            bytes.extend((minima.hashes().len() as u16).to_be_bytes());
            bytes.extend(minima.hashes().iter().flat_map(|hash| hash.to_be_bytes()));
        }
        bytes
    }

    /// Reads its bytes; `None` for anything else, and for another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let mut sketch = Sketch::default();
        for minima in &mut sketch.0 {
            let (count, behind) = rest.split_first_chunk::<2>()?;
            let (hashes, behind) = behind.split_at_checked(4 * usize::from(u16::from_be_bytes(*count)))?;
            let (hashes, _) = hashes.as_chunks::<4>();
            *minima =
                Minima::from_hashes(hashes.iter().map(|hash| hash::Hash::from_be_bytes(*hash)).collect())?;
            rest = behind;
        }
        (rest.is_empty() && sketch != Sketch::default()).then_some(sketch)
    }
}

/// Adds the names of a file. What a program of Go has beside its own table comes and goes.
fn add_names(elf: &Elf<'_>, into: &mut dyn FnMut(hash::Hash)) {
    if !go::add_functions(elf, into) {
        symbols::add(elf, into);
    }
}
