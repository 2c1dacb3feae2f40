//! libogrt.so: brought into every process by the dynamic loader, it reads the notes of what is loaded and
//! sends one small event when the process starts and one when it ends.
//!
//! Policy. This runs in other people's programs, so no user may ever notice it: no fork, thread, allocation, stdio,
//! name lookup, change of environment, signal handler, descriptor left open, `errno` or random state; nothing
//! waits; nothing is printed unless asked for. There is no libc underneath: system calls go straight to the
//! kernel (`sys`), the three or four symbols we want of libc are weak (`process`, `loader`), and nothing is
//! exported but the loader's entry points. Nothing panics: a test looks for the panic handler in the built
//! library.
//!
//! The two flows are `start` and `end`, told from top to bottom.
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
#[path = "../../proto/src/field_numbers.rs"]
pub mod field_numbers;
mod glob;
mod imports;
mod literal;
mod loader;
mod objects;
mod parts;
mod process;
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
use process::{Process, Strings};
use settings::Settings;

type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = on_load;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = on_exit;

/// glibc passes a constructor what it passes to main. musl passes nothing, so the arguments are looked at only
/// where there is no libc: in the namespace of an audit library, which only glibc has.
extern "C" fn on_load(_count: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
    match Loader::of_libc() {
        Some(_) if !Settings::are_active(Strings::environment_of_libc()) => {}
        // SAFETY: the loader calls a constructor once, before main.
        Some(loader) => unsafe { start::start(&Process::from_libc(), loader) },
        // SAFETY: as said above.
        None => unsafe { audit::remember(Process::from_constructor(arguments, environment)) },
    }
}

extern "C" fn on_exit() {
    end::end();
}

/// Never linked in as long as nothing panics; the words are what the test looks for.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    say::Words::new().text(b"ogrt: libogrt.so panicked").say();
    loop {
        core::hint::spin_loop();
    }
}
