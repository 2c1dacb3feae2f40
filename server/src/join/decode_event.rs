//! An event as it stands in its message; `ogrt.proto` explains the fields.

use crate::{
    fields::{Fields, Malformed, Value},
    follow::is_fact,
    queue::Kind,
};
use ogrt_note::Signature;
use ogrt_proto::field_numbers::{
    gpu, job_summary, module, note, package, process_end, process_info, program_count, shared_object,
};

/// A ProcessInfo or a ProcessEnd. Fields that only one of them has are empty in the other.
#[derive(Default)]
pub struct Event<'a> {
    pub event_id: Option<[u8; 16]>,
    pub part_index: u32,
    pub part_count: u32,
    pub pid: Option<i32>,
    pub job_id: &'a [u8],
    pub cluster: &'a [u8],
    pub hostname: &'a [u8],
    pub events_lost: Option<u64>,
    /// A SharedObject each; see [`LoadedObject`].
    pub shared_objects: Vec<&'a [u8]>,

    pub binpath: &'a [u8],
    pub parent_pid: Option<i32>,
    pub namespace_pid: Option<i32>,
    /// Inode numbers: of pid, user, UTS and mount namespace.
    pub namespaces: [Option<u64>; 4],
    /// Bits that `ogrt.proto` names.
    pub incomplete: u64,
    pub time: Option<i64>,
    pub start_time_ns: Option<i64>,
    pub signature: &'a [u8],
    /// A Note each.
    pub notes: Vec<&'a [u8]>,
    pub username: &'a [u8],
    pub claimed_username: &'a [u8],
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub cmdline: &'a [u8],
    pub arguments: Vec<&'a [u8]>,
    pub working_directory: &'a [u8],
    pub environment_variables: Vec<&'a [u8]>,
    /// A Module each.
    pub loaded_modules: Vec<&'a [u8]>,
    pub build_id: &'a [u8],
    pub mpi_rank: Option<u32>,
    pub mpi_size: Option<u32>,
    pub launch: &'a [u8],
    pub ancestor_pid: Option<i32>,
    pub job_step: &'a [u8],
    pub array_index: &'a [u8],
    pub array_job: &'a [u8],
    pub account: &'a [u8],
    pub partition: &'a [u8],
    pub nodes: Option<u64>,
    pub tasks: Option<u64>,
    pub cpus_per_task: Option<u64>,
    pub visible_gpus: &'a [u8],
    pub threads: &'a [u8],
    pub conda_prefix: &'a [u8],
    pub virtual_environment: &'a [u8],
    pub container: &'a [u8],
    pub client: &'a [u8],
    pub is_static: bool,
    pub sampled_ppm: Option<u64>,

    pub end_time_ns: Option<i64>,
    pub duration_ns: Option<u64>,
    pub user_time_us: Option<u64>,
    pub system_time_us: Option<u64>,
    pub max_rss_kib: Option<u64>,
    pub ended_by: Option<u64>,
    pub exit_status: Option<u64>,
    pub signal: Option<u64>,
    pub core_dumped: bool,
    pub oom_killed: bool,
    pub told_by: Option<u64>,
    pub alive_until_ns: Option<i64>,
    pub gone_by_ns: Option<i64>,
    pub measured: Option<u64>,
    pub worker_time_us: Option<u64>,
    pub cpus_allowed: Option<u64>,
    /// A Gpu each.
    pub gpus: Vec<&'a [u8]>,
    /// A Package each.
    pub packages: Vec<&'a [u8]>,

    pub starts: u64,
    pub ends: u64,
    /// Those of both that nobody proved.
    pub claimed_events: u64,
    pub from_ns: Option<i64>,
    pub to_ns: Option<i64>,
    /// A ProgramCount each.
    pub programs: Vec<&'a [u8]>,
}

