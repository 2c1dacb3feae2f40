//! What the two wrappers share: reading a foreign command line, finding and running the real tool, the note
//! object, the description of what was linked, and the way of the record to the server.
//!
//! The one rule: a build must not notice us. Nothing here prints, and nothing here ends the program: a function
//! that cannot do its work returns an error, and the wrapper then runs the real tool as if it were not there.
//! Foreign command lines are read by tables, only as far as we need them, and an unknown flag is skipped.
//!
//! The order of the modules is the order of a link (see `link` in `ogrt-ld`).

pub mod ask_tool;
pub mod driver_command;
pub mod driver_line;
pub mod environment;
pub mod find_tool;
pub mod link_line;
pub mod response_file;
pub mod route;
pub mod settings;

pub mod caller_signals;
pub mod elf_identity;
pub mod metadata;
pub mod note_file;
pub mod note_object;
pub mod processor;
pub mod run_tool;
pub mod signature;
pub mod small_file;
pub mod spack_environment;

pub mod compilers;
pub mod dependency_file;
pub mod describe;
pub mod digest;
pub mod digest_cache;
pub mod git_commit;
pub mod loaded_parts;
pub mod probes;
pub mod record;
pub mod resolve_inputs;
pub mod save_link;

pub mod deliver;
pub mod server_rest;
pub mod spool;
