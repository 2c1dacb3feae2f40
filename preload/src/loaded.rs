//! The library's own entry points: what the loader calls at the start and at the end.

use crate::{arch::weak_address, audit, end, loader::Loader, process::Process, settings::are_active, start};
use core::{
    arch::global_asm,
    ffi::{c_char, c_int},
};

global_asm!(".weak __environ");

type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = on_load;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = on_exit;

/// The constructor. Under LD_PRELOAD we are in the program's list of objects. As an audit library
/// we are not: then it runs before the program is loaded, and only remembers.
extern "C" fn on_load(count: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
    let environ = weak_address!("__environ");
    let Some(process) = Process::find(count, arguments, environment, environ) else { return };
    if !are_active(process.environment) {
        return;
    }
    match Loader::find(&process) {
        // SAFETY: the loader calls a constructor once, before main.
        Some(loader) => unsafe { start::start(&process, loader) },
        // SAFETY: as said above.
        None => unsafe { audit::remember(process) },
    }
}

extern "C" fn on_exit() {
    end::end();
}
