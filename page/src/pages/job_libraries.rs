//! The libraries that the processes of a job have loaded, at their start or later.

use crate::{
    figures, link, shown,
    table::{Cell, Kind, Table},
};
use maud::{Markup, html};
use ogrt_answers::{
    job_document::{file_of, names_of_files},
    json_field::{software, text},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Most lines; those that most processes loaded.
const LINES_MAX: usize = 500;

/// One file that was loaded.
#[derive(Default)]
struct Library {
    software: String,
    /// The signature of its build, where it has one.
    signature: String,
    processes: u64,
}

/// A table of them, folded; nothing where the processes loaded none. Each process counts once for a
/// file.
pub fn shown(part: &Value) -> Markup {
    let libraries = of(part);
    if libraries.is_empty() {
        return html! {};
    }
    let columns = [
        ("library", Kind::Text),
        ("software", Kind::Text),
        ("processes", Kind::Number),
        ("path", Kind::Text),
    ];
    let mut table = Table::new("Libraries", &columns);
    let all = libraries.len();
    let mut lines: Vec<(&str, Library)> = libraries.into_iter().collect();
    lines.sort_by_key(|(_, library)| std::cmp::Reverse(library.processes));
    for (path, library) in lines.into_iter().take(LINES_MAX) {
        let file = path.rsplit('/').next().unwrap_or(path);
        let file = match library.signature.is_empty() {
            true => html! { a href=(link::to("/affected", &[("path", path)])) { (shown::short(file)) } },
            false => link::build(&library.signature, file),
        };
        table.row(vec![
            Cell::text(file),
            library.software.into(),
            figures::number_of(library.processes),
            Cell::text(shown::short(path)),
        ]);
    }
    let notes = (all > LINES_MAX).then(|| format!("{} more files are not shown here", all - LINES_MAX));
    html! {
        details {
            summary { "Libraries that they loaded (" (all) ")" }
            (table.notes(notes).shown())
        }
    }
}

fn of(part: &Value) -> BTreeMap<&str, Library> {
    let names = names_of_files(part);
    let mut libraries: BTreeMap<&str, Library> = BTreeMap::new();
    let processes = part["processes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for process in processes {
        let lists = [&process["shared_objects"], &process["end"]["shared_objects"]];
        let objects = lists.into_iter().filter_map(Value::as_array).flatten();
        let mut known = HashSet::new();
        for object in objects {
            let Some(path) = object["path"].as_str().filter(|path| known.insert(*path)) else { continue };
            let library = libraries.entry(path).or_default();
            library.processes += 1;
            if library.signature.is_empty() && object["build"].is_object() {
                library.signature = text(object, "signature");
                library.software = software(&object["build"]);
            }
            if library.software.is_empty() {
                library.software = names.get(&file_of(object, "path")).cloned().unwrap_or_default();
            }
        }
    }
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_process_counts_once_for_a_library() {
        let fftw = json!({"path": "/sw/libfftw3.so.3", "signature": "s1",
            "build": {"name": "FFTW", "version": "3.3.10"}});
        let libc = json!({"path": "/lib/libc.so.6"});
        let part = json!({
            "processes": [
                {"shared_objects": [fftw, libc, libc]},
                {"shared_objects": [libc], "end": {"shared_objects": [libc, {"path": "/sw/<b>.so"}]}},
                {"end": {}},
            ],
            "names": [{"path": "/lib/libc.so.6", "software": "glibc", "version": "2.36-9",
                "packager": "dpkg"}],
        });
        let libraries = of(&part);
        let told: Vec<_> = libraries
            .iter()
            .map(|(path, library)| (*path, &library.software[..], &library.signature[..], library.processes))
            .collect();
        assert_eq!(
            told,
            [
                ("/lib/libc.so.6", "glibc 2.36-9 (dpkg)", "", 2),
                ("/sw/<b>.so", "", "", 1),
                ("/sw/libfftw3.so.3", "FFTW 3.3.10", "s1", 1),
            ]
        );
        let html = shown(&part).into_string();
        assert!(html.contains("they loaded (3)") && html.contains("/build?signature=s1"), "{html}");
        assert!(html.contains("&lt;b&gt;.so") && !html.contains("<b>"), "{html}");
        assert!(shown(&json!({"processes": [{}]})).into_string().is_empty());
    }
}
