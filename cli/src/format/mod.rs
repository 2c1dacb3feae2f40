//! What is printed: a formatter a file. A formatter turns one answer into text and decides nothing
//! else.
//!
//! The titles of columns are the JSON keys of the same values, in words: `user`, `host`, `job`,
//! `program`, `signature`, `processes`, `first`, `last`.

pub mod build_table;
pub mod builds_table;
pub mod cyclonedx;
pub mod dependents_table;
pub mod diff_table;
pub mod doctor_table;
pub mod identify_table;
pub mod job_sheet;
pub mod job_table;
pub mod job_tree;
pub mod jobs_table;
pub mod note_json;
pub mod note_table;
pub mod omnibor;
pub mod purl;
pub mod report_table;
pub mod sheet;
pub mod slsa;
pub mod spdx;
pub mod unregistered_table;
pub mod uses_table;
pub mod verify_table;
