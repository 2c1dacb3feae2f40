//! The table of all packages that this run of the tests has built: the share of their ELF outputs
//! with a note, and for the others the reasons.
//!
//! Each row is printed when its package is done, past the capture of the test runner. The whole
//! table of a test program lies in cargo's target directory, as `package-table-NAME.md`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use xtask::workspace::Workspace;

/// One package.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// ELF files that a linker made, each content once.
    pub outputs: usize,
    /// Those with a note.
    pub marked: usize,
    /// The reasons of the others, and how many have each.
    pub reasons: BTreeMap<String, usize>,
    /// The time of the build without us.
    pub bare: Duration,
    /// The time of the build with us.
    pub ours: Duration,
}

/// Adds a row to the table.
pub fn add(package: &str, row: &Row) {
    static ROWS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let reasons: Vec<String> =
        row.reasons.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
    let line = format!(
        "| {package} | {} | {} | {} | {:.1} | {:.1} |",
        row.outputs,
        row.marked,
        reasons.join("; "),
        row.bare.as_secs_f64(),
        row.ours.as_secs_f64()
    );
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        print(HEAD);
    }
    print(&line);
    rows.insert(package.to_owned(), line);
    // The table is for people: a test does not fail because it cannot be written.
    let Ok(workspace) = Workspace::find() else { return };
    let program = std::env::current_exe().ok();
    let name = program.as_ref().and_then(|path| path.file_stem()?.to_str()).unwrap_or("tests");
    let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
    let text: String = rows.values().map(|row| format!("{row}\n")).collect();
    let _ = fs::write(workspace.target.join(format!("package-table-{name}.md")), format!("{HEAD}\n{text}"));
}

const HEAD: &str = "| package | ELF outputs | with a note | the others | s without us | s with us |\n\
                    |---|---|---|---|---|---|";

/// Prints past the capture of standard output by the test runner.
fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
