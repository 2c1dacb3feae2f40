//! The record of a link: a build of OGRT's.
//!
//! XALT's signature is in a note of XALT's own, which OGRT does not read. So the build is not
//! marked. Its runs are joined all the same, since XALT tells the signature of each run.

use super::{
    findings::{Findings, Trouble, Unusable},
    json::{Object, bytes, list, object, quoted_path, text, time_ns},
    packages::run_id,
};
use bytes::Bytes;
use ogrt_proto::{BuildMetadata, BuildRecord, FileKind, Input, KeyValue, Output, Tool};
use serde_json::Value;
use std::collections::BTreeSet;

/// Fields that have a place, or that say nothing.
const PLACED: [&str; 5] = ["crc", "resultT", "linkA", "function", "link_line"];
const RESULT_PLACED: [&str; 9] = [
    "uuid",
    "link_program",
    "link_path",
    "build_user",
    "build_epoch",
    "exec_path",
    "wd",
    "build_syshost",
    "build_host",
];

/// The reason why a build has no note of OGRT's.
const UNMARKED: &str = "linked by XALT, which has its own note";

/// Inputs, words of the command and functions of one build.
const LIST_MAX: usize = 16_384;

/// The build record.
pub fn build_record(json: &Object, findings: &mut Findings) -> Result<BuildRecord, Trouble> {
    // The oldest records have all of it at the top.
    let result = if json.contains_key("resultT") { object(json, "resultT") } else { json };
    let signature = text(result, "uuid").and_then(run_id).ok_or(Unusable::NotXalt)?;
    let time_ns = time_ns(result, "build_epoch").ok_or(Unusable::NotXalt)?;
    let words = |key: &str| list(json, key).iter().take(LIST_MAX).filter_map(Value::as_str);

    for (fields, placed) in [(json, &PLACED[..]), (result, &RESULT_PLACED)] {
        let is_unplaced = |key: &&String| {
            let is_result = std::ptr::eq(result, json) && RESULT_PLACED.contains(&key.as_str());
            !placed.contains(&key.as_str()) && !is_result
        };
        fields.keys().filter(is_unplaced).for_each(|key| findings.unplaced(&described(key)));
        if std::ptr::eq(result, json) {
            break;
        }
    }
    let mut seen = BTreeSet::new();
    let mut has_digests = false;
    let mut inputs = Vec::new();
    for input in list(json, "linkA").iter().take(LIST_MAX).filter_map(Value::as_array) {
        let Some(path) = input.first().and_then(Value::as_str) else { continue };
        has_digests |= input.get(1).and_then(Value::as_str).is_some_and(|digest| digest.len() == 40);
        if seen.insert(path) {
            let path = Some(Bytes::from(path.to_owned()));
            inputs.push(Input { path, ..Input::default() });
        }
    }
    if has_digests {
        findings.unplaced("linkA: SHA-1 of libraries");
    }
    let functions = words("function").collect::<Vec<_>>().join(" ");
    let extra = [
        ("xalt_functions", Some(functions).filter(|functions| !functions.is_empty())),
        ("xalt_system", text(result, "build_syshost").map(str::to_owned)),
    ];
    let builder = text(result, "build_user").map(str::to_owned);
    Ok(BuildRecord {
        signature: Some(Bytes::copy_from_slice(&signature)),
        metadata: Some(BuildMetadata {
            builder: builder.clone(),
            time: Some(time_ns / 1_000_000_000),
            compiler: text(result, "link_program").map(str::to_owned),
            ..BuildMetadata::default()
        }),
        time_ns: Some(time_ns),
        hostname: text(result, "build_host").map(str::to_owned),
        username: builder,
        working_directory: bytes(result, "wd"),
        driver_command: words("link_line").map(|word| word.to_owned().into()).collect(),
        driver: text(result, "link_path").map(|path| Tool { path: Some(tool_path(path)), version: None }),
        inputs,
        output: text(result, "exec_path").map(|path| Output {
            path: Some(quoted_path(path)),
            kind: Some(FileKind::Executable as i32),
            ..Output::default()
        }),
        extra: extra
            .into_iter()
            .filter_map(|(key, value)| Some(KeyValue { key: Some(key.to_owned()), value: Some(value?) }))
            .collect(),
        client: Some("xalt".to_owned()),
        marked: Some(false),
        unmarked_reason: Some(UNMARKED.to_owned()),
        ..BuildRecord::default()
    })
}

/// XALT writes a wrapped compiler as `gcc:/usr/bin/gcc-12`.
fn tool_path(path: &str) -> Bytes {
    let path = match path.split_once(':') {
        Some((name, rest)) if !name.contains('/') && rest.starts_with('/') => rest,
        _ => path,
    };
    path.to_owned().into()
}

fn described(key: &str) -> String {
    match key {
        "hash_id" => "hash_id: SHA-1 of the linked file".to_owned(),
        key => key.to_owned(),
    }
}
