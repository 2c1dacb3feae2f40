//! `ogrt verify` for people: a heading with the verdict for each file, and what it was compared
//! with.

use crate::{
    compare_with_record::{FileComparison, Verdict},
    format::{build_table, sheet::Sheet},
};
use ogrt_answers::utc;

/// The files in the order in which they were named.
pub fn text(files: &[FileComparison]) -> String {
    let mut out = String::new();
    for file in files {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&Sheet::heading(&format!("{}: {}", file.path, word(file.verdict))));
        out.push_str(&sheet(file).text());
    }
    out
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical => "identical",
        Verdict::Stripped => "stripped",
        Verdict::Relocated => "relocated",
        Verdict::Modified => "modified",
        Verdict::Unknown => "unknown",
    }
}

fn sheet(file: &FileComparison) -> Sheet {
    let mut sheet = Sheet::new();
    sheet.line("reason", file.reason.clone());
    sheet.line("signature", file.signature.clone());
    if let Some(build) = &file.build {
        let metadata = &build.metadata;
        let words: Vec<&str> =
            [&metadata.name, &metadata.version].into_iter().filter_map(|word| word.as_deref()).collect();
        sheet.line("software", words.join(" "));
        sheet.line("linked", utc::from_nanoseconds(build.time_ns));
        sheet.line("host", build.hostname.clone());
        sheet.line("user", build_table::user(build));
    }
    if let (Some(now), Some(then)) = (&file.run_path, &file.recorded_run_path) {
        let shown = |path: &str| if path.is_empty() { "(none)".to_owned() } else { path.to_owned() };
        sheet.line("run path", shown(now));
        sheet.line("recorded run path", shown(then));
    }
    sheet.line("sha256", file.sha256.clone());
    sheet.line("recorded sha256", file.recorded_sha256.clone().filter(|recorded| *recorded != file.sha256));
    sheet
}
