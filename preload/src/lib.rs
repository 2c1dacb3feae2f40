//! libogrt.so: brought into every process by the dynamic loader, it reads the watermarks of what is loaded and
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
mod canonical;
mod deliver;
mod destination;
mod disclosure;
mod encoder;
mod end;
mod event_id;
mod executable;
mod fields;
mod glob;
mod literal;
mod loader;
mod objects;
mod parts;
mod process;
mod say;
mod settings;
mod spool;
mod start;
mod state;
mod surroundings;
mod sys;

use loader::Loader;
use process::Process;

/// musl passes a constructor no arguments, so it takes none.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = on_load;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = on_exit;

extern "C" fn on_load() {
    // Without libc's list of objects this is no program's namespace.
    if let Some(loader) = Loader::of_libc() {
        // SAFETY: the loader calls a constructor once, before main.
        unsafe { start::start(&Process::from_libc(), loader) };
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
