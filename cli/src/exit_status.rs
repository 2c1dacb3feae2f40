//! How a command ends: its exit status, its line on standard error, its text on standard output.
//!
//! Everything that `ogrt` prints goes through here, which the lints of `main.rs` hold, and nothing
//! leaves here that would steer a terminal (`no_command_lets_a_terminal_be_steered` in
//! `cli/tests/`).

use ogrt_proto::printable::{escaped, one_line};
use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
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

/// The sequences for bold text and its end, as tables have them.
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

impl From<ExitStatus> for ExitCode {
    fn from(answer: ExitStatus) -> ExitCode {
        ExitCode::from(answer as u8)
    }
}

/// Writes one line to standard error. A closed standard error is not a reason to fail.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "ogrt: {}", one_line(&line.to_string()));
}

/// Writes what is wrong with the command line to standard error, in its lines.
pub fn complain_usage(lines: &str) {
    let _ = io::stderr().write_all(escaped(lines).as_bytes());
}

/// Writes a whole answer, as text or JSON. A closed pipe is an error here, where `print!` panics.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let text = String::from_utf8_lossy(text.as_ref());
    // Our own labels are bold; a `Sheet` has shown every other escape by then.
    let pieces = text.split(BOLD).map(|piece| {
        let pieces = piece.split(PLAIN).map(escaped).collect::<Vec<_>>();
        pieces.join(PLAIN)
    });
    write(pieces.collect::<Vec<_>>().join(BOLD).as_bytes())
}

/// Writes an answer of one line, whatever the names in it hold.
pub fn print_line(line: impl Display) -> io::Result<()> {
    write(format!("{}\n", one_line(&line.to_string())).as_bytes())
}

/// Writes bytes that other programs need as they are; a terminal gets them as [`print`] writes.
pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    if io::stdout().is_terminal() { print(bytes) } else { write(bytes) }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes the server's JSON as it came, so that keys of a newer server are not lost, and one line
/// end.
pub fn print_document(mut document: Vec<u8>) -> io::Result<()> {
    document.truncate(document.trim_ascii_end().len());
    document.push(b'\n');
    print(document)
}
