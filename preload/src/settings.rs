//! What the site and the user have asked for, by `OGRT_*` variables. The table of their meanings is in
//! docs/preload.md.

use crate::{
    glob,
    process::{Process, Strings},
};

/// The settings in force. Text stays where it is, in the environment.
pub struct Settings {
    /// OGRT_SERVER.
    pub server: &'static [u8],
    /// OGRT_JOBID_VARS: names, the first that is set counts.
    pub job_id_variables: &'static [u8],
    /// OGRT_ENV: `none`, `all`, or names and globs.
    pub environment: &'static [u8],
    /// OGRT_SKIP: globs of executables that are left alone.
    pub skip: &'static [u8],
    /// OGRT_ONLY: globs of executables that alone are recorded; empty is all.
    pub only: &'static [u8],
    /// OGRT_SPOOL_DIR; empty is no spool.
    pub spool_directory: &'static [u8],
    /// OGRT_SCHLEICHFAHRT and OGRT_SILENT are not 0.
    pub silent: bool,
    /// OGRT_DEBUG_INFO is 1.
    pub debug_info: bool,
}

impl Settings {
    /// Whether OGRT_ACTIVE is 1. Asked first, and of most processes nothing else.
    pub fn are_active(environment: Strings) -> bool {
        environment.variable(b"OGRT_ACTIVE") == Some(b"1")
    }

    /// Reads them, the first where a name stands twice.
    pub fn read(process: &Process) -> Self {
        let mut settings = Settings {
            server: b"",
            job_id_variables: b"",
            environment: b"",
            skip: b"",
            only: b"",
            spool_directory: b"",
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
            settings.job_id_variables = b"JOBID:SLURM_JOB_ID:PBS_JOBID:LSB_JOBID:FLUX_JOB_ID:JOB_ID";
        }
        settings
    }

    /// Whether OGRT_SKIP names this path.
    pub fn skips(&self, path: &[u8]) -> bool {
        glob::any_matches(self.skip, path)
    }

    /// Whether OGRT_ONLY names this path, or nothing.
    pub fn lets_in(&self, path: &[u8]) -> bool {
        self.only.is_empty() || glob::any_matches(self.only, path)
    }
}

/// Name and value of an entry of the environment.
pub fn split(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|&byte| byte == b'=')?;
    Some((entry.get(..at)?, entry.get(at + 1..)?))
}
