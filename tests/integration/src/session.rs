//! Sessions of real programs: tables of commands in `sessions/`.

use crate::needs;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name, without spaces, which is that of its job as well.
    pub name: String,
    /// The command for `sh -c`.
    pub command: String,
    /// Can strace stand around it?
    pub is_traceable: bool,
}

/// The rows of a table. Those whose programs are missing are skipped on a desk, and fail in CI.
/// With `OGRT_CASE=NAME` that one alone.
pub fn rows(table: &str) -> Vec<Row> {
    read(table, |programs| needs::has(programs, false))
}

/// The rows of a table whose programs are there.
pub fn rows_that_are_here(table: &str) -> Vec<Row> {
    read(table, |programs| needs::missing(programs).is_none())
}

fn read(table: &str, are_there: impl Fn(&[&str]) -> bool) -> Vec<Row> {
    let text = fs::read_to_string(needs::file("sessions").join(table)).unwrap();
    let only = env::var("OGRT_CASE").ok();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let mut next = || columns.next().unwrap_or_else(|| panic!("three columns: {line}"));
        let (name, programs, command) = (next().replace(' ', "-"), next(), next());
        let needed = programs.strip_prefix('!');
        let programs: Vec<&str> = needed.unwrap_or(programs).split(' ').collect();
        if only.as_ref().is_none_or(|only| *only == name) && are_there(&programs) {
            rows.push(Row { name, command: command.to_owned(), is_traceable: needed.is_none() });
        }
    }
    rows
}

/// A new empty folder for a row.
pub fn folder(within: &Path, row: &Row) -> PathBuf {
    let folder = within.join(&row.name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
