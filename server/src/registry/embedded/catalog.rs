//! Two dense tables by build number: each build's signature, and which builds were linked into
//! others.
//!
//! Both are stored in blocks, so that a walk over millions of builds reads only thousands of
//! values. The block of signatures that still grows is in memory, and is written again as it grows.
//! The whole second table is in memory, a bit for each build.

use super::Number;
use crate::{
    database::{RegistryStore, Writes, number},
    registry::error::Result,
};
use ogrt_note::Signature;
use std::collections::BTreeSet;

/// Signatures in one block.
const BLOCK: u64 = 64;

/// Bytes of a signature.
const LEN: usize = 16;

/// Bits in one block.
const BITS: u64 = 4096;

/// Number -> signature; zeros where the build was deleted.
pub struct Catalog {
    /// The block that grows.
    block: Number,
    signatures: Vec<u8>,
    /// Blocks that became full and are not written yet.
    full: Vec<(Number, Vec<u8>)>,
}

impl Catalog {
    /// Goes on where the last block ends.
    pub fn open(store: &RegistryStore) -> Result<Self> {
        let (block, signatures) = match store.catalog.last_key_value() {
            Some(last) => {
                let (key, value) = last.into_inner()?;
                (number(&key), value.to_vec())
            }
            None => (0, Vec::new()),
        };
        let mut catalog = Catalog { block, signatures, full: Vec::new() };
        catalog.begin_block_if_full();
        catalog.full.clear();
        Ok(catalog)
    }

    /// The number of the next build.
    pub fn next(&self) -> Number {
        self.block * BLOCK + (self.signatures.len() / LEN) as u64
    }

    /// Adds the build with the next number.
    pub fn add(&mut self, number: Number, signature: Signature) {
        debug_assert_eq!(number, self.next());
        self.signatures.extend_from_slice(signature.as_bytes());
        self.begin_block_if_full();
    }

    fn begin_block_if_full(&mut self) {
        if self.signatures.len() as u64 >= BLOCK * LEN as u64 {
            self.full.push((self.block, std::mem::take(&mut self.signatures)));
            self.block += 1;
        }
    }

    /// Adds to `writes` what was added since the last call.
    pub fn write(&mut self, store: &RegistryStore, writes: &mut Writes) {
        for (block, signatures) in self.full.drain(..) {
            writes.insert(&store.catalog, block.to_be_bytes(), signatures);
        }
        if !self.signatures.is_empty() {
            writes.insert(&store.catalog, self.block.to_be_bytes(), self.signatures.as_slice());
        }
    }

    /// Blanks the signature of a build that is deleted.
    pub fn remove(&mut self, store: &RegistryStore, writes: &mut Writes, gone: Number) -> Result<()> {
        let at = (gone % BLOCK) as usize * LEN;
        if gone / BLOCK == self.block {
            self.signatures[at..at + LEN].fill(0);
            writes.insert(&store.catalog, self.block.to_be_bytes(), self.signatures.as_slice());
        } else if let Some(block) = store.catalog.get((gone / BLOCK).to_be_bytes())? {
            let mut block = block.to_vec();
            block[at..at + LEN].fill(0);
            writes.insert(&store.catalog, (gone / BLOCK).to_be_bytes(), block);
        }
        Ok(())
    }
}

/// Reads the signatures of builds. Neighbours share a block that is read once, so ask in an order
/// that does not jump.
pub struct Signatures<'a> {
    store: &'a RegistryStore,
    block: Option<(Number, fjall::Slice)>,
}

impl<'a> Signatures<'a> {
    pub fn of(store: &'a RegistryStore) -> Self {
        Signatures { store, block: None }
    }

    /// The signature of a build; `None` where it was deleted.
    pub fn get(&mut self, number: Number) -> Result<Option<Signature>> {
        let wanted = number / BLOCK;
        if self.block.as_ref().is_none_or(|(block, _)| *block != wanted) {
            self.block = self.store.catalog.get(wanted.to_be_bytes())?.map(|value| (wanted, value));
        }
        let Some((_, signatures)) = &self.block else { return Ok(None) };
        let at = (number % BLOCK) as usize * LEN;
        let bytes = signatures.get(at..at + LEN).filter(|bytes| bytes.iter().any(|byte| *byte != 0));
        Ok(bytes.and_then(Signature::from_slice))
    }
}

/// Builds that were linked into other registered builds.
#[derive(Default)]
pub struct Libraries {
    bits: Vec<u64>,
}

impl Libraries {
    /// Reads them from the database.
    pub fn open(store: &RegistryStore) -> Result<Self> {
        let mut libraries = Libraries::default();
        for block in store.libraries.iter() {
            let (key, value) = block.into_inner()?;
            let from = (number(&key) * BITS / 64) as usize;
            libraries.bits.resize(from, 0);
            libraries.bits.extend(value.chunks_exact(8).map(number));
        }
        Ok(libraries)
    }

    pub fn contains(&self, number: Number) -> bool {
        self.bits.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds builds, here and to `writes`.
    pub fn add(&mut self, store: &RegistryStore, writes: &mut Writes, numbers: &[Number]) {
        let mut changed = BTreeSet::new();
        for number in numbers.iter().filter(|number| !self.contains(**number)).collect::<Vec<_>>() {
            let words = ((number / BITS + 1) * BITS / 64) as usize;
            if self.bits.len() < words {
                self.bits.resize(words, 0);
            }
            self.bits[(number / 64) as usize] |= 1 << (number % 64);
            changed.insert(number / BITS);
        }
        self.write(store, writes, changed);
    }

    /// Takes a build out, here and with `writes`.
    pub fn remove(&mut self, store: &RegistryStore, writes: &mut Writes, gone: Number) {
        if self.contains(gone) {
            self.bits[(gone / 64) as usize] &= !(1 << (gone % 64));
            self.write(store, writes, BTreeSet::from([gone / BITS]));
        }
    }

    fn write(&self, store: &RegistryStore, writes: &mut Writes, blocks: BTreeSet<u64>) {
        for block in blocks {
            let from = (block * BITS / 64) as usize;
            let words = &self.bits[from..from + (BITS / 64) as usize];
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            writes.insert(&store.libraries, block.to_be_bytes(), bytes);
        }
    }
}
