//! The files of an import: XALT's directories, however they are nested, and files of a syslog.
//!
//! No symbolic link is followed, and the depth of directories is bounded.

use super::{
    findings::{Findings, Trouble, Unusable},
    json::Object,
    record_file::{RecordKind, read},
    syslog::SyslogRecords,
};
use anyhow::Result;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Directories within directories.
const DEPTH_MAX: usize = 16;

/// Whatever takes a record.
pub type Take<'a> = dyn FnMut(&Object, &mut Findings) -> Result<(), Trouble> + 'a;

/// Hands over each record of this kind; an error only where the server takes nothing more.
pub fn each(paths: &[PathBuf], kind: RecordKind, findings: &mut Findings, with: &mut Take<'_>) -> Result<()> {
    let mut syslog = SyslogRecords::default();
    for path in paths {
        if path.is_file() {
            let mut with_text =
                |what: &str, text: &[u8], findings: &mut Findings| take(what, text, findings, with);
            syslog.each(path, kind, findings, &mut with_text)?;
        } else {
            directory(path, kind, 0, findings, with)?;
        }
    }
    syslog.give_up(findings);
    Ok(())
}

fn directory(
    path: &Path,
    kind: RecordKind,
    depth: usize,
    findings: &mut Findings,
    with: &mut Take<'_>,
) -> Result<()> {
    // Each kind walks the tree; one of them tells what is wrong with it.
    let mut complain = |why| {
        if kind == RecordKind::Run {
            findings.leave_out(why, &path.to_string_lossy());
        }
        Ok(())
    };
    if depth > DEPTH_MAX {
        return complain(Unusable::TooDeep);
    }
    let Ok(entries) = fs::read_dir(path) else { return complain(Unusable::Unreadable) };
    for entry in entries {
        let Ok(entry) = entry else { break };
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type() {
            Ok(of) if of.is_dir() => directory(&path, kind, depth + 1, findings, with)?,
            _ if !kind.is_of(&name.to_string_lossy()) => {}
            _ => {
                let what = path.to_string_lossy();
                match read(&path) {
                    Ok(text) => take(&what, &text, findings, with)?,
                    Err(why) => findings.leave_out(why, &what),
                }
            }
        }
    }
    Ok(())
}

/// Takes the text of a record apart, and hands it over.
fn take(what: &str, text: &[u8], findings: &mut Findings, with: &mut Take<'_>) -> Result<()> {
    let outcome = match serde_json::from_slice(text.trim_ascii()) {
        Ok(Value::Object(json)) => with(&json, findings),
        Ok(_) => Err(Unusable::NotXalt.into()),
        Err(_) => Err(Unusable::NotJson.into()),
    };
    match outcome {
        Err(Trouble::Server(problem)) => return Err(problem),
        Err(Trouble::Unusable(why)) => findings.leave_out(why, what),
        Ok(()) => {}
    }
    Ok(())
}
