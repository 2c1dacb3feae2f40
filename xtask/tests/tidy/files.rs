//! Files and the names in them: how large, what they open with, what they are called.

use crate::project::{fail_if_any, files, with_extension};
use std::path::Path;

const LINES_MAX: usize = 600;
pub const GENERATED: &str = "proto/src/messages.rs";

#[test]
fn a_source_file_opens_with_its_idea_and_holds_one() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        if path == Path::new(GENERATED) {
            continue;
        }
        if !text.starts_with("//!") {
            offenders.push(format!("{}: does not open with //!", path.display()));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            offenders.push(format!("{}: {lines} lines", path.display()));
        }
    }
    fail_if_any(&format!("each source file opens with //! and has at most {LINES_MAX} lines"), &offenders);
}

#[test]
fn a_file_is_named_for_the_question_it_answers() {
    let saying_nothing = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let offenders: Vec<_> = files()
        .iter()
        .filter(|path| {
            path.iter().any(|part| {
                let stem = Path::new(part).file_stem().unwrap_or(part);
                saying_nothing.iter().any(|name| stem == *name)
            })
        })
        .map(|path| path.display().to_string())
        .collect();
    fail_if_any("names that say nothing", &offenders);
}

#[test]
fn unsafe_code_is_in_preload_and_observe_alone() {
    // Put together here, so that this file does not hold what it looks for.
    let word = ["un", "safe"].concat();
    let forms = [" {", " fn", " impl", " extern", "("].map(|after| format!("{word}{after}"));
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        // In observe its own lints see to it that each block has its reason.
        if path.starts_with("preload") || path.starts_with("observe/src") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forms.iter().any(|form| code.contains(form)) {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    fail_if_any("unsafe code is only in preload and observe", &offenders);
}

#[test]
fn every_member_keeps_the_workspaces_lints() {
    let offenders: Vec<_> = with_extension("toml")
        .into_iter()
        .filter(|(path, text)| path.ends_with("Cargo.toml") && text.contains("version.workspace = true"))
        .filter(|(path, _)| path != Path::new("observe/Cargo.toml"))
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    fail_if_any("[lints] workspace = true", &offenders);
}
