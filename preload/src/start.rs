//! The flow of the start event: settings, whether this process is tracked, facts, message, send.

use crate::{
    deliver::{Delivery, deliver},
    destination::Destination,
    encoder::Encoder,
    event_id::event_id,
    field_numbers::message_type,
    loader::Loader,
    message::{CLIENT, Extent, Facts, Identity},
    parts::Event,
    process::Process,
    say::Words,
    settings::Settings,
    spool::Spool,
    state::{self, Text, Tracked},
    surroundings::job_id,
    sys,
    tracked_program::{TrackedProgram, with_tracked_program},
    variables::{Meaning, Variables},
};

/// Bytes of the message on the stack: a usual event fits, a larger one moves to memory of its own.
const ROOM: usize = 8 << 10;

/// Sends the start event of this active process, unless OGRT_SKIP or OGRT_ONLY leaves it out.
///
/// # Safety
/// Called once, before the program's own code runs.
pub unsafe fn start(process: &Process, loader: Loader) {
    if process.is_secure() {
        return;
    }
    let variables = Variables::read(process);
    let settings = Settings::new(&variables);
    with_tracked_program(process, loader, settings, |program| {
        // SAFETY: this function is called once, and calls it once.
        unsafe { tell(process, loader, settings, &variables, program) };
    });
}

/// Writes and sends the event, and keeps what the event of the end needs.
///
/// # Safety
/// Called once, by [`start`].
#[inline(always)]
unsafe fn tell(
    process: &Process,
    loader: Loader,
    settings: Settings,
    variables: &Variables,
    program: TrackedProgram<'_>,
) {
    let TrackedProgram { executable, directory, mut paths } = program;

    let destination = Destination::parse(settings.server());
    let facts = Facts {
        process,
        loader,
        settings,
        variables,
        job_id: job_id(process, settings.job_id_variables()),
        executable,
        directory,
        time: sys::clock(sys::REALTIME),
        pid: sys::pid(),
        identity: Identity::read(process, destination.as_ref()),
    };
    let start_time_ns = facts.time.as_nanoseconds();
    let event_id = event_id(start_time_ns, facts.pid);
    let mut host_room = [0u8; 390];
    let host_name = sys::host_name(&mut host_room);
    let spool = Spool::new(settings.spool_directory());

    let mut message_room = sys::uninitialised::<ROOM>();
    // SAFETY: the room is used by nobody else and outlives the encoder.
    let mut message = unsafe { Encoder::new(&mut message_room) };
    let summary = facts.write(&mut message, &event_id, host_name, Extent::Whole, &mut paths);
    if message.overflowed() {
        // There is no memory for all of it, so the event is short and says so.
        message.restart();
        facts.write(&mut message, &event_id, host_name, Extent::Small, &mut paths);
    }
    let event = Event {
        frame_type: message_type::PROCESS_INFO,
        message: message.bytes(),
        event_id: &event_id,
        pid: facts.pid,
    };
    let delivery = match message.overflowed() {
        true => Delivery::Lost,
        false => deliver(&event, destination.as_ref(), spool.as_ref()),
    };
    if settings.debug_info() {
        say_settings(settings);
    }
    if !settings.silent() {
        say_sent(b"start", &facts, summary.objects, event.message.len(), delivery);
    }
    message.release();
    if settings.end() {
        // SAFETY: the only call, as this function's is.
        unsafe {
            state::track(Tracked {
                event_id,
                pid: facts.pid,
                started_ns: sys::clock(sys::MONOTONIC).as_nanoseconds(),
                start_time_ns,
                usage: sys::usage(),
                destination,
                spool,
                loader,
                process: *process,
                objects: summary.objects,
                may_be_sandboxed: summary.sandbox_library,
                events_lost: u64::from(delivery == Delivery::Lost),
                silent: settings.silent(),
                job_id: Text::new(facts.job_id),
                cluster: Text::new(variables.value(Meaning::Cluster)),
                host_name: Text::new(host_name),
            });
        }
    }
}

fn say_settings(settings: Settings) {
    let or_unset = |text: &'static [u8]| if text.is_empty() { &b"(unset)"[..] } else { text };
    Words::new()
        .text(b"ogrt: ")
        .text(CLIENT.as_bytes())
        .line_end()
        .text(b"ogrt: OGRT_SERVER=")
        .text(settings.server())
        .line_end()
        .text(b"ogrt: OGRT_SPOOL_DIR=")
        .text(or_unset(settings.spool_directory()))
        .line_end()
        .text(b"ogrt: OGRT_JOBID_VARS=")
        .text(settings.job_id_variables())
        .line_end()
        .text(b"ogrt: OGRT_ENV=")
        .text(or_unset(settings.environment()))
        .line_end()
        .text(b"ogrt: OGRT_SKIP=")
        .text(or_unset(settings.skip()))
        .line_end()
        .text(b"ogrt: OGRT_ONLY=")
        .text(or_unset(settings.only()))
        .say();
}

fn say_sent(what: &[u8], facts: &Facts, objects: usize, bytes: usize, delivery: Delivery) {
    Words::new()
        .text(b"ogrt: ")
        .text(what)
        .text(b" of ")
        .text(facts.executable)
        .text(b" (process ")
        .number(facts.pid as u64)
        .text(b", ")
        .number(objects as u64)
        .text(b" objects, ")
        .number(bytes as u64)
        .text(b" bytes) ")
        .text(delivery.in_words())
        .text(facts.settings.server())
        .say();
}
