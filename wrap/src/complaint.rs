//! The one line that a wrapper says to standard error when it fails itself.

use ogrt_proto::printable::one_line;
use std::fmt::Display;

/// The line that says why `program` fails. Names in it are foreign: none of them steers a terminal
/// or begins a line.
pub fn complaint(program: &str, why: &dyn Display) -> String {
    format!("{program}: {}", one_line(&why.to_string()))
}
