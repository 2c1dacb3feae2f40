//! What the site and the user have asked for by `OGRT_*` variables. docs/preload.md has the table
//! of their meanings.

use crate::{
    glob,
    process::Strings,
    variables::{Meaning, Variables},
};

/// The settings in force. Their text stays in the environment.
#[derive(Clone, Copy)]
pub struct Settings<'a>(&'a Variables);

/// Tells whether OGRT_ACTIVE is 1. In most processes nothing else is asked.
pub fn are_active(environment: Strings) -> bool {
    environment.variable(b"OGRT_ACTIVE") == Some(b"1")
}

impl<'a> Settings<'a> {
    /// The settings among the variables.
    pub fn new(variables: &'a Variables) -> Self {
        Settings(variables)
    }

    fn or(self, meaning: Meaning, default: &'static [u8]) -> &'static [u8] {
        match self.0.value(meaning) {
            b"" => default,
            value => value,
        }
    }

    /// OGRT_SERVER.
    pub fn server(self) -> &'static [u8] {
        self.or(Meaning::Server, b"127.0.0.1:7971")
    }

    /// OGRT_JOBID_VARS: names of variables. The first that is set counts.
    pub fn job_id_variables(self) -> &'static [u8] {
        self.or(Meaning::JobIdVariables, b"SLURM_JOB_ID:PBS_JOBID:LSB_JOBID:FLUX_JOB_ID:JOB_ID:JOBID")
    }

    /// OGRT_ENV: `none`, `all`, or names and globs.
    pub fn environment(self) -> &'static [u8] {
        self.0.value(Meaning::Environment)
    }

    /// OGRT_SKIP: globs of executables that are not tracked.
    pub fn skip(self) -> &'static [u8] {
        self.0.value(Meaning::Skip)
    }

    /// OGRT_ONLY: globs of the only executables that are tracked; all where it is empty.
    pub fn only(self) -> &'static [u8] {
        self.0.value(Meaning::Only)
    }

    /// OGRT_SPOOL_DIR; there is no spool where it is empty.
    pub fn spool_directory(self) -> &'static [u8] {
        self.0.value(Meaning::SpoolDirectory)
    }

    /// Tells whether OGRT_SKIP names this path.
    pub fn skips(self, path: &[u8]) -> bool {
        glob::any_matches(self.skip(), path)
    }

    /// Tells whether OGRT_ONLY names this path, or is empty.
    pub fn lets_in(self, path: &[u8]) -> bool {
        self.only().is_empty() || glob::any_matches(self.only(), path)
    }
}

/// What the library asks besides; the code in a static program says nothing and speaks once.
#[cfg(not(feature = "static"))]
impl Settings<'_> {
    /// OGRT_END is 1: the library speaks at the end as well.
    pub fn end(self) -> bool {
        self.0.value(Meaning::End) == b"1"
    }

    /// Neither OGRT_SCHLEICHFAHRT nor OGRT_SILENT is 0.
    pub fn silent(self) -> bool {
        self.0.value(Meaning::Silent) != b"0" && self.0.value(Meaning::Schleichfahrt) != b"0"
    }

    /// OGRT_DEBUG_INFO is 1.
    pub fn debug_info(self) -> bool {
        self.0.value(Meaning::DebugInfo) == b"1"
    }
}
