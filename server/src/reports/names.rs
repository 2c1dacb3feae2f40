//! The values of a row's keys, as numbers: each text stands here once.

use super::{
    keys::{KEYS_MAX, ReportKey},
    number_hash::NumberMap,
    row_sets::{Name, RowSets, SetKeys},
};
use crate::{
    dates, job_name,
    learned::SoftwareNames,
    registry::Registry,
    sums::{SumKey, UNKNOWN_PROGRAM},
    uses::{Uses, UsesError},
};
use std::collections::HashMap;

/// The values of a line.
pub type Line = [Name; KEYS_MAX];

/// What a row has for each key.
#[derive(Clone, Copy, Default)]
pub struct RowNames {
    program: ProgramNames,
    pub user: Name,
    pub account: Name,
    partition: Name,
    cluster: Name,
    /// The host, of rows that have one.
    pub host: Name,
    day: Name,
    week: Name,
    month: Name,
    /// The numbers by which its libraries, packages and modules are found.
    pub sets: SetKeys,
}

/// What a program is called.
#[derive(Clone, Copy, Default)]
struct ProgramNames {
    software: Name,
    version: Name,
    path: Name,
    /// The software; where nothing names that, the name of the file.
    executable: Name,
    compiler: Name,
    installed_package: Name,
    known_by: Name,
    is_registered: bool,
}

/// See the module.
pub struct Names<'a> {
    pub(super) uses: &'a Uses,
    pub(super) registry: &'a dyn Registry,
    pub(super) software: &'a SoftwareNames,
    numbers: HashMap<String, Name>,
    texts: Vec<String>,
    programs: NumberMap<u64, ProgramNames>,
    pub(super) sets: RowSets,
    days: NumberMap<(u16, bool), [Name; 3]>,
    /// Names as they stand in keys, of users, accounts and partitions; and of clusters.
    raw: [HashMap<Vec<u8>, Name>; 2],
}

impl<'a> Names<'a> {
    /// Knows the empty text alone.
    pub fn new(uses: &'a Uses, registry: &'a dyn Registry, software: &'a SoftwareNames) -> Self {
        let mut names = Names {
            uses,
            registry,
            software,
            numbers: HashMap::new(),
            texts: Vec::new(),
            programs: NumberMap::default(),
            sets: RowSets::default(),
            days: NumberMap::default(),
            raw: Default::default(),
        };
        names.number(String::new());
        names
    }

