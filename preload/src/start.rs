//! The flow of the start event: settings, whether this process is tracked, facts, message, send.

use crate::{
    canonical::Paths,
    deliver::{Delivery, deliver},
    destination::{Destination, Route},
    disclosure::{Disclosure, WITHHELD, disclosure},
    encoder::Encoder,
    event_id::event_id,
    executable::{canonical_executable, executable_path},
    field_numbers::{message_type, module, process_info},
    imports::is_sandbox_library,
    loader::Loader,
    namespaces::{Namespaces, has_own_users, outside},
    objects::{write_build_id, write_notes, write_object},
    parts::Event,
    path_buffer::PathBuffer,
    process::Process,
    proxy,
    say::Words,
    settings::{Settings, split},
    spool::Spool,
    state::{self, Text, Tracked},
    surroundings::Surroundings,
    sys,
};

/// Name and version of this library, as the event has them.
const CLIENT: &str = concat!("libogrt ", env!("CARGO_PKG_VERSION"));
/// Most calls of readlink for the executable and the directories of its objects; each object allows
/// one more. A bound, not a budget: most processes need eight.
const READLINKS_MAX: u32 = 96;
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
    let settings = Settings::read(process);
    let mut path_room = PathBuffer::new();
    let called = executable_path(process, loader, &mut path_room);
    // A process with an absolute path is left out without asking the kernel anything.
    let is_absolute = called.first() == Some(&b'/');
    let mut choice = match is_absolute {
        true => choice_as_called(&settings, called),
        false => Choice::Unknown,
    };
    if choice == Choice::LeaveOut {
        return;
    }
    let mut directory_room = PathBuffer::new();
    let directory = directory_room.set_to_working_directory().unwrap_or_default();
    let mut paths = Paths::new(directory, READLINKS_MAX);
    let mut room = PathBuffer::new();
    if !is_absolute {
        choice = choice_as_called(&settings, paths.absolute(called, &mut room));
    }
    if choice == Choice::LeaveOut {
        return;
    }
    let executable = canonical_executable(&mut paths, called, &mut room);
    if settings.skips(executable) || choice == Choice::Unknown && !settings.lets_in(executable) {
        return;
    }

    let destination = Destination::parse(settings.server);
    let facts = Facts {
        process,
        settings: &settings,
        surroundings: Surroundings::read(process, settings.job_id_variables),
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
    let spool = Spool::new(settings.spool_directory);

    let mut message_room = sys::uninitialised::<ROOM>();
    // SAFETY: the room is used by nobody else and outlives the encoder.
    let mut message = unsafe { Encoder::new(&mut message_room) };
    let summary = facts.write(&mut message, &event_id, host_name, Some(loader), &mut paths);
    if message.overflowed() {
        // There is no memory for all of it, so the event is short and says so.
        message.restart();
        facts.write(&mut message, &event_id, host_name, None, &mut paths);
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
    if settings.debug_info {
        say_settings(&settings);
    }
    if !settings.silent {
        say_sent(b"start", &facts, summary.objects, event.message.len(), delivery);
    }
    message.release();
    if settings.end {
        // SAFETY: the constructor's only call.
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
                silent: settings.silent,
                job_id: Text::new(facts.surroundings.job_id),
                cluster: Text::new(facts.surroundings.cluster),
                host_name: Text::new(host_name),
            });
        }
    }
}

/// The decision of OGRT_SKIP and OGRT_ONLY by the path as it was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    LeaveOut,
    LetIn,
    /// The canonical path decides.
    Unknown,
}

