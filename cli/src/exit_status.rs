//! How a command ends: its exit status, its line on standard error, its text on standard output.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// The exit status, in the words of a question. Ordered by weight: of several answers the heaviest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: found, done.
    Yes,
    /// 1: looked, and there is none.
    No,
    /// 2: could not look.
    Error,
}

impl From<ExitStatus> for ExitCode {
    fn from(answer: ExitStatus) -> ExitCode {
        ExitCode::from(answer as u8)
    }
}

/// One line on standard error. A closed standard error is no reason to fail.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "ogrt: {line}");
}

/// Writes all of an answer. Unlike `print!` it reports a closed pipe instead of panicking.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}

/// Writes the server's JSON untouched, so that keys of a newer server are not lost, with one line end after it.
pub fn print_document(mut document: Vec<u8>) -> io::Result<()> {
    document.truncate(document.trim_ascii_end().len());
    document.push(b'\n');
    print(document)
}
