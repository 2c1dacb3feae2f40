//! What the server's answers say: values out of its JSON, the tree and the figures of a job, what
//! differs between two builds, and tables for spreadsheets.
//!
//! `ogrt` prints it and the server's page shows it, so both say the same. Nothing here asks
//! anybody, and nothing is read or written.

// A field or function whose name says it all has no text of its own.
#![allow(missing_docs)]

pub mod builds;
pub mod compare_builds;
pub mod fold_tree;
pub mod job_document;
pub mod job_list;
pub mod job_process;
pub mod job_sheet;
pub mod job_totals;
pub mod json_field;
pub mod learned_name;
mod process_parents;
pub mod process_tree;
pub mod report;
pub mod spreadsheet;
pub mod time_argument;
pub mod tree_line;
pub mod units;
pub mod unregistered;
pub mod uses;
pub mod utc;
pub mod what_ran;
