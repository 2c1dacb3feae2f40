//! The flow of the start event of a static program. It is that of the library, but nothing is said,
//! and nothing is kept for an end.

use crate::{
    deliver::deliver,
    destination::Destination,
    encoder::Encoder,
    event_id::event_id,
    field_numbers::message_type,
    loader::Loader,
    message::{Extent, Facts, Identity},
    parts::{Event, MESSAGE_MAX},
    process::Process,
    settings::Settings,
    spool::Spool,
    surroundings::job_id,
    sys,
    tracked_program::{TrackedProgram, with_tracked_program},
    variables::Variables,
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
        tell(process, loader, settings, &variables, program);
    });
}

/// Writes and sends the event.
#[inline(always)]
fn tell(
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
    facts.write(&mut message, &event_id, host_name, Extent::Whole, &mut paths);
    let frame_type = message_type::PROCESS_INFO;
    if message.overflowed() || message.bytes().len() > MESSAGE_MAX {
        message.restart();
        facts.write(&mut message, &event_id, host_name, Extent::WithoutArguments, &mut paths);
    }
    if !message.overflowed() && message.bytes().len() <= MESSAGE_MAX {
        let event = Event { frame_type, message: message.bytes(), event_id: &event_id, pid: facts.pid };
        deliver(&event, destination.as_ref(), spool.as_ref());
    }
    message.release();
}
