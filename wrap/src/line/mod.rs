//! What the command lines of linkers and drivers say: inputs, output, and whether it is a final
//! link.

pub mod built_in_dirs;
pub mod dependency_file;
pub mod driver_line;
pub mod emulation;
pub mod link_line;
pub mod linker_script;
pub mod our_note;
pub mod probes;
pub mod resolve_inputs;
pub mod response_file;
pub mod script_names;
pub mod thin_archive;
