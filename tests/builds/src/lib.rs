//! Real software, built by its own build system once without us and once with us: from the same
//! sources in the same folder, by the installed programs, with a real server.
//!
//! `trial` tells the flow; what it compares is a file each.

mod archive;
mod bench;
mod build_log;
mod installed;
mod linked_inputs;
mod machine;
mod manual;
mod registered;
mod same_elf;
mod table;
mod toolkits;
mod trial;

pub use archive::Archive;
pub use bench::{Bench, Outcome};
pub use machine::{full_run_only, has_tools, is_full_run, lacks};
pub use manual::block;
pub use registered::{LinkedBy, Registered, is_linked_elf};
pub use toolkits::{cuda, zig};
pub use trial::{Place, Software};
