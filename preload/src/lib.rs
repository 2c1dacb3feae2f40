//! libogrt.so: brought into every process by the dynamic loader, it reads the notes of what is
//! loaded and sends one small event when the process starts. Then it does nothing more; only where
//! OGRT_END is 1 it also speaks at the end.
//!
//! Policy. This runs in other people's programs, so no user may notice it. These tests hold that:
//!
//! | promise | test |
//! |---|---|
//! | no fork, thread, name lookup, signal handler or open file in a usual process | `no_system_call_is_made_but_these` (`tests/preload/tests/quiet.rs`) |
//! | environment, descriptors, `errno`, signals and random numbers as without us | `nobody_notices` (`tests/behaviour`) |
//! | nothing after the start: no system call, no lock, no walk | `after_the_start_there_is_no_call` (`tests/preload/tests/quiet.rs`) |
//! | less than 2 ms when the server is hung, full or absent | `a_hung_full_or_absent_server_costs_nothing` (`tests/preload/tests/transports.rs`) |
//! | nothing is printed unless asked for | `nothing_is_said_unless_asked_for` (`quiet.rs`) |
//! | no library, so no allocator and no stdio; weak symbols only, no export but the loader's entry points, no panic | `tests/preload/tests/shape.rs` |
//!
//! There is no libc underneath: system calls go straight to the kernel (`sys`), and the few symbols
//! that we want of libc are weak (`process`, `loader`). The two flows are `start` and `end`, told
//! from top to bottom.
#![no_std]

mod arch;
mod audit;
mod canonical;
mod deliver;
mod destination;
mod disclosure;
mod encoder;
mod end;
mod event_id;
mod executable;
// The file itself, since the crate ogrt-proto allocates.
#[path = "../../proto/src/field_numbers.rs"]
pub mod field_numbers;
mod glob;
mod imports;
mod literal;
mod loader;
mod memory;
mod namespaces;
mod objects;
mod parts;
mod path_buffer;
mod process;
mod proxy;
mod reach;
mod say;
mod settings;
mod spool;
mod start;
mod state;
mod surroundings;
mod sys;

use core::ffi::{c_char, c_int};
use loader::Loader;
use process::Process;
use settings::Settings;

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
    let Some(process) = Process::find(count, arguments, environment) else { return };
    if !Settings::are_active(process.environment) {
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

/// The linker drops this function as long as nothing can panic. `panics_nowhere` looks for its
/// words in the library.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    say::Words::new().text(b"ogrt: libogrt.so panicked").say();
    loop {
        core::hint::spin_loop();
    }
}
