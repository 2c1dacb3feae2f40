//! How a command ends: its exit status, its line on standard error, its text on standard output.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// The exit status as the answer to a question. Of several answers the largest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// 0: it was found, or done.
    Yes,
    /// 1: there is none.
    No,
    /// 2: the question could not be answered.
    Error,
}

impl From<ExitStatus> for ExitCode {
    fn from(answer: ExitStatus) -> ExitCode {
        ExitCode::from(answer as u8)
    }
}

/// Writes one line to standard error. A closed standard error is not a reason to fail.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "ogrt: {line}");
}

/// Writes a whole answer. A closed pipe is an error here, where `print!` panics.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}

/// Writes the server's JSON as it came, so that keys of a newer server are not lost, and one line
/// end.
pub fn print_document(mut document: Vec<u8>) -> io::Result<()> {
    document.truncate(document.trim_ascii_end().len());
    document.push(b'\n');
    print(document)
}
