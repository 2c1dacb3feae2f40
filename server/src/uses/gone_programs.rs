//! Programs that were removed, for counts that are made again: sums still name them.

use super::{ProgramNumber, program::Program};
use crate::{
    database::{SumsStore, number},
    start_digest::{self, StartDigest},
    sums,
};
use std::collections::HashMap;

/// See the module.
pub struct GonePrograms {
    /// The bytes of what is left of a program: all but what it had loaded.
    names: HashMap<Vec<u8>, ProgramNumber>,
    /// Those that were found by a start with this digest.
    starts: HashMap<StartDigest, ProgramNumber>,
    /// Nothing new is to be written.
    pub is_trial: bool,
}

impl GonePrograms {
    /// Reads those that sums name. Of several with one name, the first one counts.
    pub fn open(sums: &SumsStore, is_trial: bool) -> fjall::Result<Self> {
        let mut names = HashMap::new();
        for entry in sums.programs.iter() {
            let program = number(&entry.key()?);
            if let Some(name) = sums::kept_name(sums, program)? {
                names.entry(name).or_insert(program);
            }
        }
        Ok(GonePrograms { names, starts: HashMap::new(), is_trial })
    }

    /// Tells that there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number that a program had.
    pub fn find(&mut self, program: Program, start: Option<&[u8]>) -> Option<ProgramNumber> {
        let named = Program { libraries: Vec::new(), objects: Vec::new(), ..program };
        let found = self.names.get(&named.bytes()).copied()?;
        if let Some(start) = start {
            self.starts.insert(start_digest::of_program(start), found);
        }
        Some(found)
    }

    /// The program that was found by a start with this digest.
    pub fn of_start(&self, digest: &StartDigest) -> Option<ProgramNumber> {
        self.starts.get(digest).copied()
    }
}
