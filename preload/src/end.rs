//! The flow of the end event: duration, resources, and the objects that were loaded after the
//! start. Only where OGRT_END is 1 (`after_the_start_there_is_no_call`): docs/preload.md says what
//! it can do to a program.
//!
//! It is sent when the program returns from main or calls exit. After `_exit`, a signal or exec
//! there is only the start event (`what_does_not_end_normally_has_its_start`).

use crate::{
    canonical::Paths,
    deliver::deliver,
    encoder::Encoder,
    field_numbers::{message_type, process_end},
    imports::imports,
    loaded_object::LoadedObject,
    objects::write_object,
    parts::Event,
    say::Words,
    state, sys,
};

/// Bytes of the message on the stack: the thread that ends a process may have a small one.
const ROOM: usize = 1 << 10;
/// Most calls of readlink for the directories of the objects; each object allows one more.
const READLINKS_MAX: u32 = 96;

/// Sends the end event, if the start event was this very process's.
pub fn end() {
    let Some(tracked) = state::tracked() else { return };
    let executable = LoadedObject::executable(&tracked.process);
    if tracked.may_be_sandboxed || executable.is_some_and(|object| imports(&object, b"prctl")) {
        return;
    }
    let pid = sys::pid();
    // A forked child that exits runs this too, and a child of vfork does so in its parent's memory.
    if pid != tracked.pid {
        return;
    }
    let duration_ns = sys::clock(sys::MONOTONIC).as_nanoseconds().saturating_sub(tracked.started_ns);
    let usage = sys::usage();

    let mut room = sys::uninitialised::<ROOM>();
    // SAFETY: the room is used by nobody else and outlives the encoder.
    let mut out = unsafe { Encoder::new(&mut room) };
    out.field(process_end::EVENT_ID, &tracked.event_id);
    out.varint(process_end::PID, pid as u64);
    out.varint(process_end::TIME_NS, tracked.start_time_ns.saturating_add(duration_ns));
    out.varint(process_end::DURATION_NS, duration_ns);
    let before = tracked.usage;
    out.varint(process_end::USER_TIME_US, usage.user_us.saturating_sub(before.user_us));
    out.varint(process_end::SYSTEM_TIME_US, usage.system_us.saturating_sub(before.system_us));
    // Else the peak is that of the program before exec, and ours is not known.
    if usage.max_rss_kib > before.max_rss_kib {
        out.varint(process_end::MAX_RSS_KIB, usage.max_rss_kib);
    }
    out.field_unless_empty(process_end::JOB_ID, tracked.job_id.as_bytes());
    out.field_unless_empty(process_end::CLUSTER, tracked.cluster.as_bytes());
    out.field_unless_empty(process_end::HOSTNAME, tracked.host_name.as_bytes());
    if tracked.events_lost > 0 {
        out.varint(process_end::EVENTS_LOST, tracked.events_lost);
    }
    // The working directory may have changed since, but the loader's names are absolute with rare
    // exceptions.
    let mut paths = Paths::new(b"", READLINKS_MAX);
    let mut seen = 0;
    tracked.loader.beside_threads(&tracked.process).each(&tracked.process, &mut |object| {
        seen += 1;
        // The loader appends, and what was there at the start cannot be unloaded.
        if seen > tracked.objects {
            write_object(&mut out, process_end::SHARED_OBJECTS, object, &mut paths, false);
        }
        true
    });
    if !out.overflowed() {
        let event = Event {
            frame_type: message_type::PROCESS_END,
            message: out.bytes(),
            event_id: &tracked.event_id,
            pid,
        };
        let delivery = deliver(&event, tracked.destination.as_ref(), tracked.spool.as_ref());
        if !tracked.silent {
            Words::new()
                .text(b"ogrt: end of process ")
                .number(pid as u64)
                .text(b" ")
                .text(delivery.in_words())
                .text(b"the server")
                .say();
        }
    }
    out.release();
}
