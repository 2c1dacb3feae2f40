//! The loader's entry points for an audit library (rtld-audit(7)). Under LD_PRELOAD nobody calls
//! them.
//!
//! Named in LD_AUDIT the library lives in a namespace of its own, without libc, and the program
//! cannot see it: AddressSanitizer, which refuses to start behind a preloaded library, starts
//! (`address_sanitizer_programs_run_and_still_find_their_bugs`). The constructor runs before the
//! program is loaded, so it only remembers what glibc passes it. `la_preinit` sends the start
//! event, when everything is loaded and nothing has run.

use crate::{
    loader::{LinkMap, Loader},
    process::Process,
    start,
};
use core::{cell::UnsafeCell, ptr};

struct Audited {
    process: Option<Process>,
    executable: *const LinkMap,
}

struct Slot(UnsafeCell<Audited>);

// SAFETY: the loader calls constructors and audit functions up to la_preinit before there is a
// second thread, and afterwards nothing here is written.
unsafe impl Sync for Slot {}

#[unsafe(link_section = ".data")]
static AUDITED: Slot = Slot(UnsafeCell::new(Audited { process: None, executable: ptr::null() }));

/// Keeps what the constructor has found of an active process.
///
/// # Safety
/// Called by the constructor.
pub unsafe fn remember(process: Process) {
    // SAFETY: see `Slot`.
    unsafe { (*AUDITED.0.get()).process = Some(process) };
}

/// Answers with the version that the loader offers, so that every later glibc accepts us. The
/// answer 0 makes the loader unload us: where this process is not to be tracked, and where the
/// loader is older than glibc 2.35 (`an_old_loader_is_refused`). Such a one makes each first call
/// of a function slow, and on some machines loses arguments.
#[unsafe(no_mangle)]
extern "C" fn la_version(version: u32) -> u32 {
    const GLIBC_2_35: u32 = 2;
    // SAFETY: see `Slot`.
    let is_wanted = unsafe { (*AUDITED.0.get()).process.is_some() };
    if is_wanted && version >= GLIBC_2_35 { version } else { 0 }
}

/// The loader calls this for each object that it loads, the executable first. The answer 0 asks for
/// no report of bindings, so calls between objects cost what they always do.
#[unsafe(no_mangle)]
extern "C" fn la_objopen(map: *const LinkMap, namespace: isize, _cookie: *mut usize) -> u32 {
    const LM_ID_BASE: isize = 0;
    // SAFETY: see `Slot`; after the first call this only reads.
    unsafe {
        let audited = AUDITED.0.get();
        if namespace == LM_ID_BASE && (*audited).executable.is_null() {
            (*audited).executable = map;
        }
    }
    0
}

/// The loader calls this when everything is loaded and nothing has run.
#[unsafe(no_mangle)]
extern "C" fn la_preinit(_cookie: *mut usize) {
    // SAFETY: see `Slot`; the loader calls this once.
    unsafe {
        let audited = &*AUDITED.0.get();
        if let (Some(process), false) = (&audited.process, audited.executable.is_null()) {
            let loader = Loader::LinkMap(audited.executable);
            if !is_preloaded_too(process, loader) {
                start::start(process, loader);
            }
        }
    }
}

/// The library was preloaded as well; then only that copy sends
/// (`under_both_only_one_of_us_speaks`). What LD_PRELOAD says is not asked: the file may be
/// missing, or of another class.
fn is_preloaded_too(process: &Process, loader: Loader) -> bool {
    let mut found = false;
    loader.each(process, &mut |object| {
        found = object.name.ends_with(b"/libogrt.so");
        !found
    });
    found
}
