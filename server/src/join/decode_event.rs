//! An event as it stands in its message; the field numbers are those of `ogrt.proto`, which explains them.

use crate::{
    fields::{Fields, Malformed, Value},
    queue::Kind,
};
use ogrt_note::Signature;

/// A ProcessInfo or a ProcessEnd. Fields that only one of them has are empty in the other.
#[derive(Default)]
pub struct Event<'a> {
    pub event_id: Option<[u8; 16]>,
    pub part_count: u32,
    pub pid: Option<i32>,
    pub job_id: &'a [u8],
    pub hostname: &'a [u8],
    pub events_lost: Option<u64>,
    /// A SharedObject each; see [`LoadedObject`].
    pub shared_objects: Vec<&'a [u8]>,

    pub binpath: &'a [u8],
    pub parent_pid: Option<i32>,
    pub time: Option<i64>,
    pub start_time_ns: Option<i64>,
    pub signature: &'a [u8],
    /// A Note each.
    pub watermarks: Vec<&'a [u8]>,
    pub username: &'a [u8],
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
    pub job_step: &'a [u8],
    pub array_index: &'a [u8],
    pub container: &'a [u8],
    pub client: &'a [u8],

    pub end_time_ns: Option<i64>,
    pub duration_ns: Option<u64>,
    pub user_time_us: Option<u64>,
    pub system_time_us: Option<u64>,
    pub max_rss_kib: Option<u64>,

    pub starts: u64,
    pub ends: u64,
    pub from_ns: Option<i64>,
    pub to_ns: Option<i64>,
    /// A ProgramCount each.
    pub programs: Vec<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// When it happened: the end of a process's end, else its start.
    pub fn time_ns(&self) -> Option<i64> {
        self.end_time_ns.or(self.start_time_ns).or(self.time.map(|s| s.saturating_mul(1_000_000_000)))
    }

    /// Reads another message into the same event, so that its lists keep their memory.
    pub fn read(&mut self, kind: Kind, message: &'a [u8]) -> Result<(), Malformed> {
        let lists = [
            &mut self.shared_objects,
            &mut self.watermarks,
            &mut self.arguments,
            &mut self.environment_variables,
            &mut self.loaded_modules,
            &mut self.programs,
        ];
        let [shared_objects, watermarks, arguments, environment_variables, loaded_modules, programs] = lists
            .map(|list| {
                list.clear();
                std::mem::take(list)
            });
        *self = Event {
            part_count: 1,
            shared_objects,
            watermarks,
            arguments,
            environment_variables,
            loaded_modules,
            programs,
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
            300 => self.binpath = bytes,
            304 => self.signature = bytes,
            305 => self.job_id = bytes,
            306 => self.username = bytes,
            307 => self.hostname = bytes,
            308 => self.cmdline = bytes,
            309 => self.environment_variables.push(bytes),
            310 => self.arguments.push(bytes),
            311 => self.shared_objects.push(object(bytes)?),
            312 => self.loaded_modules.push(message(bytes)?),
            320 => self.event_id = bytes.try_into().ok(),
            324 => self.working_directory = bytes,
            325 => self.build_id = bytes,
            326 => self.watermarks.push(message(bytes)?),
            327 => self.job_step = bytes,
            328 => self.array_index = bytes,
            331 => self.container = bytes,
            335 => self.client = bytes,
            _ => {}
        }
        Ok(())
    }

    // Protobuf carries an int32 as 64 bits, the sign extended; the casts take the lower half, as its rules say.
    fn start_number(&mut self, number: u32, value: u64) {
        match number {
            301 => self.pid = Some(value as i32),
            302 => self.parent_pid = Some(value as i32),
            303 => self.time = Some(value as i64),
            321 => self.start_time_ns = Some(value as i64),
            322 => self.uid = Some(value as u32),
            323 => self.gid = Some(value as u32),
            329 => self.mpi_rank = Some(value as u32),
            330 => self.mpi_size = Some(value as u32),
            333 => self.part_count = value as u32,
            334 => self.events_lost = Some(value),
            _ => {}
        }
    }

    fn end_bytes(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), Malformed> {
        match number {
            1 => self.event_id = bytes.try_into().ok(),
            8 => self.shared_objects.push(object(bytes)?),
            9 => self.job_id = bytes,
            10 => self.hostname = bytes,
            _ => {}
        }
        Ok(())
    }

    fn summary_bytes(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), Malformed> {
        match number {
            1 => self.event_id = bytes.try_into().ok(),
            2 => self.job_id = bytes,
            7 => self.programs.push(message(bytes)?),
            _ => {}
        }
        Ok(())
    }

    fn summary_number(&mut self, number: u32, value: u64) {
        match number {
            3 => self.starts = value,
            4 => self.ends = value,
            5 => self.from_ns = Some(value as i64),
            6 => self.to_ns = Some(value as i64),
            _ => {}
        }
    }

    fn end_number(&mut self, number: u32, value: u64) {
        match number {
            2 => self.pid = Some(value as i32),
            3 => self.end_time_ns = Some(value as i64),
            4 => self.duration_ns = Some(value),
            5 => self.user_time_us = Some(value),
            6 => self.system_time_us = Some(value),
            7 => self.max_rss_kib = Some(value),
            12 => self.part_count = value as u32,
            13 => self.events_lost = Some(value),
            _ => {}
        }
    }
}

/// A SharedObject without its watermarks.
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
                (400, Value::Bytes(bytes)) => object.path = bytes,
                (401, Value::Bytes(bytes)) => object.signature = bytes,
                (403, Value::Bytes(bytes)) => object.build_id = bytes,
                (404, Value::Varint(value)) => object.preloaded = value != 0,
                _ => {}
            }
        }
        object
    }

    /// The watermarks of the same message.
    pub fn watermarks(message: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        Fields::of(message).flatten().filter_map(|field| match field {
            (402, Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
    }
}

/// A Note: its signature and its metadata; `None` when it has no good signature.
pub fn watermark(message: &[u8]) -> Option<(Signature, &[u8])> {
    let (mut signature, mut metadata) = (None, &[][..]);
    for field in Fields::of(message).flatten() {
        match field {
            (1, Value::Bytes(bytes)) => signature = Signature::from_slice(bytes),
            (2, Value::Bytes(bytes)) => metadata = bytes,
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
            (700, Value::Bytes(bytes)) => name = bytes,
            (701, Value::Bytes(bytes)) => file = bytes,
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
            (1, Value::Bytes(bytes)) => path = bytes,
            (2, Value::Varint(value)) => starts = value,
            _ => {}
        }
    }
    (path, starts)
}

/// A message within, if its fields are well-formed.
fn message(bytes: &[u8]) -> Result<&[u8], Malformed> {
    Fields::of(bytes).try_for_each(|field| field.map(drop))?;
    Ok(bytes)
}

fn object(bytes: &[u8]) -> Result<&[u8], Malformed> {
    for field in Fields::of(bytes) {
        if let (402, Value::Bytes(watermark)) = field? {
            message(watermark)?;
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
        let marks: Vec<_> = LoadedObject::watermarks(event.shared_objects[1]).filter_map(watermark).collect();
        assert_eq!(marks, [(Signature::from_bytes([1; 16]), &b"m"[..])]);

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
