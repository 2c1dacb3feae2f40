//! What the sets of rows are found by, and those that were found.

use super::{keys::ReportKey, number_hash::NumberMap};
use crate::sums::SumKey;
use ogrt_note::Signature;
use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

/// The number of a text.
pub type Name = u32;

/// What the sets of a row are found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetKeys {
    pub program: u64,
    /// The program that tells what was loaded after the start.
    pub later: Option<u64>,
    /// That is only claimed.
    pub is_later_claimed: bool,
    pub modules: u64,
    pub started: u64,
    pub is_partial: bool,
}

impl SetKeys {
    /// Those of a row.
    pub fn of(row: &SumKey<'_>) -> Self {
        let SumKey { program, modules, started, is_partial, .. } = *row;
        let (later, is_later_claimed) = (row.later_program(), row.is_later_claimed());
        SetKeys { program, later, is_later_claimed, modules, started, is_partial }
    }
}

/// The sets that were looked up.
#[derive(Default)]
pub struct RowSets {
    /// The values of a row's key.
    pub known: NumberMap<(SetKeys, ReportKey), Rc<[Name]>>,
    /// True of those of which something is not known that this report asks for.
    pub lacking: NumberMap<SetKeys, bool>,
    /// What each program had loaded; `None` of one that is gone.
    pub loaded: HashMap<u64, Option<Rc<Loaded>>>,
    /// The registered builds of libraries: the file's name without its version, and the software.
    pub builds: HashMap<Signature, Option<(Vec<u8>, String)>>,
}

/// What a program had loaded.
pub struct Loaded {
    pub libraries: BTreeSet<Name>,
    pub packages: BTreeSet<Name>,
}