/// Decides by the path as it was called, as far as possible. So a process that is left out costs no
/// system call, or one readlink: it finds out whether the file is a link, whose target OGRT_ONLY
/// may name.
fn choice_as_called(settings: &Settings, path: &[u8]) -> Choice {
    // /bin and /sbin have been links to /usr for ten years.
    let mut room = PathBuffer::new();
    let is_merged = path.starts_with(b"/bin/") || path.starts_with(b"/sbin/");
    let joined = is_merged && room.push(b"/usr").and_then(|()| room.push(path)).is_some();
    let merged = if joined { room.as_bytes() } else { path };
    if settings.skips(path) || settings.skips(merged) {
        return Choice::LeaveOut;
    }
    if settings.lets_in(path) || settings.lets_in(merged) {
        return Choice::LetIn;
    }
    let mut name = PathBuffer::new();
    let mut target = [0u8; 1];
    let is_link = name.of(path).is_some_and(|name| sys::read_link(name, &mut target).is_ok());
    if is_link { Choice::Unknown } else { Choice::LeaveOut }
}

/// The outcome of the walk over the loaded objects.
struct ObjectSummary {
    /// Their number, the executable included.
    objects: usize,
    /// One of them installs system call filters.
    sandbox_library: bool,
}

/// What the start event says of this process, except its objects.
struct Facts<'a> {
    process: &'a Process,
    settings: &'a Settings,
    surroundings: Surroundings,
    executable: &'a [u8],
    directory: &'a [u8],
    time: sys::Time,
    pid: i32,
    identity: Identity,
}

/// Who the process is to others than itself.
struct Identity {
    parent_pid: i32,
    uid: Option<u32>,
    gid: Option<u32>,
    namespaces: Namespaces,
}

impl Identity {
    /// Asks only as much as the server does not learn from the kernel. Over a Unix socket that
    /// proves the user.
    fn read(process: &Process, destination: Option<&Destination>) -> Self {
        let parent_pid = sys::parent_pid();
        let is_proved = destination.is_some_and(|destination| destination.route == Route::Unix);
        let has_own_users = !is_proved && has_own_users();
        let (mut uid, mut gid) = (process.uid(), process.gid());
        if has_own_users {
            uid = uid.and_then(|uid| outside(b"/proc/self/uid_map\0", uid));
            gid = gid.and_then(|gid| outside(b"/proc/self/gid_map\0", gid));
        }
        Identity { parent_pid, uid, gid, namespaces: Namespaces::read(parent_pid, has_own_users) }
    }
}

/// What is missing from an event, as `ogrt.proto` counts it.
mod missing {
    pub const ARGUMENTS: u64 = 1;
    pub const OBJECTS: u64 = 2;
    pub const EXECUTABLE: u64 = 4;
    pub const DIRECTORY: u64 = 8;
}

