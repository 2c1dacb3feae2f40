//! The project's chores, as a library: `main.rs` is their command line, and `tests/end_to_end`
//! starts the programs with the same code.
//!
//! Policy: a chore shows which step it is at. It says in one line what failed and shows what the
//! failing command printed. It leaves no process behind, and no file outside of cargo's target
//! folder, also when it is interrupted (`xtask/tests/interrupted.rs`).

pub mod bench;
pub mod child;
pub mod cleanup;
pub mod daemon;
pub mod demo;
pub mod generate;
pub mod install;
/// The table is the wrappers' own. xtask depends on no crate of the suite, so the file is included.
#[path = "../../wrap/src/tool/known_tools.rs"]
pub mod known_tools;
pub mod machine;
pub mod manuals;
pub mod programs;
pub mod put_file;
pub mod share;
pub mod silent_library;
pub mod site;
pub mod site_in_a_box;
pub mod stack;
pub mod static_object;
pub mod steps;
pub mod suite;
pub mod workspace;