/// The id of an event and the uid that it names, without reading the rest of it.
pub fn id_and_uid(kind: Kind, message: &[u8]) -> Result<(Option<[u8; 16]>, Option<u32>), Malformed> {
    let (id_field, uid_field) = match kind {
        Kind::Start => (process_info::EVENT_ID, Some(process_info::UID)),
        Kind::End => (process_end::EVENT_ID, None),
        Kind::Summary => (job_summary::EVENT_ID, None),
    };
    let (mut id, mut uid) = (None, None);
    for field in Fields::of(message) {
        match field? {
            (number, Value::Bytes(bytes)) if number == id_field => id = bytes.try_into().ok(),
            (number, Value::Varint(value)) if Some(number) == uid_field => uid = Some(value as u32),
            _ => {}
        }
    }
    Ok((id, uid))
}

impl<'a> Event<'a> {
    /// The time of the event: the end of the process in an end, or when it was last seen; else its
    /// start.
    pub fn time_ns(&self) -> Option<i64> {
        let end_ns = self.end_time_ns.or(self.alive_until_ns);
        end_ns.or(self.start_time_ns).or(self.time.map(|s| s.saturating_mul(1_000_000_000)))
    }

    /// Reads another message into the same event, so that its lists keep their memory.
    pub fn read(&mut self, kind: Kind, message: &'a [u8]) -> Result<(), Malformed> {
        let lists = [
            &mut self.shared_objects,
            &mut self.notes,
            &mut self.arguments,
            &mut self.environment_variables,
            &mut self.loaded_modules,
            &mut self.programs,
            &mut self.gpus,
            &mut self.packages,
        ];
        let [
            shared_objects,
            notes,
            arguments,
            environment_variables,
            loaded_modules,
            programs,
            gpus,
            packages,
        ] = lists.map(|list| {
            list.clear();
            std::mem::take(list)
        });
        *self = Event {
            part_count: 1,
            shared_objects,
            notes,
            arguments,
            environment_variables,
            loaded_modules,
            programs,
            gpus,
            packages,
            ..Event::default()
        };
        for field in Fields::of(message) {
            match (kind, field?) {
                (Kind::Start, (number, Value::Bytes(bytes))) => self.start_bytes(number, bytes)?,
                (Kind::Start, (number, Value::Varint(value))) => self.start_number(number, value),
                (Kind::End, (number, Value::Bytes(bytes))) => self.end_bytes(number, bytes)?,
                (Kind::End, (number, Value::Varint(value))) => self.end_number(number, value),
                (Kind::Summary, (number, Value::Bytes(bytes))) => self.summary_bytes(number, bytes)?,
                (Kind::Summary, (number, Value::Varint(value))) => self.summary_number(number, value),
                (_, (_, Value::Fixed)) => {}
            }
        }
        Ok(())
    }

    fn start_bytes(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), Malformed> {
        match number {
            process_info::BINPATH => self.binpath = bytes,
            process_info::SIGNATURE => self.signature = bytes,
            process_info::JOB_ID => self.job_id = bytes,
            process_info::CLUSTER => self.cluster = bytes,
            process_info::USERNAME => self.username = bytes,
            process_info::CLAIMED_USERNAME => self.claimed_username = bytes,
            process_info::HOSTNAME => self.hostname = bytes,
            process_info::CMDLINE => self.cmdline = bytes,
            process_info::ENVIRONMENT_VARIABLES => self.environment_variables.push(bytes),
            process_info::ARGUMENTS => self.arguments.push(bytes),
            process_info::SHARED_OBJECTS => self.shared_objects.push(object(bytes)?),
            process_info::LOADED_MODULES => self.loaded_modules.push(message(bytes)?),
            process_info::EVENT_ID => self.event_id = bytes.try_into().ok(),
            process_info::WORKING_DIRECTORY => self.working_directory = bytes,
            process_info::BUILD_ID => self.build_id = bytes,
            process_info::NOTES => self.notes.push(message(bytes)?),
            process_info::LAUNCH => self.launch = bytes,
            process_info::JOB_STEP => self.job_step = bytes,
            process_info::ARRAY_INDEX => self.array_index = bytes,
            process_info::ARRAY_JOB => self.array_job = bytes,
            process_info::ACCOUNT => self.account = bytes,
            process_info::PARTITION => self.partition = bytes,
            process_info::VISIBLE_GPUS => self.visible_gpus = bytes,
            process_info::THREADS => self.threads = bytes,
            process_info::CONDA_PREFIX => self.conda_prefix = bytes,
            process_info::VIRTUAL_ENVIRONMENT => self.virtual_environment = bytes,
            process_info::CONTAINER => self.container = bytes,
            process_info::CLIENT => self.client = bytes,
            _ => {}
        }
        Ok(())
    }

