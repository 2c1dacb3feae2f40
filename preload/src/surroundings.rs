//! The job around this process, as the environment describes it: scheduler, MPI, modules,
//! container.
//!
//! Most of it is what `variables` has found.

use crate::{
    encoder::Encoder,
    field_numbers::{module, process_info},
    glob,
    process::Process,
    variables::{Meaning, Variables},
};

/// The job id, by a list of names; the first that is set counts.
///
/// Name by name: most variables differ at their first byte, so this costs less than a look into the
/// list for each variable.
pub fn job_id(process: &Process, names: &[u8]) -> &'static [u8] {
    glob::entries(names)
        .find_map(|name| process.variable(name).filter(|value| !value.is_empty()))
        .unwrap_or_default()
}

/// Writes the loaded modules, each with its file where that is known.
pub fn write_modules(out: &mut Encoder, variables: &Variables) {
    let [names, files] = [Meaning::Modules, Meaning::ModuleFiles].map(|meaning| variables.value(meaning));
    let mut files = files.split(is_colon);
    for name in names.split(is_colon) {
        let file = files.next().unwrap_or_default();
        if !name.is_empty() {
            out.message(process_info::LOADED_MODULES, |out| {
                out.field(module::NAME, name);
                out.field_unless_empty(module::FILE, file);
            });
        }
    }
}

fn is_colon(byte: &u8) -> bool {
    *byte == b':'
}
