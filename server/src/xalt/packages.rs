//! Packages that programs used, by their run: XALT writes a record for each.

use super::{
    findings::{Findings, Trouble, Unusable},
    json::{Object, text},
};
use ogrt_proto::Package;
use std::collections::{BTreeSet, HashMap};

/// Packages of all runs together, in memory.
const USES_MAX: usize = 20_000_000;

/// Packages of one run.
const OF_RUN_MAX: usize = 4096;

/// Texts of a package.
const NAME_MAX: usize = 256;

/// Fields that have a place, or that say nothing.
const PLACED: [&str; 5] = ["crc", "program", "xalt_run_uuid", "package_name", "package_version"];

/// See the module.
#[derive(Default)]
pub struct PackageTable {
    /// Each distinct package, and its number.
    packages: Vec<Package>,
    numbers: HashMap<[String; 3], u32>,
    of_run: HashMap<[u8; 16], BTreeSet<u32>>,
    uses: usize,
}

impl PackageTable {
    /// Adds a record.
    pub fn add(&mut self, json: &Object, findings: &mut Findings) -> Result<(), Trouble> {
        let run = text(json, "xalt_run_uuid").and_then(run_id).ok_or(Unusable::NotXalt)?;
        let part = |key: &str| text(json, key).unwrap_or_default().chars().take(NAME_MAX).collect::<String>();
        let names = [language(&part("program")).to_owned(), part("package_name"), part("package_version")];
        if names[0].is_empty() || names[1].is_empty() {
            return Err(Unusable::NotXalt.into());
        }
        json.keys().filter(|key| !PLACED.contains(&key.as_str())).for_each(|key| findings.unplaced(key));
        if self.uses >= USES_MAX {
            return Err(Unusable::TooManyPackages.into());
        }
        let number = match self.numbers.get(&names) {
            Some(number) => *number,
            None => {
                let [language, name, version] = names.clone();
                let version = Some(version).filter(|version| !version.is_empty());
                let language = Some(language);
                self.packages.push(Package { language, name: Some(name.into()), version, claimed: None });
                self.numbers.insert(names, self.packages.len() as u32 - 1);
                self.packages.len() as u32 - 1
            }
        };
        let of_run = self.of_run.entry(run).or_default();
        if of_run.len() >= OF_RUN_MAX {
            return Err(Unusable::TooManyPackages.into());
        }
        self.uses += usize::from(of_run.insert(number));
        Ok(())
    }

    /// The packages of a run.
    pub fn of(&self, run: &[u8; 16]) -> Vec<Package> {
        let numbers = self.of_run.get(run).into_iter().flatten();
        numbers.filter_map(|number| self.packages.get(*number as usize).cloned()).collect()
    }
}

/// The language, as OGRT writes it.
fn language(program: &str) -> &str {
    match program.to_ascii_lowercase().as_str() {
        "python" | "python2" | "python3" => "Python",
        "r" => "R",
        "matlab" => "MATLAB",
        _ => program,
    }
}

/// The id of a run.
pub fn run_id(text: &str) -> Option<[u8; 16]> {
    Some(*uuid::Uuid::parse_str(text.get(..36)?).ok()?.as_bytes())
}
