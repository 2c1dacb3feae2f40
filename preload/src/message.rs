//! The message of the start event: what stands in it, in its order.

use crate::{
    canonical::Paths,
    destination::{Destination, Route},
    disclosure::{Disclosure, WITHHELD, disclosure},
    encoder::Encoder,
    field_numbers::process_info,
    launch::write_launch,
    linkage::IS_STATIC,
    literal,
    loader::Loader,
    namespaces::{has_own_pids, has_own_users, outside, write_namespaces},
    objects::{ObjectSummary, write_objects},
    process::Process,
    settings::Settings,
    surroundings::write_modules,
    sys,
    variables::{Meaning, Variables, split},
};

/// Name and version of this library, as the event has them.
pub const CLIENT: &str = concat!("libogrt ", env!("CARGO_PKG_VERSION"));

/// Fields that are the text of a variable.
const TEXTS: &[(u32, Meaning)] = &[
    (process_info::CLUSTER, Meaning::Cluster),
    (process_info::JOB_STEP, Meaning::Step),
    (process_info::ARRAY_INDEX, Meaning::Array),
    (process_info::CONTAINER, Meaning::Container),
    (process_info::ACCOUNT, Meaning::Account),
    (process_info::PARTITION, Meaning::Partition),
    #[cfg(not(feature = "static"))]
    (process_info::ARRAY_JOB, Meaning::ArrayJob),
    #[cfg(not(feature = "static"))]
    (process_info::VISIBLE_GPUS, Meaning::VisibleGpus),
    #[cfg(not(feature = "static"))]
    (process_info::THREADS, Meaning::Threads),
    #[cfg(not(feature = "static"))]
    (process_info::CONDA_PREFIX, Meaning::CondaPrefix),
    #[cfg(not(feature = "static"))]
    (process_info::VIRTUAL_ENVIRONMENT, Meaning::VirtualEnvironment),
];
/// Fields that are the number in a variable.
const NUMBERS: &[(u32, Meaning)] = &[
    (process_info::MPI_RANK, Meaning::Rank),
    (process_info::MPI_SIZE, Meaning::Size),
    #[cfg(not(feature = "static"))]
    (process_info::NODES, Meaning::Nodes),
    #[cfg(not(feature = "static"))]
    (process_info::TASKS, Meaning::Tasks),
    #[cfg(not(feature = "static"))]
    (process_info::CPUS_PER_TASK, Meaning::CpusPerTask),
];

/// What the start event says of this process, except its objects.
pub struct Facts<'a> {
    /// The process.
    pub process: &'a Process,
    /// The source of its objects.
    pub loader: Loader,
    /// The settings in force.
    pub settings: Settings<'a>,
    /// The variables that mean something.
    pub variables: &'a Variables,
    /// The job id.
    pub job_id: &'static [u8],
    /// The canonical path of the executable.
    pub executable: &'a [u8],
    /// The working directory; empty where it is not known.
    pub directory: &'a [u8],
    /// The time of the start.
    pub time: sys::Time,
    /// The number of the process.
    pub pid: i32,
    /// Who the process is to others.
    pub identity: Identity,
}

/// Who the process is to others than itself.
pub struct Identity {
    parent_pid: i32,
    uid: Option<u32>,
    gid: Option<u32>,
    is_in_container: bool,
}

impl Identity {
    /// Asks only as much as the server does not learn from the kernel. Over a Unix socket that
    /// proves the user.
    pub fn read(process: &Process, destination: Option<&Destination>) -> Self {
        let parent_pid = sys::parent_pid();
        let is_proved = destination.is_some_and(|destination| destination.route == Route::Unix);
        let has_own_users = !is_proved && has_own_users();
        let (mut uid, mut gid) = (process.uid(), process.gid());
        if has_own_users {
            uid = uid.and_then(|uid| outside(b"/proc/self/uid_map\0", uid));
            gid = gid.and_then(|gid| outside(b"/proc/self/gid_map\0", gid));
        }
        Identity { parent_pid, uid, gid, is_in_container: has_own_users || has_own_pids(parent_pid) }
    }
}

/// How much of it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All.
    Whole,
    /// Neither arguments nor environment.
    WithoutArguments,
    /// Only what is always small.
    Small,
}

/// What is missing from an event, as `ogrt.proto` counts it.
mod missing {
    pub const ARGUMENTS: u64 = 1;
    pub const OBJECTS: u64 = 2;
    pub const EXECUTABLE: u64 = 4;
    pub const DIRECTORY: u64 = 8;
}

impl Facts<'_> {
    /// Writes the message.
    pub fn write(
        &self,
        out: &mut Encoder,
        event_id: &[u8; 16],
        host_name: &[u8],
        extent: Extent,
        paths: &mut Paths,
    ) -> ObjectSummary {
        let variables = self.variables;
        out.field(process_info::EVENT_ID, event_id);
        out.field(process_info::BINPATH, self.executable);
        out.varint(process_info::PID, self.pid as u64);
        out.varint(process_info::PARENT_PID, self.identity.parent_pid as u64);
        out.varint(process_info::TIME, self.time.as_seconds() as u64);
        out.varint(process_info::START_TIME_NS, self.time.as_nanoseconds());
        let Identity { parent_pid, uid, gid, is_in_container } = self.identity;
        out.varint_if_known(process_info::UID, uid.map(u64::from));
        out.varint_if_known(process_info::GID, gid.map(u64::from));
        if is_in_container {
            write_namespaces(out);
        }
        out.field_unless_empty(process_info::HOSTNAME, host_name);
        out.field_unless_empty(process_info::WORKING_DIRECTORY, self.directory);
        out.field_unless_empty(process_info::JOB_ID, self.job_id);
        for &(field, meaning) in TEXTS {
            out.field_unless_empty(field, variables.value(meaning));
        }
        for &(field, meaning) in NUMBERS {
            let number = literal::number(variables.value(meaning), 10, u32::MAX);
            out.varint_if_known(field, number.map(u64::from));
        }
        write_launch(out, variables, parent_pid);
        out.field(process_info::CLIENT, CLIENT.as_bytes());
        out.varint_if_known(process_info::IS_STATIC, IS_STATIC.then_some(1));
        let mut missing = match extent {
            Extent::Whole => 0,
            Extent::WithoutArguments => missing::ARGUMENTS,
            Extent::Small => missing::ARGUMENTS | missing::OBJECTS,
        };
        if self.executable.first() != Some(&b'/') {
            missing |= missing::EXECUTABLE;
        }
        if self.directory.is_empty() {
            missing |= missing::DIRECTORY;
        }
        out.varint_if_known(process_info::INCOMPLETE, (missing != 0).then_some(missing));
        if extent == Extent::Small {
            return ObjectSummary::default();
        }
        let summary = write_objects(out, self.loader, self.process, variables, paths);
        write_modules(out, variables);
        if extent == Extent::WithoutArguments {
            return summary;
        }
        for argument in self.process.arguments {
            out.field(process_info::ARGUMENTS, argument);
        }
        if !matches!(self.settings.environment(), b"" | b"none") {
            self.write_environment(out);
        }
        summary
    }

    fn write_environment(&self, out: &mut Encoder) {
        for entry in self.process.environment {
            match disclosure(self.settings.environment(), entry) {
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
