//! The house rules that a machine can check, a file for each family of them.
//!
//! These read every source file and document of the project. A failure names the file and the line.

mod documents;
mod files;
mod imports;
mod project;
mod prose;
mod texts;
