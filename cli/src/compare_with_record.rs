//! A file compared with the record of its build.
//!
//! What can be said follows from digests that the record holds: of the whole file, and of its
//! loaded parts (`ogrt_wrap::record::loaded_parts`). Nothing is guessed: where only unloaded bytes
//! differ and the file did not get smaller, that is a modification as well, and the answer says
//! that no loaded byte is touched by it.

use crate::{api_client::ApiClient, elf_notes};
use anyhow::Result;
use ogrt_proto::{BuildJson, FileJson, LoadedJson, hex};
use ogrt_wrap::record::{digest, loaded_parts};
use serde::Serialize;
use std::{fs::File, path::Path};

/// What happened to a file since its link, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The file is byte for byte what the linker wrote.
    Identical,
    /// Symbols or debug information were removed.
    Stripped,
    /// The library search path was changed.
    Relocated,
    /// Something else was changed.
    Modified,
    /// There is no record to compare with.
    Unknown,
}

/// A file, the record that it was compared with, and the verdict.
#[derive(Debug, Serialize)]
pub struct FileComparison {
    /// The path as the user gave it.
    pub path: String,
    pub verdict: Verdict,
    /// Parts that are not as they were linked: `code`, `data`, `linkage`, `run_path`, `unloaded`.
    pub differs: Vec<&'static str>,
    /// The reason of the verdict, in one sentence.
    pub reason: String,
    /// The signature of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The digest of the file as it is.
    pub sha256: String,
    /// The digest of the file as it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_sha256: Option<String>,
    /// The library search path as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_path: Option<String>,
    /// The library search path as it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_run_path: Option<String>,
    /// The record, for the table.
    #[serde(skip)]
    pub build: Option<BuildJson>,
}

/// The properties of a file that are compared.
pub struct FileFacts {
    sha256: String,
    size: u64,
    loaded: Result<LoadedJson, loaded_parts::LoadedPartsError>,
}

/// Reads the file and its loaded parts.
pub fn read_facts(path: &Path) -> Result<FileFacts> {
    let file = File::open(path)?;
    let (sha256, size) = digest::sha256(&file)?;
    let loaded = loaded_parts::of_file(&file).map(|parts| LoadedJson {
        code_sha256: hex(&parts.code),
        data_sha256: hex(&parts.data),
        linkage_sha256: hex(&parts.linkage),
        run_path: String::from_utf8_lossy(&parts.run_path).into_owned(),
    });
    Ok(FileFacts { sha256: hex(&sha256), size, loaded })
}

/// Finds the records of the file's signatures. Where there is none, it finds those of the build-id,
/// since a note can be cut out; the flag is then true.
pub fn find_records(server: &ApiClient, notes: &elf_notes::ElfNotes) -> Result<(Vec<BuildJson>, bool)> {
    let mut records = Vec::new();
    for note in &notes.build_notes {
        records.extend(server.record(note.signature)?);
    }
    let (true, Some(build_id)) = (records.is_empty(), &notes.build_id) else { return Ok((records, false)) };
    let found = server.list(&["v1", "builds"], &[("build_id", hex(build_id))], "builds", 10)?;
    for build in found.iter().flat_map(|page| page["builds"].as_array()).flatten() {
        if let Some(signature) = build["signature"].as_str().and_then(|text| text.parse().ok()) {
            records.extend(server.record(signature)?);
        }
    }
    Ok((records, true))
}

/// Compares the file with one record.
pub fn compare(name: &str, facts: &FileFacts, record: BuildJson, found_by_build_id: bool) -> FileComparison {
    let output = record.output.clone().unwrap_or_default();
    let mut comparison = FileComparison {
        path: name.to_owned(),
        verdict: Verdict::Modified,
        differs: Vec::new(),
        reason: String::new(),
        signature: Some(record.signature.clone()),
        sha256: facts.sha256.clone(),
        recorded_sha256: Some(output.sha256.clone()),
        run_path: None,
        recorded_run_path: None,
        build: Some(record),
    };
    let (verdict, reason) = judge(facts, &output, &mut comparison);
    comparison.verdict = verdict;
    comparison.reason = reason;
    if found_by_build_id && comparison.verdict != Verdict::Identical {
        comparison.verdict = Verdict::Modified;
        comparison.reason +=
            "; its note is not the one that was linked in (the record was found by the build-id)";
    }
    comparison
}

fn judge(facts: &FileFacts, output: &FileJson, comparison: &mut FileComparison) -> (Verdict, String) {
    if facts.sha256 == output.sha256 {
        return (Verdict::Identical, "byte for byte what the linker wrote".into());
    }
    let recorded = match (&facts.loaded, &output.loaded) {
        (Ok(_), Some(recorded)) => recorded,
        (Ok(_), None) => {
            let reason =
                "not what the linker wrote; the record has no digests of parts, so what differs is not known";
            return (Verdict::Modified, reason.into());
        }
        (Err(error), _) => return (Verdict::Modified, format!("not what the linker wrote: {error}")),
    };
    let Ok(loaded) = &facts.loaded else { return (Verdict::Modified, String::new()) };
    for (part, now, then) in [
        ("code", &loaded.code_sha256, &recorded.code_sha256),
        ("data", &loaded.data_sha256, &recorded.data_sha256),
        ("linkage", &loaded.linkage_sha256, &recorded.linkage_sha256),
    ] {
        if now != then {
            comparison.differs.push(part);
        }
    }
    let is_touched = !comparison.differs.is_empty();
    if loaded.run_path != recorded.run_path {
        comparison.differs.push("run_path");
        comparison.run_path = Some(loaded.run_path.clone());
        comparison.recorded_run_path = Some(recorded.run_path.clone());
    }
    if is_touched {
        let parts: Vec<&str> = comparison.differs.iter().map(|part| in_words(part)).collect();
        return (Verdict::Modified, format!("not as linked: {}", parts.join(", ")));
    }
    if !comparison.differs.is_empty() {
        return (
            Verdict::Relocated,
            "code, data and linkage are as linked; the library search path is another".into(),
        );
    }
    comparison.differs.push("unloaded");
    if facts.size < output.size {
        (Verdict::Stripped, "what is loaded is as linked; symbols or debug information were removed".into())
    } else {
        let reason =
            "what is loaded is as linked; other bytes differ (symbols, debug information, padding, headers)";
        (Verdict::Modified, reason.into())
    }
}

/// Describes a part in words.
fn in_words(part: &str) -> &str {
    match part {
        "linkage" => "what the loader reads (libraries, symbols, relocations, notes, entry point)",
        "run_path" => "the library search path",
        other => other,
    }
}

/// Makes the result for a file without a record.
pub fn without_record(
    name: &str,
    facts: &FileFacts,
    notes: &elf_notes::ElfNotes,
    address: &str,
) -> FileComparison {
    let reason = match notes.build_notes.first() {
        None => "no OGRT note, and the build-id is not registered".to_owned(),
        Some(first) => format!("its signature {} is not registered at {address}", first.signature),
    };
    FileComparison {
        path: name.to_owned(),
        verdict: Verdict::Unknown,
        differs: Vec::new(),
        reason,
        signature: notes.build_notes.first().map(|note| note.signature.to_string()),
        sha256: facts.sha256.clone(),
        recorded_sha256: None,
        run_path: None,
        recorded_run_path: None,
        build: None,
    }
}
