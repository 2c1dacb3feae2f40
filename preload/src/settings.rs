//! What the site and the user have asked for by `OGRT_*` variables. docs/preload.md has the table
//! of their meanings.

use crate::{
    glob,
    process::{Process, Strings},
};

/// The settings in force. Their text stays in the environment.
pub struct Settings {
    /// OGRT_SERVER.
    pub server: &'static [u8],
    /// OGRT_JOBID_VARS: names of variables. The first that is set counts.
    pub job_id_variables: &'static [u8],
    /// OGRT_ENV: `none`, `all`, or names and globs.
    pub environment: &'static [u8],
    /// OGRT_SKIP: globs of executables that are not tracked.
    pub skip: &'static [u8],
    /// OGRT_ONLY: globs of the only executables that are tracked; all where it is empty.
    pub only: &'static [u8],
    /// OGRT_SPOOL_DIR; there is no spool where it is empty.
    pub spool_directory: &'static [u8],
    /// OGRT_END is 1: the library speaks at the end as well.
    pub end: bool,
    /// Neither OGRT_SCHLEICHFAHRT nor OGRT_SILENT is 0.
    pub silent: bool,
    /// OGRT_DEBUG_INFO is 1.
    pub debug_info: bool,
}

impl Settings {
    /// Tells whether OGRT_ACTIVE is 1. In most processes nothing else is asked.
    pub fn are_active(environment: Strings) -> bool {
        environment.variable(b"OGRT_ACTIVE") == Some(b"1")
    }

    /// Reads the settings. Where a name stands twice, the first counts.
    pub fn read(process: &Process) -> Self {
        let mut settings = Settings {
            server: b"",
            job_id_variables: b"",
            environment: b"",
            skip: b"",
            only: b"",
            spool_directory: b"",
            end: false,
            silent: true,
            debug_info: false,
        };
        for entry in process.environment {
            let Some((name, value)) = entry.strip_prefix(b"OGRT_").and_then(split) else { continue };
            let text = match name {
                b"SERVER" => &mut settings.server,
                b"JOBID_VARS" => &mut settings.job_id_variables,
                b"ENV" => &mut settings.environment,
                b"SKIP" => &mut settings.skip,
                b"ONLY" => &mut settings.only,
                b"SPOOL_DIR" => &mut settings.spool_directory,
                b"SCHLEICHFAHRT" | b"SILENT" => {
                    settings.silent &= value != b"0";
                    continue;
                }
                b"END" => {
                    settings.end |= value == b"1";
                    continue;
                }
                b"DEBUG_INFO" => {
                    settings.debug_info |= value == b"1";
                    continue;
                }
                _ => continue,
            };
            if text.is_empty() {
                *text = value;
            }
        }
        if settings.server.is_empty() {
            settings.server = b"127.0.0.1:7971";
        }
        if settings.job_id_variables.is_empty() {
            settings.job_id_variables = b"SLURM_JOB_ID:PBS_JOBID:LSB_JOBID:FLUX_JOB_ID:JOB_ID:JOBID";
        }
        settings
    }

    /// Tells whether OGRT_SKIP names this path.
    pub fn skips(&self, path: &[u8]) -> bool {
        glob::any_matches(self.skip, path)
    }

    /// Tells whether OGRT_ONLY names this path, or is empty.
    pub fn lets_in(&self, path: &[u8]) -> bool {
        self.only.is_empty() || glob::any_matches(self.only, path)
    }
}

/// Name and value of an entry of the environment.
pub fn split(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|&byte| byte == b'=')?;
    Some((entry.get(..at)?, entry.get(at + 1..)?))
}