    // Protobuf carries an int32 as 64 bits, the sign extended; the casts take the lower half, as
    // its rules say.
    fn start_number(&mut self, number: u32, value: u64) {
        match number {
            process_info::PID => self.pid = Some(value as i32),
            // A parent outside of all that the process can name has the number 0.
            process_info::PARENT_PID => self.parent_pid = Some(value as i32).filter(|pid| *pid != 0),
            process_info::ANCESTOR_PID => self.ancestor_pid = Some(value as i32),
            process_info::NAMESPACE_PID => self.namespace_pid = Some(value as i32),
            process_info::NODES => self.nodes = Some(value),
            process_info::TASKS => self.tasks = Some(value),
            process_info::CPUS_PER_TASK => self.cpus_per_task = Some(value),
            process_info::PID_NAMESPACE => self.namespaces[0] = Some(value),
            process_info::USER_NAMESPACE => self.namespaces[1] = Some(value),
            process_info::UTS_NAMESPACE => self.namespaces[2] = Some(value),
            process_info::MOUNT_NAMESPACE => self.namespaces[3] = Some(value),
            process_info::INCOMPLETE => self.incomplete = value,
            process_info::TIME => self.time = Some(value as i64),
            process_info::START_TIME_NS => self.start_time_ns = Some(value as i64),
            process_info::UID => self.uid = Some(value as u32),
            process_info::GID => self.gid = Some(value as u32),
            process_info::MPI_RANK => self.mpi_rank = Some(value as u32),
            process_info::MPI_SIZE => self.mpi_size = Some(value as u32),
            process_info::PART_INDEX => self.part_index = value as u32,
            process_info::PART_COUNT => self.part_count = value as u32,
            process_info::EVENTS_LOST => self.events_lost = Some(value),
            process_info::SAMPLED_PPM => self.sampled_ppm = Some(value),
            process_info::IS_STATIC => self.is_static = value != 0,
            _ => {}
        }
    }

    fn end_bytes(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), Malformed> {
        match number {
            process_end::EVENT_ID => self.event_id = bytes.try_into().ok(),
            process_end::SHARED_OBJECTS => self.shared_objects.push(object(bytes)?),
            process_end::GPUS => self.gpus.push(message(bytes)?),
            process_end::PACKAGES => self.packages.push(message(bytes)?),
            process_end::JOB_ID => self.job_id = bytes,
            process_end::CLUSTER => self.cluster = bytes,
            process_end::HOSTNAME => self.hostname = bytes,
            process_end::START => self.repeated_start(bytes)?,
            _ => {}
        }
        Ok(())
    }

    /// Reads what an end repeats of its start.
    fn repeated_start(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields::of(message) {
            match field? {
                (number, _) if !is_fact(number) => {}
                (number, Value::Bytes(bytes)) => self.start_bytes(number, bytes)?,
                (number, Value::Varint(value)) => self.start_number(number, value),
                (_, Value::Fixed) => {}
            }
        }
        Ok(())
    }

    fn summary_bytes(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), Malformed> {
        match number {
            job_summary::EVENT_ID => self.event_id = bytes.try_into().ok(),
            job_summary::JOB_ID => self.job_id = bytes,
            job_summary::CLUSTER => self.cluster = bytes,
            job_summary::PROGRAMS => self.programs.push(message(bytes)?),
            _ => {}
        }
        Ok(())
    }

    fn summary_number(&mut self, number: u32, value: u64) {
        match number {
            job_summary::STARTS => self.starts = value,
            job_summary::ENDS => self.ends = value,
            job_summary::CLAIMED => self.claimed_events = value,
            job_summary::FROM_NS => self.from_ns = Some(value as i64),
            job_summary::TO_NS => self.to_ns = Some(value as i64),
            _ => {}
        }
    }