    pub(super) fn number(&mut self, text: String) -> Name {
        if let Some(known) = self.numbers.get(&text) {
            return *known;
        }
        let number = self.texts.len() as Name;
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The number of a name as it stands in keys.
    pub fn raw(&mut self, bytes: &[u8]) -> Name {
        if let Some(known) = self.raw[0].get(bytes) {
            return *known;
        }
        let name = self.number(String::from_utf8_lossy(bytes).into_owned());
        self.raw[0].insert(bytes.to_vec(), name);
        name
    }

    fn cluster(&mut self, key: &[u8]) -> Name {
        if let Some(known) = self.raw[1].get(key) {
            return *known;
        }
        let name = self.number(job_name::of_cluster(key).into_owned());
        self.raw[1].insert(key.to_vec(), name);
        name
    }

    /// The names of a row: of a day, or of a month, whose days and weeks are no more told apart.
    pub fn of(&mut self, row: &SumKey<'_>, is_month: bool) -> Result<RowNames, UsesError> {
        let program = match self.programs.get(&row.program) {
            Some(known) => *known,
            None => {
                let names = self.program(row.program)?;
                self.programs.insert(row.program, names);
                names
            }
        };
        let [day, week, month] = match self.days.get(&(row.day, is_month)) {
            Some(known) => *known,
            None => {
                let month = dates::month(row.day);
                let texts = match is_month {
                    true => [month.clone(), month.clone(), month],
                    false => [dates::date(row.day), dates::week(row.day), month],
                };
                let names = texts.map(|text| self.number(text));
                self.days.insert((row.day, is_month), names);
                names
            }
        };
        Ok(RowNames {
            program,
            user: self.raw(row.user),
            account: self.raw(row.account),
            partition: self.raw(row.partition),
            cluster: self.cluster(row.cluster),
            host: 0,
            day,
            week,
            month,
            sets: SetKeys::of(row),
        })
    }

    /// A program is called as the build of its executable that is registered; a build without a
    /// name has that of its file. Else it is called as what is known of its file.
    fn program(&mut self, number: u64) -> Result<ProgramNames, UsesError> {
        if number == UNKNOWN_PROGRAM {
            return Ok(ProgramNames::default());
        }
        let Some(program) = self.uses.named_program(number)? else { return Ok(ProgramNames::default()) };
        let path = String::from_utf8_lossy(&program.path).into_owned();
        let file_name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut names = ProgramNames {
            path: self.number(path),
            executable: self.number(file_name.clone()),
            ..ProgramNames::default()
        };
        for signature in &program.executable {
            let Some(build) = self.registry.summary(*signature)? else { continue };
            let metadata = build.metadata;
            let software = metadata.name.filter(|name| !name.is_empty()).unwrap_or(file_name);
            names.software = self.number(software);
            names.executable = names.software;
            names.version = self.number(metadata.version.unwrap_or_default());
            names.compiler = self.number(metadata.compiler.unwrap_or_default());
            names.known_by = self.number("signature".to_owned());
            names.is_registered = true;
            return Ok(names);
        }
        if let Some(known) = self.software.name(&program.build_id, &program.path)? {
            names.software = self.number(known.software);
            names.executable = names.software;
            names.version = self.number(known.version);
            names.installed_package = self.number(known.package);
            names.known_by = self.number(known.known_by.text().to_owned());
        }
        Ok(names)
    }

    fn name(&self, row: &RowNames, key: ReportKey) -> Name {
        match key {
            ReportKey::Software => row.program.software,
            ReportKey::Version => row.program.version,
            ReportKey::Program => row.program.path,
            ReportKey::Executable => row.program.executable,
            ReportKey::Compiler => row.program.compiler,
            ReportKey::InstalledPackage => row.program.installed_package,
            ReportKey::KnownBy => row.program.known_by,
            ReportKey::User => row.user,
            ReportKey::Account => row.account,
            ReportKey::Partition => row.partition,
            ReportKey::Cluster => row.cluster,
            ReportKey::Host => row.host,
            ReportKey::Day => row.day,
            ReportKey::Week => row.week,
            ReportKey::Month => row.month,
            // A row has several: its line is told by status in the end.
            ReportKey::Status => 0,
            // Looked up by themselves.
            ReportKey::Library | ReportKey::Module | ReportKey::Package => 0,
        }
    }

    /// The build of the row's program is registered.
    pub fn is_registered(&self, row: &RowNames) -> bool {
        row.program.is_registered
    }

    /// The row has this text for the key.
    pub fn fits(&mut self, row: &RowNames, key: ReportKey, text: &str) -> Result<bool, UsesError> {
        let is = |name: &Name| self.texts.get(*name as usize).is_some_and(|name| name == text);
        if !key.is_set() {
            return Ok(is(&self.name(row, key)));
        }
        let values = self.values(row, key)?;
        let is = |name: &Name| self.texts.get(*name as usize).is_some_and(|name| name == text);
        Ok(values.iter().any(is))
    }

    /// The line that a row counts in by keys of which it has one value.
    pub fn line(&self, row: &RowNames, by: &[ReportKey]) -> Line {
        let mut line = [0; KEYS_MAX];
        line.iter_mut().zip(by).for_each(|(name, key)| *name = self.name(row, *key));
        line
    }

    /// The lines that a row counts in: one for each combination of its values.
    pub fn lines(&mut self, row: &RowNames, by: &[ReportKey]) -> Result<Vec<Line>, UsesError> {
        let mut lines = vec![self.line(row, by)];
        for (place, key) in by.iter().enumerate().filter(|(_, key)| key.is_set()) {
            let values = self.values(row, *key)?;
            let with = |line: Line, value: Name| {
                let mut with = line;
                with[place] = value;
                with
            };
            lines = lines
                .into_iter()
                .flat_map(|line| values.iter().map(move |value| with(line, *value)))
                .collect();
        }
        Ok(lines)
    }

    /// The texts of a line.
    pub fn texts(&self, line: &Line, keys: usize) -> Vec<String> {
        let text = |name: &Name| self.texts.get(*name as usize).cloned().unwrap_or_default();
        line.iter().take(keys).map(text).collect()
    }
}
