//! `ogrt identify` for people and for spreadsheets: a line for each file, and for each further
//! software that it resembles.

use crate::format::sheet::Sheet;
use anyhow::Result;
use ogrt_answers::{
    json_field::text,
    learned_name::{learned_name, resemblance},
};
use serde_json::Value;

/// A line for each file, and one for each further resemblance.
pub fn table(files: &[Value]) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&["file", "software", "known by", "package", "like"]);
    for file in files {
        let known = &file["known"];
        let resembles = file["resembles"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !known.is_null() {
            let columns =
                [text(file, "file"), learned_name(known), text(known, "known_by"), text(known, "package")];
            sheet.columns(columns);
        } else if resembles.is_empty() {
            sheet.columns([text(file, "file"), "unknown".to_owned()]);
        }
        for (index, one) in resembles.iter().enumerate() {
            let name = if index == 0 { text(file, "file") } else { String::new() };
            sheet.columns([
                name,
                resemblance(one),
                text(one, "known_by"),
                text(one, "package"),
                text(one, "path"),
            ]);
        }
    }
    sheet.text()
}

/// The same as comma-separated values.
pub fn csv(files: &[Value]) -> Result<String> {
    const TEXTS: [&str; 7] = ["known_by", "software", "version", "package", "packager", "score", "path"];
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["file"].into_iter().chain(TEXTS))?;
    for file in files {
        let resembles = file["resembles"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&Value> = match &file["known"] {
            Value::Null if resembles.is_empty() => vec![&Value::Null],
            Value::Null => resembles.iter().collect(),
            known => vec![known],
        };
        for name in names {
            let texts = TEXTS.iter().map(|key| text(name, key));
            csv.write_record([text(file, "file")].into_iter().chain(texts))?;
        }
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resemblance_is_never_told_as_a_name() {
        let like = json!({ "software": "lammps", "version": "2022", "score": 0.614, "known_by": "likeness",
            "path": "/usr/bin/lmp" });
        let files = [
            json!({ "file": "ls", "known": { "software": "coreutils", "version": "9.1", "packager": "dpkg",
                "known_by": "build_id" } }),
            json!({ "file": "lmp", "resembles": [like, { "software": "x", "score": 0.3, "known_by": "likeness" }] }),
            json!({ "file": "a.out", "resembles": [] }),
        ];
        let table = table(&files);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["ls", "coreutils", "9.1", "(dpkg)", "build_id"]);
        assert_eq!(lines[2], ["lmp", "resembles", "lammps", "2022", "(0.61)", "likeness", "/usr/bin/lmp"]);
        assert_eq!(lines[3], ["resembles", "x", "(0.30)", "likeness"]);
        assert_eq!(lines[4], ["a.out", "unknown"]);
        let csv = csv(&files).unwrap();
        assert_eq!(csv.lines().nth(2), Some("lmp,likeness,lammps,2022,,,0.614,/usr/bin/lmp"));
        assert_eq!(csv.lines().last(), Some("a.out,,,,,,,"));
    }
}