    fn end_number(&mut self, number: u32, value: u64) {
        match number {
            process_end::PID => self.pid = Some(value as i32),
            process_end::TIME_NS => self.end_time_ns = Some(value as i64),
            process_end::DURATION_NS => self.duration_ns = Some(value),
            process_end::USER_TIME_US => self.user_time_us = Some(value),
            process_end::SYSTEM_TIME_US => self.system_time_us = Some(value),
            process_end::MAX_RSS_KIB => self.max_rss_kib = Some(value),
            process_end::PART_INDEX => self.part_index = value as u32,
            process_end::PART_COUNT => self.part_count = value as u32,
            process_end::EVENTS_LOST => self.events_lost = Some(value),
            process_end::ENDED_BY => self.ended_by = Some(value),
            process_end::EXIT_STATUS => self.exit_status = Some(value),
            process_end::SIGNAL => self.signal = Some(value),
            process_end::CORE_DUMPED => self.core_dumped = value != 0,
            process_end::OOM_KILLED => self.oom_killed = value != 0,
            process_end::TOLD_BY => self.told_by = Some(value),
            process_end::ALIVE_UNTIL_NS => self.alive_until_ns = Some(value as i64),
            process_end::GONE_BY_NS => self.gone_by_ns = Some(value as i64),
            process_end::MEASURED => self.measured = Some(value),
            process_end::WORKER_TIME_US => self.worker_time_us = Some(value),
            process_end::CPUS_ALLOWED => self.cpus_allowed = Some(value),
            _ => {}
        }
    }
}

/// A SharedObject without its notes.
#[derive(Default)]
pub struct LoadedObject<'a> {
    pub path: &'a [u8],
    pub signature: &'a [u8],
    pub build_id: &'a [u8],
    pub preloaded: bool,
}

impl<'a> LoadedObject<'a> {
    /// Reads what [`Event`] found well-formed.
    pub fn read(message: &'a [u8]) -> Self {
        let mut object = LoadedObject::default();
        for field in Fields::of(message).flatten() {
            match field {
                (shared_object::PATH, Value::Bytes(bytes)) => object.path = bytes,
                (shared_object::SIGNATURE, Value::Bytes(bytes)) => object.signature = bytes,
                (shared_object::BUILD_ID, Value::Bytes(bytes)) => object.build_id = bytes,
                (shared_object::PRELOADED, Value::Varint(value)) => object.preloaded = value != 0,
                _ => {}
            }
        }
        object
    }

