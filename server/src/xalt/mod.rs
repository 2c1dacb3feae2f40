//! `ogrt-server import --xalt`: the records of XALT, brought to the server that runs.
//!
//! ```text
//! files, syslog -> JSON -> build records, starts and ends -> the server's Unix socket
//! ```
//! The server takes them as claims, `via` "import xalt", and believes their times
//! ([`crate::queue::Entry::is_import`]). It remembers each run, so a record that is imported twice
//! counts once. Builds come first, so that no run waits for its build; packages are gathered before
//! the runs that used them.
//!
//! The files are written by every user's processes. Each is bounded, and what cannot be used is
//! counted and named ([`findings`]); nothing of it ends the import. So is what OGRT has no place
//! for. The format is that of XALT's own programs (`src/libxalt/run_submission.c`,
//! `src/linker/xalt_generate_linkdata.C`, `src/util/xalt_record_pkg.c` and `src/util/transmit.c` of
//! XALT 3.2). Test: `server/tests/server/xalt.rs`.

mod delivery;
mod files;
mod findings;
mod json;
mod link_record;
mod packages;
mod record_file;
mod run_record;
mod syslog;

use crate::{clock::now_ns, config::Config};
use anyhow::{Context, Result};
use delivery::Delivery;
use findings::Findings;
use ogrt_proto::MessageType;
use packages::PackageTable;
use record_file::RecordKind;
use std::{ops::Range, path::PathBuf};

/// What is to be imported.
pub struct XaltImport {
    /// Directories with records, or files of a syslog.
    pub paths: Vec<PathBuf>,
    /// The period, by the start of a run and the time of a link, in Unix nanoseconds.
    pub period_ns: Range<i64>,
}

/// Imports records, and says what has become of them.
pub fn import(config: &Config, wanted: &XaltImport) -> Result<String> {
    for path in &wanted.paths {
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let mut delivery = Delivery::connect(&config.unix, config.receive.message_bytes_max.0 as usize)?;
    let mut findings = Findings::default();
    let mut packages = PackageTable::default();
    let period_ns = wanted.period_ns.start..wanted.period_ns.end.min(now_ns());

    files::each(&wanted.paths, RecordKind::Link, &mut findings, &mut |json, findings| {
        let record = link_record::build_record(json, findings)?;
        if findings.is_in(&period_ns, record.time_ns()) {
            delivery.send(MessageType::BuildRecord, &record)?;
            findings.builds += 1;
        }
        Ok(())
    })?;
    files::each(&wanted.paths, RecordKind::Package, &mut findings, &mut |json, findings| {
        packages.add(json, findings)
    })?;
    files::each(&wanted.paths, RecordKind::Run, &mut findings, &mut |json, findings| {
        let run = run_record::read(json, &packages, findings)?;
        if !findings.is_in(&period_ns, run.start.start_time_ns()) {
            return Ok(());
        }
        findings.count(&run.start, run.end.as_ref());
        delivery.send(MessageType::ProcessInfo, &run.start)?;
        if let Some(end) = &run.end {
            delivery.send(MessageType::ProcessEnd, end)?;
        }
        Ok(())
    })?;
    delivery.finish()?;
    Ok(findings.text())
}
