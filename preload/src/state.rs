//! What the end of a process needs from its beginning. Only where OGRT_END is 1: else nothing is
//! kept, and nothing is done at the end.
//!
//! One static in .data, because a .bss would cost every process another mapping. The constructor
//! writes it before the program has a thread of its own.

use crate::{
    destination::Destination, loader::Loader, memory::Memory, process::Process, spool::Spool, sys::Usage,
};
use core::cell::UnsafeCell;

/// A tracked process.
pub struct Tracked {
    /// The id of its event.
    pub event_id: [u8; 16],
    /// The process that sent the start: a forked child has another number and stays silent.
    pub pid: i32,
    /// Monotonic clock at the start, nanoseconds.
    pub started_ns: u64,
    /// Unix time at the start, nanoseconds.
    pub start_time_ns: u64,
    /// The resources that were used before: exec keeps those of the program before it.
    pub usage: Usage,
    /// The server.
    pub destination: Option<Destination>,
    /// The spool for events that nobody takes.
    pub spool: Option<Spool>,
    /// The source of the list of loaded objects.
    pub loader: Loader,
    /// The process as it was started, for the addresses of the kernel's objects.
    pub process: Process,
    /// The number of objects at the start.
    pub objects: usize,
    /// The number of events that could not be sent: 1 where the start was lost.
    pub events_lost: u64,
    /// A library that installs system call filters is loaded.
    pub may_be_sandboxed: bool,
    /// Nothing is said (OGRT_SILENT).
    pub silent: bool,
    /// The job id, for an end that the server receives without the start.
    pub job_id: Text<64>,
    /// The job's cluster, likewise.
    pub cluster: Text<32>,
    /// The host's name.
    pub host_name: Text<64>,
}

/// A copy of a text, since the program may overwrite its environment. One that is longer than `N`
/// bytes is in memory of its own (`a_long_job_id_is_in_the_end_too`).
pub struct Text<const N: usize> {
    small: [u8; N],
    large: Option<Memory>,
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Copies a text; the copy is empty where there is no memory.
    pub fn new(text: &[u8]) -> Self {
        let large = if text.len() > N { Memory::new(text.len()) } else { None };
        let mut copy = Text { small: [0; N], large, len: 0 };
        let room = match &mut copy.large {
            Some(memory) => memory.bytes_mut(),
            None => &mut copy.small,
        };
        if let Some(room) = room.get_mut(..text.len()) {
            room.copy_from_slice(text);
            copy.len = text.len();
        }
        copy
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        let room = self.large.as_ref().map_or(&self.small[..], Memory::bytes);
        room.get(..self.len).unwrap_or_default()
    }
}

struct Slot(UnsafeCell<Option<Tracked>>);

// SAFETY: written once, before there is a second thread; read by the one thread that ends the
// process.
unsafe impl Sync for Slot {}

#[unsafe(link_section = ".data")]
static TRACKED: Slot = Slot(UnsafeCell::new(None));

/// Keeps the process.
///
/// # Safety
/// The constructor alone may call this.
pub unsafe fn track(tracked: Tracked) {
    // SAFETY: by our caller's promise nobody else is there.
    unsafe { *TRACKED.0.get() = Some(tracked) };
}

/// The process, if it is tracked.
pub fn tracked() -> Option<&'static Tracked> {
    // SAFETY: nobody writes after the constructor.
    unsafe { (*TRACKED.0.get()).as_ref() }
}
