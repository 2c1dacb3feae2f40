//! The real tool: found, asked, led to us, run, and its signals and processor kept as the caller
//! had them.

pub mod caller_signals;
pub mod driver_command;
pub mod find_tool;
pub mod known_tools;
pub mod mold_run;
pub mod processor;
pub mod route;
pub mod run_tool;
pub mod steering;

pub use crate::ask_tool;
