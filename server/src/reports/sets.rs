//! What a row has several of: the libraries that its processes had loaded, the packages of
//! languages, the environment modules.

use super::{
    keys::ReportKey,
    names::{Names, RowNames},
    row_sets::{Loaded, Name, SetKeys},
};
use crate::{
    sums::digest_of,
    uses::{ObjectName, Program, UsesError, file_name},
};
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

impl Names<'_> {
    /// The row has one of these texts for each key.
    pub fn fit(&mut self, row: &RowNames, only: &[(ReportKey, String)]) -> Result<bool, UsesError> {
        for (key, text) in only {
            if !self.fits(row, *key, text)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// It is not known what the row has of these keys.
    pub fn lacks(&mut self, row: &RowNames, sets: &[ReportKey]) -> Result<bool, UsesError> {
        if sets.is_empty() {
            return Ok(false);
        }
        if let Some(known) = self.sets.lacking.get(&row.sets) {
            return Ok(*known);
        }
        let [modules, loaded] =
            [true, false].map(|modules| sets.iter().any(|key| (*key == ReportKey::Module) == modules));
        let lacks = row.sets.is_partial
            || (modules && self.module_names(row.sets.modules)?.is_none())
            || (loaded && self.loaded_at_start(&row.sets)?.is_none());
        self.sets.lacking.insert(row.sets, lacks);
        Ok(lacks)
    }

    /// The values that a row has of a key: the empty text where it has none. That a process has no
    /// package is known when it ends, and not when it starts, so there is no line of these.
    pub(super) fn values(&mut self, row: &RowNames, key: ReportKey) -> Result<Rc<[Name]>, UsesError> {
        if let Some(known) = self.sets.known.get(&(row.sets, key)) {
            return Ok(known.clone());
        }
        let mut values = BTreeSet::new();
        if key == ReportKey::Module {
            let names = self.module_names(row.sets.modules)?.unwrap_or_default();
            for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                values.insert(self.number(String::from_utf8_lossy(name).into_owned()));
            }
        } else {
            let at_start = self.loaded_at_start(&row.sets)?;
            let later = row.sets.later.map(|later| self.loaded(later)).transpose()?.flatten();
            for loaded in [at_start, later].into_iter().flatten() {
                values.extend(match key {
                    ReportKey::Package => &loaded.packages,
                    _ => &loaded.libraries,
                });
            }
        }
        if values.is_empty() && key != ReportKey::Package {
            values.insert(0);
        }
        let values: Rc<[Name]> = values.into_iter().collect();
        self.sets.known.insert((row.sets, key), values.clone());
        Ok(values)
    }

    /// The names of modules with this number; `None` where no start has told them.
    fn module_names(&self, number: u64) -> Result<Option<Vec<u8>>, UsesError> {
        match number {
            0 => Ok(Some(Vec::new())),
            _ => Ok(digest_of(self.uses.sums(), number)?.and_then(|(_, names)| names)),
        }
    }

    /// What a row's program had loaded at its start.
    fn loaded_at_start(&mut self, sets: &SetKeys) -> Result<Option<Rc<Loaded>>, UsesError> {
        if sets.started == 0 {
            return self.loaded(sets.program);
        }
        let Some((digest, _)) = digest_of(self.uses.sums(), sets.started)? else { return Ok(None) };
        match self.uses.program_of_start(&digest)? {
            Some(program) => self.loaded(program),
            None => Ok(None),
        }
    }

    fn loaded(&mut self, program: u64) -> Result<Option<Rc<Loaded>>, UsesError> {
        if let Some(known) = self.sets.loaded.get(&program) {
            return Ok(known.clone());
        }
        let read = match self.uses.program(program)? {
            Some(program) => Some(Rc::new(self.read_loaded(&program)?)),
            None => None,
        };
        self.sets.loaded.insert(program, read.clone());
        Ok(read)
    }

    /// A library is called as the build that is registered of it, else as what is learned of its
    /// file, else as the file.
    fn read_loaded(&mut self, program: &Program) -> Result<Loaded, UsesError> {
        let (mut libraries, mut packages) = (BTreeSet::new(), BTreeSet::new());
        let mut builds: HashMap<Vec<u8>, String> = HashMap::new();
        for signature in &program.libraries {
            builds.extend(self.library_build(*signature)?);
        }
        for object in &program.objects {
            let Some(bytes) = self.uses.object(*object)? else { continue };
            let Some(object) = ObjectName::read(&bytes) else { continue };
            if let Some((_, name)) = object.package() {
                packages.insert(self.number(String::from_utf8_lossy(name).into_owned()));
                continue;
            }
            if object.path == program.path && object.build_id == program.build_id {
                continue;
            }
            let file = file_name(object.path);
            let name = match builds.get(stem(file)) {
                Some(software) => software.clone(),
                None => match self.software.name(object.build_id, object.path)? {
                    Some(known) => known.software,
                    None => String::from_utf8_lossy(file).into_owned(),
                },
            };
            libraries.insert(self.number(name));
        }
        for software in builds.into_values() {
            libraries.insert(self.number(software));
        }
        Ok(Loaded { libraries, packages })
    }

    fn library_build(&mut self, signature: Signature) -> Result<Option<(Vec<u8>, String)>, UsesError> {
        if let Some(known) = self.sets.builds.get(&signature) {
            return Ok(known.clone());
        }
        let read = self.registry.build(signature)?.map(|build| {
            let record = BuildRecord::decode(build.record).unwrap_or_default();
            let output = record.output.unwrap_or_default();
            let file = file_name(output.path()).to_vec();
            let name = record.metadata.and_then(|metadata| metadata.name).filter(|name| !name.is_empty());
            (stem(&file).to_vec(), name.unwrap_or_else(|| String::from_utf8_lossy(&file).into_owned()))
        });
        self.sets.builds.insert(signature, read.clone());
        Ok(read)
    }
}

/// The name of a library's file without what follows `.so`.
fn stem(file: &[u8]) -> &[u8] {
    let end = file.windows(3).position(|window| window == b".so").map_or(file.len(), |begin| begin + 3);
    &file[..end]
}