    /// The notes of the same message.
    pub fn notes(message: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        Fields::of(message).flatten().filter_map(|field| match field {
            (shared_object::NOTES, Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
    }
}

/// A Note: its signature and its metadata; `None` when it has no good signature.
pub fn note(message: &[u8]) -> Option<(Signature, &[u8])> {
    let (mut signature, mut metadata) = (None, &[][..]);
    for field in Fields::of(message).flatten() {
        match field {
            (note::SIGNATURE, Value::Bytes(bytes)) => signature = Signature::from_slice(bytes),
            (note::METADATA, Value::Bytes(bytes)) => metadata = bytes,
            _ => {}
        }
    }
    signature.map(|signature| (signature, metadata))
}

/// A Module: its name and its file.
pub fn module(message: &[u8]) -> (&[u8], &[u8]) {
    let (mut name, mut file) = (&[][..], &[][..]);
    for field in Fields::of(message).flatten() {
        match field {
            (module::NAME, Value::Bytes(bytes)) => name = bytes,
            (module::FILE, Value::Bytes(bytes)) => file = bytes,
            _ => {}
        }
    }
    (name, file)
}

/// A ProgramCount: its path and its number.
pub fn program(message: &[u8]) -> (&[u8], u64) {
    let (mut path, mut starts) = (&[][..], 0);
    for field in Fields::of(message).flatten() {
        match field {
            (program_count::BINPATH, Value::Bytes(bytes)) => path = bytes,
            (program_count::STARTS, Value::Varint(value)) => starts = value,
            _ => {}
        }
    }
    (path, starts)
}

/// A Gpu: its maker, and whether it was used; the devices are [`gpu_devices`].
pub fn gpu(message: &[u8]) -> (&[u8], bool, bool) {
    let (mut maker, mut did, mut is_claimed) = (&[][..], false, false);
    for field in Fields::of(message).flatten() {
        match field {
            (gpu::MAKER, Value::Bytes(bytes)) => maker = bytes,
            (gpu::DID, Value::Varint(value)) => did = value != 0,
            (gpu::CLAIMED, Value::Varint(value)) => is_claimed = value != 0,
            _ => {}
        }
    }
    (maker, did, is_claimed)
}

/// A Package: its language, its name and its version; and true if only the process says so.
pub fn package(message: &[u8]) -> ([&[u8]; 3], bool) {
    let (mut found, mut is_claimed) = ([&[][..]; 3], false);
    for field in Fields::of(message).flatten() {
        match field {
            (package::LANGUAGE, Value::Bytes(bytes)) => found[0] = bytes,
            (package::NAME, Value::Bytes(bytes)) => found[1] = bytes,
            (package::VERSION, Value::Bytes(bytes)) => found[2] = bytes,
            (package::CLAIMED, Value::Varint(value)) => is_claimed = value != 0,
            _ => {}
        }
    }
    (found, is_claimed)
}

/// The devices of a Gpu.
pub fn gpu_devices(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).flatten().filter_map(|field| match field {
        (gpu::DEVICES, Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    })
}

/// A message within, if its fields are well-formed.
fn message(bytes: &[u8]) -> Result<&[u8], Malformed> {
    Fields::of(bytes).try_for_each(|field| field.map(drop))?;
    Ok(bytes)
}

fn object(bytes: &[u8]) -> Result<&[u8], Malformed> {
    for field in Fields::of(bytes) {
        if let (shared_object::NOTES, Value::Bytes(note)) = field? {
            message(note)?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Note, ProcessEnd, ProcessInfo, SharedObject};
    use prost::Message;

    #[test]
    fn fields_are_read_as_the_generated_types_read_them() {
        let object = SharedObject {
            path: Some("/lib/x.so".into()),
            notes: vec![Note {
                signature: Some(vec![1; 16].into()),
                metadata: Some("m".into()),
                version: Some(2),
            }],
            build_id: Some("b".into()),
            preloaded: Some(true),
            ..Default::default()
        };
        let info = ProcessInfo {
            pid: Some(-7),
            time: Some(-1),
            uid: Some(u32::MAX),
            job_id: Some("4711".into()),
            arguments: vec!["a".into(), "".into()],
            shared_objects: vec![object.clone(), object],
            part_count: Some(2),
            ..Default::default()
        };
        let bytes = info.encode_to_vec();
        let mut event = Event::default();
        event.read(Kind::Start, &bytes).unwrap();
        assert_eq!((event.pid, event.time, event.uid), (Some(-7), Some(-1), Some(u32::MAX)));
        assert_eq!(
            (event.job_id, &event.arguments[..], event.part_count),
            (&b"4711"[..], &[&b"a"[..], b""][..], 2)
        );
        let read = LoadedObject::read(event.shared_objects[1]);
        assert_eq!((read.path, read.build_id, read.preloaded), (&b"/lib/x.so"[..], &b"b"[..], true));
        let notes: Vec<_> = LoadedObject::notes(event.shared_objects[1]).filter_map(note).collect();
        assert_eq!(notes, [(Signature::from_bytes([1; 16]), &b"m"[..])]);

        let end = ProcessEnd { pid: Some(3), max_rss_kib: Some(9), time_ns: Some(5), ..Default::default() };
        let bytes = end.encode_to_vec();
        event.read(Kind::End, &bytes).unwrap();
        assert_eq!((event.pid, event.max_rss_kib, event.end_time_ns), (Some(3), Some(9), Some(5)));
        assert_eq!((event.job_id, event.arguments.len(), event.part_count), (&b""[..], 0, 1));
    }

    #[test]
    fn what_is_broken_within_is_malformed() {
        // A shared object of three bytes that announces a path of a hundred.
        let bytes = [0xBA, 0x13, 3, 0x82, 0x19, 100];
        assert_eq!(Event::default().read(Kind::Start, &bytes).unwrap_err(), Malformed);
        assert!(Event::default().read(Kind::Start, &[0xFF; 12]).is_err());
    }
}
