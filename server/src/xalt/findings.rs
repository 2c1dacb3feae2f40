//! What an import has found: records that were sent, those that cannot be used, and fields that
//! OGRT has no place for.

use ogrt_proto::{ProcessEnd, ProcessInfo, printable::one_line};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Files that are named for each reason.
const NAMED_MAX: usize = 5;

/// Names of fields that are counted apart; further ones are counted together.
const FIELDS_MAX: usize = 200;

/// Runs whose two records are told apart in the count. Beyond, a run may be counted twice.
const RUNS_MAX: usize = 20_000_000;

/// Why a record is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unusable {
    #[error("cannot be read")]
    Unreadable,
    #[error("no regular file")]
    Irregular,
    #[error("too large")]
    TooLarge,
    #[error("not JSON")]
    NotJson,
    #[error("fields of XALT are missing, or have impossible values")]
    NotXalt,
    #[error("lines are missing in the syslog")]
    Incomplete,
    #[error("more packages than there is room for: import one file or folder at a time")]
    TooManyPackages,
    #[error("too many folders in each other")]
    TooDeep,
}

/// Why an import goes on without a record, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The record is left out.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The server takes nothing more.
    #[error(transparent)]
    Server(#[from] anyhow::Error),
}

#[derive(Default)]
struct NamedFiles {
    count: u64,
    first: Vec<String>,
}

/// See the module.
#[derive(Default)]
pub struct Findings {
    pub builds: u64,
    runs: BTreeSet<[u8; 16]>,
    start_records: u64,
    end_records: u64,
    runs_with_packages: u64,
    /// Records with another probability than 1.
    samples: u64,
    /// Runs of several ranks, of which XALT records one.
    launches: u64,
    outside: u64,
    unusable: BTreeMap<Unusable, NamedFiles>,
    /// The number of records that have a field for which OGRT has no place.
    unplaced: BTreeMap<String, u64>,
}

impl Findings {
    /// Counts a record that is left out.
    pub fn leave_out(&mut self, why: Unusable, what: &str) {
        let files = self.unusable.entry(why).or_default();
        files.count += 1;
        if files.first.len() < NAMED_MAX {
            files.first.push(what.to_owned());
        }
    }

    /// Counts a field that has no place, of one record.
    pub fn unplaced(&mut self, field: &str) {
        let name = match self.unplaced.contains_key(field) || self.unplaced.len() < FIELDS_MAX {
            true => field.chars().take(64).collect(),
            false => "further fields".to_owned(),
        };
        *self.unplaced.entry(name).or_default() += 1;
    }

    /// True if the time is in the period; else the record is counted as outside of it.
    pub fn is_in(&mut self, period_ns: &Range<i64>, time_ns: i64) -> bool {
        let is_in = period_ns.contains(&time_ns);
        self.outside += u64::from(!is_in);
        is_in
    }

    /// Counts the record of a run.
    pub fn count(&mut self, start: &ProcessInfo, end: Option<&ProcessEnd>) {
        match end {
            None => self.start_records += 1,
            Some(end) => {
                self.end_records += 1;
                self.runs_with_packages += u64::from(!end.packages.is_empty());
            }
        }
        if self.runs.len() < RUNS_MAX
            && let Ok(id) = start.event_id().try_into()
            && !self.runs.insert(id)
        {
            return;
        }
        self.samples += u64::from(start.sampled_ppm.is_some());
        self.launches += u64::from(start.mpi_size() > 1);
    }

    /// What has become of all, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |indent: &str, what: String| text.extend([indent, &what, "\n"]);
        let Findings { builds, start_records, end_records, .. } = self;
        line("", format!("{} runs, of {start_records} start and {end_records} end records", self.runs.len()));
        line("", format!("{builds} builds"));
        line("", format!("{} runs with packages", self.runs_with_packages));
        if self.launches > 0 {
            let launches = self.launches;
            line("", format!("{launches} runs stand for several ranks: XALT records rank 0 alone"));
        }
        if self.samples > 0 {
            line(
                "",
                format!(
                    "{} runs are a sample (sampled_ppm): XALT did not record all that are like them",
                    self.samples
                ),
            );
        }
        if self.outside > 0 {
            line("", format!("{} records are outside of the period", self.outside));
        }
        for (why, files) in &self.unusable {
            let more = if files.count > files.first.len() as u64 { " ..." } else { "" };
            line("left out: ", format!("{} records or folders ({why}){more}", files.count));
            files.first.iter().for_each(|file| line("    ", one_line(file).to_string()));
        }
        if !self.unplaced.is_empty() {
            line("", "not carried over, since OGRT has no place for it:".to_owned());
        }
        for (field, records) in &self.unplaced {
            line("    ", format!("{records} x {}", one_line(field)));
        }
        text
    }
}