impl Facts<'_> {
    /// Writes the message; without a loader only what is always small.
    fn write(
        &self,
        out: &mut Encoder,
        event_id: &[u8; 16],
        host_name: &[u8],
        loader: Option<Loader>,
        paths: &mut Paths,
    ) -> ObjectSummary {
        let around = &self.surroundings;
        out.field(process_info::EVENT_ID, event_id);
        out.field(process_info::BINPATH, self.executable);
        out.varint(process_info::PID, self.pid as u64);
        out.varint(process_info::PARENT_PID, self.identity.parent_pid as u64);
        out.varint(process_info::TIME, self.time.as_seconds() as u64);
        out.varint(process_info::START_TIME_NS, self.time.as_nanoseconds());
        let Identity { uid, gid, namespaces, .. } = &self.identity;
        out.varint_if_known(process_info::UID, uid.map(u64::from));
        out.varint_if_known(process_info::GID, gid.map(u64::from));
        out.varint_if_known(process_info::PID_NAMESPACE, namespaces.pid);
        out.varint_if_known(process_info::USER_NAMESPACE, namespaces.user);
        out.varint_if_known(process_info::UTS_NAMESPACE, namespaces.uts);
        out.varint_if_known(process_info::MOUNT_NAMESPACE, namespaces.mount);
        out.field_unless_empty(process_info::HOSTNAME, host_name);
        out.field_unless_empty(process_info::WORKING_DIRECTORY, self.directory);
        out.field_unless_empty(process_info::JOB_ID, around.job_id);
        out.field_unless_empty(process_info::CLUSTER, around.cluster);
        out.field_unless_empty(process_info::JOB_STEP, around.job_step);
        out.field_unless_empty(process_info::ARRAY_INDEX, around.array_index);
        out.field_unless_empty(process_info::CONTAINER, around.container);
        out.varint_if_known(process_info::MPI_RANK, around.mpi_rank.map(u64::from));
        out.varint_if_known(process_info::MPI_SIZE, around.mpi_size.map(u64::from));
        let mut line = [0; proxy::ROOM];
        let is_by_proxy = around.launch.is_by_proxy();
        let told = is_by_proxy.then(|| proxy::launch(self.identity.parent_pid, &mut line)).flatten();
        if let Some(pieces) = told.as_ref().map(<[_; 4]>::as_slice).or(around.launch.pieces()) {
            out.gathered(process_info::LAUNCH, pieces);
        }
        out.field(process_info::CLIENT, CLIENT.as_bytes());
        let mut summary = ObjectSummary { objects: 0, sandbox_library: false };
        let mut missing = match loader {
            Some(_) => 0,
            None => missing::ARGUMENTS | missing::OBJECTS,
        };
        if self.executable.first() != Some(&b'/') {
            missing |= missing::EXECUTABLE;
        }
        if self.directory.is_empty() {
            missing |= missing::DIRECTORY;
        }
        out.varint_if_known(process_info::INCOMPLETE, (missing != 0).then_some(missing));
        let Some(loader) = loader else { return summary };
        loader.each(self.process, &mut |object| {
            summary.objects += 1;
            summary.sandbox_library |= is_sandbox_library(object.name);
            if object.is_executable {
                write_notes(out, process_info::NOTES, object);
                write_build_id(out, process_info::BUILD_ID, object);
            } else {
                let preloaded = around.is_preloaded(object.name);
                write_object(out, process_info::SHARED_OBJECTS, object, paths, preloaded);
            }
            true
        });
        for (name, file) in around.loaded_modules() {
            out.message(process_info::LOADED_MODULES, |out| {
                out.field(module::NAME, name);
                out.field_unless_empty(module::FILE, file);
            });
        }
        for argument in self.process.arguments {
            out.field(process_info::ARGUMENTS, argument);
        }
        if !matches!(self.settings.environment, b"" | b"none") {
            self.write_environment(out);
        }
        summary
    }

    fn write_environment(&self, out: &mut Encoder) {
        for entry in self.process.environment {
            match disclosure(self.settings.environment, entry) {
                Disclosure::Hidden => {}
                Disclosure::Whole => out.field(process_info::ENVIRONMENT_VARIABLES, entry),
                Disclosure::NameOnly => {
                    let name = split(entry).map(|(name, _)| name).unwrap_or_default();
                    let pieces = [name, b"=", WITHHELD];
                    out.gathered(process_info::ENVIRONMENT_VARIABLES, &pieces);
                }
            }
        }
    }
}

fn say_settings(settings: &Settings) {
    let or_unset = |text: &'static [u8]| if text.is_empty() { &b"(unset)"[..] } else { text };
    Words::new()
        .text(b"ogrt: ")
        .text(CLIENT.as_bytes())
        .line_end()
        .text(b"ogrt: OGRT_SERVER=")
        .text(settings.server)
        .line_end()
        .text(b"ogrt: OGRT_SPOOL_DIR=")
        .text(or_unset(settings.spool_directory))
        .line_end()
        .text(b"ogrt: OGRT_JOBID_VARS=")
        .text(settings.job_id_variables)
        .line_end()
        .text(b"ogrt: OGRT_ENV=")
        .text(or_unset(settings.environment))
        .line_end()
        .text(b"ogrt: OGRT_SKIP=")
        .text(or_unset(settings.skip))
        .line_end()
        .text(b"ogrt: OGRT_ONLY=")
        .text(or_unset(settings.only))
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
        .text(facts.settings.server)
        .say();
}
