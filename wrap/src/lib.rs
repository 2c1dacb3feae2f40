//! What the two wrappers share: reading a foreign command line, finding and running the real tool,
//! the note object, the description of what was linked, and the delivery of the record to the
//! server.
//!
//! The one rule: a build must not notice us. Nothing here prints, and nothing here ends the
//! program: a function that cannot do its work returns an error, and the wrapper then runs the real
//! tool as if it were not there. Foreign command lines are read by tables, only as far as we need
//! them, and an unknown flag is skipped.
//!
//! The folders stand in the order of a link (see `link` in `ogrt-ld`), and none uses one below it:
//!
//! | folder | what it answers |
//! |---|---|
//! | `line` | what does the command line say, and is it a final link? |
//! | `tool` | which is the real tool, how is it led to us, how is it run? |
//! | `note` | what stands in the note, and where does the linker read it? |
//! | `record` | what went into the link, and what came out? |
//! | `deliver` | how does the record come to the server, and where does it wait? |

pub mod ask_tool;
pub mod cache_dir;
pub mod complaint;
pub mod deliver;
pub mod elf_head;
pub mod environment;
pub mod line;
pub mod memory_file;
pub mod note;
pub mod record;
pub mod save_link;
pub mod settings;
pub mod small_file;
pub mod tool;
