//! The loader's entry points for an audit library (rtld-audit(7)): inert under LD_PRELOAD, where nobody calls them.
//!
//! Named in LD_AUDIT the library lives in a namespace of its own, without libc, and the program cannot see it:
//! AddressSanitizer, which refuses to start behind a preloaded library, starts. The constructor runs before the
//! program is loaded, so it only remembers what glibc passes it; the start event is sent when everything is
//! loaded and nothing has run, in `la_preinit`.

use crate::{
    loader::{LinkMap, Loader},
    process::Process,
    settings::Settings,
    start,
};
use core::{cell::UnsafeCell, ptr};

struct Audited {
    process: Option<Process>,
    executable: *const LinkMap,
}

struct Slot(UnsafeCell<Audited>);

// SAFETY: the loader calls constructors and audit functions up to la_preinit before there is a second thread, and
// afterwards nothing here is written.
unsafe impl Sync for Slot {}

#[unsafe(link_section = ".data")]
static AUDITED: Slot = Slot(UnsafeCell::new(Audited { process: None, executable: ptr::null() }));

/// The constructor's part.
///
/// # Safety
/// Called by the constructor, in a namespace without libc, with what glibc passed it.
pub unsafe fn remember(process: Process) {
    // SAFETY: see `Slot`.
    unsafe { (*AUDITED.0.get()).process = Some(process) };
}

/// Answers with the version offered, so that any glibc goes on with us; with 0 where this process is not to be
/// tracked, and then the loader unloads us.
#[unsafe(no_mangle)]
extern "C" fn la_version(version: u32) -> u32 {
    // SAFETY: see `Slot`.
    let process = unsafe { &(*AUDITED.0.get()).process };
    let wanted = |process: &Process| Settings::are_active(process.environment) && !is_preloaded_too(process);
    if process.as_ref().is_some_and(wanted) { version } else { 0 }
}

/// Called for each object as it is loaded, the executable first. No bindings are to be reported, so calls between
/// objects cost what they always do.
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

/// Everything is loaded, nothing has run.
#[unsafe(no_mangle)]
extern "C" fn la_preinit(_cookie: *mut usize) {
    // SAFETY: see `Slot`; the loader calls this once.
    unsafe {
        let audited = &*AUDITED.0.get();
        if let (Some(process), false) = (&audited.process, audited.executable.is_null()) {
            start::start(process, Loader::LinkMap(audited.executable));
        }
    }
}

/// Under both, the preloaded copy speaks.
fn is_preloaded_too(process: &Process) -> bool {
    process.variable(b"LD_PRELOAD").is_some_and(|list| {
        list.split(|byte| matches!(byte, b':' | b' ')).any(|name| name.ends_with(b"libogrt.so"))
    })
}
