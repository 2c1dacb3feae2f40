//! The entry point of the code that is linked into a static program: its first constructor.

use crate::{arch::static_entry, loader::Loader, process::Process, settings::are_active, start};
use core::ffi::{c_char, c_int};

static_entry!(on_start);

/// The constructor. glibc passes it the first three values, our own entry the last: the address of
/// libc's `__environ`.
extern "C" fn on_start(
    count: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    environ: usize,
) {
    let Some(process) = Process::find(count, arguments, environment, environ) else { return };
    if !are_active(process.environment) {
        return;
    }
    if let Some(loader) = Loader::find(&process) {
        // SAFETY: libc calls a constructor once, before main.
        unsafe { start::start(&process, loader) };
    }
}
