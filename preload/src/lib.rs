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
//! that we want of libc are weak (`loaded`, `loader`). The two flows are `start` and `end`, told
//! from top to bottom.
//!
//! With the feature `static` it is the code that the wrappers link into static programs
//! (`OGRT_STATIC=1`). Those have no loader to bring a library, and one object each: themselves. The
//! folder `static_program` has smaller files in place of those of the same names. They say and do
//! less: nothing is printed, an event is one frame, and there is none at the end. So a program
//! grows by less than 16 KiB (`a_program_grows_by_less_than_16_kib` in `tests/wrappers`).
#![no_std]

mod arch;
#[cfg(not(feature = "static"))]
mod audit;
#[cfg(not(feature = "static"))]
mod canonical;
#[cfg(feature = "static")]
#[path = "static_program/canonical.rs"]
mod canonical;
mod choice;
#[cfg(not(feature = "static"))]
mod deliver;
#[cfg(feature = "static")]
#[path = "static_program/deliver.rs"]
mod deliver;
mod destination;
mod disclosure;
mod encoder;
#[cfg(not(feature = "static"))]
mod end;
mod event_id;
#[cfg(not(feature = "static"))]
mod executable;
#[cfg(feature = "static")]
#[path = "static_program/executable.rs"]
mod executable;
// The file itself, since the crate ogrt-proto allocates.
#[path = "../../proto/src/field_numbers.rs"]
pub mod field_numbers;
mod glob;
#[cfg(not(feature = "static"))]
mod imports;
mod launch;
mod linkage;
#[cfg(feature = "static")]
mod linked;
mod literal;
#[cfg(not(feature = "static"))]
mod loaded;
mod loaded_object;
#[cfg(not(feature = "static"))]
mod loader;
#[cfg(feature = "static")]
#[path = "static_program/loader.rs"]
mod loader;
#[cfg(not(feature = "static"))]
mod memory;
mod message;
mod namespaces;
mod notes;
#[cfg(not(feature = "static"))]
mod objects;
#[cfg(feature = "static")]
#[path = "static_program/objects.rs"]
mod objects;
#[cfg(not(feature = "static"))]
mod parts;
#[cfg(feature = "static")]
#[path = "static_program/parts.rs"]
mod parts;
#[cfg(not(feature = "static"))]
mod path_buffer;
#[cfg(feature = "static")]
#[path = "static_program/path_buffer.rs"]
mod path_buffer;
#[cfg(not(feature = "static"))]
mod preloaded;
mod process;
mod proxy;
mod reach;
mod room;
mod say;
mod settings;
#[cfg(not(feature = "static"))]
mod spool;
#[cfg(feature = "static")]
#[path = "static_program/spool.rs"]
mod spool;
#[cfg(not(feature = "static"))]
mod start;
#[cfg(feature = "static")]
#[path = "static_program/start.rs"]
mod start;
#[cfg(not(feature = "static"))]
mod state;
mod surroundings;
mod sys;
mod tracked_program;
mod variables;

/// The linker drops this function as long as nothing can panic. `panics_nowhere` looks for its
/// words in the library.
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo) -> ! {
    say::Words::new().text(b"ogrt: libogrt.so panicked").say();
    loop {
        core::hint::spin_loop();
    }
}
