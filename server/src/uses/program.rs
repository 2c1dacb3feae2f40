//! What an event tells of uses: which program ran, for whom, where, in which job, when.
//!
//! A program is an executable (its path, its build-id, its signatures) and what was loaded with it,
//! whether we built that or not. However often it runs, it is one program; so counts are kept for
//! programs, and a process counts once however many of its libraries contain what somebody asks
//! for. An event is compared with those before as its bytes stand; only that of a new program is
//! taken apart.

use super::object_names::{ObjectName, ObjectNumber, file_path, package_path};
use crate::{
    fair_shares::ShareHolder,
    fields::{Fields, Value},
    join::note,
    queue::{Entry, Kind},
    start_digest::StartDigest,
    stored_text::NAME_MAX,
    sums::JobFacts,
};
use bytes::{Buf, BufMut};
use ogrt_note::Signature;
use ogrt_proto::field_numbers::{package, process_end, process_info, shared_object};
use prost::encoding::{decode_varint, encode_varint};

/// Longest texts that are told apart; of longer ones only so much counts.
const PATH_MAX: usize = 4096;
const BUILD_ID_MAX: usize = 64;

/// Most signatures of one program, and most objects that are loaded with it.
const SIGNATURES_MAX: usize = 1024;
const OBJECTS_MAX: usize = 4096;

/// One event, as far as uses are concerned. Empty texts are unknown.
#[derive(Default)]
pub struct UseEvent<'a> {
    /// Path of the executable; empty in an end.
    path: &'a [u8],
    /// The build-id of the executable.
    build_id: &'a [u8],
    /// The executable's signature as text, from clients before 1.0.
    claimed: &'a [u8],
    /// A Note of the executable each.
    notes: Vec<&'a [u8]>,
    /// A SharedObject each: what was loaded; in an end, what was loaded after the start.
    objects: Vec<&'a [u8]>,
    /// A Module each: what was loaded of the environment's.
    pub modules: Vec<&'a [u8]>,
    /// Paths of the packages that an end tells.
    packages: Vec<Vec<u8>>,
    /// A package is only claimed.
    pub has_claims: bool,
    /// The name of the user, as the sender says.
    pub username: &'a [u8],
    /// The uid as the kernel says, else as the sender says.
    pub uid: Option<u32>,
    /// The uid is the kernel's word.
    pub is_proved: bool,
    /// The relay whose kernel said it; empty where this machine's did.
    pub relay: &'a [u8],
    pub host: &'a [u8],
    pub cluster: &'a [u8],
    pub job: &'a [u8],
    /// What the scheduler says of the job; an end does not repeat it here.
    pub account: &'a [u8],
    pub partition: &'a [u8],
    pub facts: JobFacts,
    /// Unix time in nanoseconds; never later than the receipt, whatever the sender's clock says.
    pub time_ns: i64,
    /// The event is the end of a process.
    pub is_end: bool,
    /// Its first part is there, which says what it is of.
    pub has_first_part: bool,
    /// The bytes of a start that is whole.
    pub whole_start: Option<&'a [u8]>,
    /// What the end repeats of its start: the digest of its program with all that was loaded.
    pub program_digest: Option<StartDigest>,
}

impl<'a> UseEvent<'a> {
    /// Reads another event into this one; false when it tells nothing of uses.
    pub fn read(&mut self, entry: &Entry<&'a [u8]>) -> bool {
        let [mut notes, mut objects, mut modules] =
            [&mut self.notes, &mut self.objects, &mut self.modules].map(std::mem::take);
        [&mut notes, &mut objects, &mut modules].into_iter().for_each(Vec::clear);
        let is_end = entry.kind == Kind::End;
        *self = UseEvent { notes, objects, modules, is_end, ..UseEvent::default() };
        let mut claimed_ns = None;
        let is_good = match entry.kind {
            Kind::Start => self.start(entry, &mut claimed_ns),
            Kind::End => self.end(entry.message, &mut claimed_ns),
            // It names no program.
            Kind::Summary => return false,
        };
        if let Some(kernel) = entry.credentials {
            // What a process says that it has used is its claim, though we know who it is.
            (self.uid, self.is_proved) = (Some(kernel.uid), !self.has_claims);
            self.relay = entry.relay_name().unwrap_or_default();
        }
        self.time_ns = entry.believed_ns(claimed_ns);
        self.cut();
        is_good
    }

    /// Cuts what is longer than it may be.
    pub fn cut(&mut self) {
        let cut = |text: &'a [u8], max: usize| &text[..text.len().min(max)];
        self.path = cut(self.path, PATH_MAX);
        self.build_id = cut(self.build_id, BUILD_ID_MAX);
        self.username = cut(self.username, NAME_MAX);
        self.host = cut(self.host, NAME_MAX);
        self.account = cut(self.account, NAME_MAX);
        self.partition = cut(self.partition, NAME_MAX);
        self.objects.truncate(OBJECTS_MAX);
        self.packages.truncate(OBJECTS_MAX);
    }

    /// It tells of a program.
    pub fn is_named(&self) -> bool {
        !self.path.is_empty() || !self.build_id.is_empty() || !self.notes.is_empty()
    }

    /// Takes one field of a ProcessInfo; its times and parts are not among those.
    pub fn start_field(&mut self, number: u32, value: Value<'a>) {
        match (number, value) {
            (process_info::BINPATH, Value::Bytes(bytes)) => self.path = bytes,
            (process_info::SIGNATURE, Value::Bytes(bytes)) => self.claimed = bytes,
            (process_info::JOB_ID, Value::Bytes(bytes)) => self.job = bytes,
            (process_info::CLUSTER, Value::Bytes(bytes)) => self.cluster = bytes,
            (process_info::USERNAME, Value::Bytes(bytes)) => self.username = bytes,
            (process_info::HOSTNAME, Value::Bytes(bytes)) => self.host = bytes,
            (process_info::SHARED_OBJECTS, Value::Bytes(bytes)) => self.objects.push(bytes),
            (process_info::LOADED_MODULES, Value::Bytes(bytes)) => self.modules.push(bytes),
            (process_info::UID, Value::Varint(uid)) => self.uid = Some(uid as u32),
            (process_info::BUILD_ID, Value::Bytes(bytes)) => self.build_id = bytes,
            (process_info::NOTES, Value::Bytes(bytes)) => self.notes.push(bytes),
            (process_info::ACCOUNT, Value::Bytes(bytes)) => self.account = bytes,
            (process_info::PARTITION, Value::Bytes(bytes)) => self.partition = bytes,
            (process_info::NODES, Value::Varint(nodes)) => self.facts.nodes = nodes as u32,
            (process_info::TASKS, Value::Varint(tasks)) => self.facts.tasks = tasks as u32,
            (process_info::CPUS_PER_TASK, Value::Varint(cpus)) => self.facts.cpus_per_task = cpus as u32,
            (process_info::ARRAY_JOB, Value::Bytes(bytes)) => self.facts.array_job = small_number(bytes),
            (process_info::ARRAY_INDEX, Value::Bytes(bytes)) => self.facts.array_task = small_number(bytes),
            _ => {}
        }
    }

    fn start(&mut self, entry: &Entry<&'a [u8]>, time_ns: &mut Option<i64>) -> bool {
        let (mut part_index, mut part_count) = (None, 1);
        for field in Fields::of(entry.message) {
            match field {
                Ok((process_info::TIME, Value::Varint(seconds))) if time_ns.is_none() => {
                    *time_ns = Some((seconds as i64).saturating_mul(1_000_000_000));
                }
                Ok((process_info::START_TIME_NS, Value::Varint(ns))) => *time_ns = Some(ns as i64),
                // Parts stand in their order.
                Ok((process_info::PART_INDEX, Value::Varint(index))) => {
                    part_index.get_or_insert(index);
                }
                Ok((process_info::PART_COUNT, Value::Varint(count))) => part_count = count,
                Ok((number, value)) => self.start_field(number, value),
                Err(_) => return false,
            }
        }
        // Of an event whose parts never came together, one part stands for all.
        self.has_first_part = part_count <= 1 || part_index.unwrap_or(0) == 0;
        self.whole_start = Some(entry.message).filter(|_| part_count <= 1);
        self.has_first_part || entry.is_whole
    }

    fn end(&mut self, message: &'a [u8], time_ns: &mut Option<i64>) -> bool {
        for field in Fields::of(message) {
            match field {
                Ok((process_end::TIME_NS, Value::Varint(ns))) => *time_ns = Some(ns as i64),
                Ok((process_end::SHARED_OBJECTS, Value::Bytes(bytes))) => self.objects.push(bytes),
                Ok((process_end::PACKAGES, Value::Bytes(bytes))) => {
                    let (package, is_claimed) = package(bytes);
                    self.packages.extend(package);
                    self.has_claims |= is_claimed;
                }
                Ok((process_end::JOB_ID, Value::Bytes(bytes))) => self.job = bytes,
                Ok((process_end::CLUSTER, Value::Bytes(bytes))) => self.cluster = bytes,
                Ok((process_end::HOSTNAME, Value::Bytes(bytes))) => self.host = bytes,
                Ok((process_end::START, Value::Bytes(bytes))) => self.end_of(bytes),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        !self.objects.is_empty() || !self.packages.is_empty()
    }

    /// Reads what an end repeats of its start: a relay has put the user's name there.
    fn end_of(&mut self, start: &'a [u8]) {
        for field in Fields::of(start).map_while(Result::ok) {
            if let (process_info::USERNAME, Value::Bytes(bytes)) = field {
                self.username = bytes;
            }
        }
    }

    /// The sender, by the user's name as it is counted.
    pub fn holder(&self, user: &[u8]) -> ShareHolder {
        match self.is_proved {
            true => ShareHolder::proved_by(Some(self.relay).filter(|relay| !relay.is_empty()), user),
            false => ShareHolder::claimed(user, self.host),
        }
    }

    /// The bytes that tell of the program, as they stand in the event. Two events with the same are
    /// of one program; other bytes may tell of the same one.
    pub fn write_raw(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::from(self.is_end));
        for text in [self.path, self.build_id, self.claimed] {
            out.put_u16(text.len() as u16);
            out.put_slice(text);
        }
        for messages in [&self.notes, &self.objects] {
            out.put_u16(messages.len() as u16);
            for message in messages {
                out.put_u32(message.len() as u32);
                out.put_slice(message);
            }
        }
        for package in &self.packages {
            out.put_u16(package.len() as u16);
            out.put_slice(package);
        }
    }

    /// The program, without the numbers of its objects; and the objects' names, each once. The
    /// executable is one of them.
    pub fn program(&self) -> (Program, Vec<ObjectName<'_>>) {
        let mut executable: Vec<Signature> =
            self.notes.iter().filter_map(|bytes| note(bytes)).map(|(signature, _)| signature).collect();
        if executable.is_empty() {
            executable.extend(Signature::parse(self.claimed).ok());
        }
        let mut libraries = Vec::new();
        let mut objects: Vec<ObjectName<'_>> =
            self.objects.iter().map(|message| object(message, &mut libraries)).collect();
        if !self.is_end {
            objects.push(ObjectName { build_id: self.build_id, path: file_path(self.path) });
        }
        objects.extend(self.packages.iter().map(|path| ObjectName { build_id: b"", path }));
        objects.retain(|name| !name.build_id.is_empty() || !name.path.is_empty());
        objects.sort_unstable();
        objects.dedup();
        for signatures in [&mut executable, &mut libraries] {
            signatures.sort_unstable();
            signatures.dedup();
            signatures.truncate(SIGNATURES_MAX);
        }
        let program = Program {
            is_later: self.is_end,
            path: self.path.to_vec(),
            build_id: self.build_id.to_vec(),
            executable,
            libraries,
            objects: Vec::new(),
        };
        (program, objects)
    }
}

/// The number that digits stand for; 0 where they are none.
fn small_number(digits: &[u8]) -> u32 {
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The path of a package; and true if only its process says that it used it.
fn package(message: &[u8]) -> (Option<Vec<u8>>, bool) {
    let (mut language, mut name, mut version, mut is_claimed) = (&[][..], &[][..], &[][..], false);
    for field in Fields::of(message).flatten() {
        match field {
            (package::LANGUAGE, Value::Bytes(bytes)) => language = bytes,
            (package::NAME, Value::Bytes(bytes)) => name = bytes,
            (package::VERSION, Value::Bytes(bytes)) => version = bytes,
            (package::CLAIMED, Value::Varint(value)) => is_claimed = value != 0,
            _ => {}
        }
    }
    (package_path(language, name, version), is_claimed)
}

/// The name of a shared object; its signatures are appended.
fn object<'a>(message: &'a [u8], signatures: &mut Vec<Signature>) -> ObjectName<'a> {
    let before = signatures.len();
    let mut claimed = &[][..];
    let mut name = ObjectName::default();
    for field in Fields::of(message).flatten() {
        match field {
            (shared_object::PATH, Value::Bytes(bytes)) => {
                name.path = file_path(&bytes[..bytes.len().min(PATH_MAX)])
            }
            (shared_object::BUILD_ID, Value::Bytes(bytes)) => {
                name.build_id = &bytes[..bytes.len().min(BUILD_ID_MAX)]
            }
            (shared_object::SIGNATURE, Value::Bytes(bytes)) => claimed = bytes,
            (shared_object::NOTES, Value::Bytes(bytes)) => {
                signatures.extend(note(bytes).map(|(signature, _)| signature))
            }
            _ => {}
        }
    }
    if signatures.len() == before && !claimed.is_empty() {
        signatures.extend(Signature::parse(claimed).ok());
    }
    name
}

/// The form in which programs are written: before it there were no objects in them.
const WITH_OBJECTS: u8 = 2;

/// A program as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The program was seen in ends of processes: libraries that they loaded after their starts.
    pub is_later: bool,
    pub path: Vec<u8>,
    pub build_id: Vec<u8>,
    pub executable: Vec<Signature>,
    pub libraries: Vec<Signature>,
    /// Everything that was loaded, in the order of numbers.
    pub objects: Vec<ObjectNumber>,
}

impl Program {
    /// Its bytes: the same for all processes that are the same program.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![WITH_OBJECTS | u8::from(self.is_later)];
        for text in [&self.path, &self.build_id] {
            out.put_u16(text.len() as u16);
            out.put_slice(text);
        }
        for signatures in [&self.executable, &self.libraries] {
            out.put_u16(signatures.len() as u16);
            signatures.iter().for_each(|signature| out.put_slice(signature.as_bytes()));
        }
        for object in &self.objects {
            encode_varint(*object, &mut out);
        }
        out
    }

    /// Reads them.
    pub fn read(mut bytes: &[u8]) -> Option<Program> {
        let form = bytes.try_get_u8().ok()?;
        let mut text = || {
            let len = usize::from(bytes.try_get_u16().ok()?);
            let (text, rest) = bytes.split_at_checked(len)?;
            bytes = rest;
            Some(text.to_vec())
        };
        let (path, build_id) = (text()?, text()?);
        let mut signatures = || {
            let count = usize::from(bytes.try_get_u16().ok()?);
            let (some, rest) = bytes.split_at_checked(count * 16)?;
            bytes = rest;
            some.chunks_exact(16).map(Signature::from_slice).collect::<Option<Vec<_>>>()
        };
        let (executable, libraries) = (signatures()?, signatures()?);
        let mut objects = Vec::new();
        while form & WITH_OBJECTS != 0 && bytes.has_remaining() {
            objects.push(decode_varint(&mut bytes).ok()?);
        }
        Some(Program { is_later: form & 1 == 1, path, build_id, executable, libraries, objects })
    }

    /// All of its signatures.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.executable.iter().chain(&self.libraries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Note, ProcessInfo, SharedObject};
    use prost::Message;

    #[test]
    fn a_program_is_read_as_it_was_written_and_the_order_of_loading_does_not_matter() {
        let mark = |byte: u8| Note { signature: Some(vec![byte; 16].into()), ..Default::default() };
        let object = |byte: u8| SharedObject {
            path: Some(vec![b'/', byte].into()),
            notes: vec![mark(byte)],
            build_id: Some(vec![byte].into()),
            ..Default::default()
        };
        let info = |order: [u8; 2]| ProcessInfo {
            binpath: Some("/a".into()),
            build_id: Some(vec![1, 2].into()),
            notes: vec![mark(9)],
            shared_objects: order.map(object).to_vec(),
            start_time_ns: Some(5),
            ..Default::default()
        };
        let programs = [[b'1', b'2'], [b'2', b'1']].map(|order| {
            let message = info(order).encode_to_vec();
            let entry = Entry {
                kind: Kind::Start,
                received_ns: 3,
                assigned_id: None,
                credentials: None,
                delivered_by: None,
                via: None,
                is_final: false,
                is_whole: false,
                end_source: crate::queue::EndSource::Client,
                message: &message[..],
            };
            let mut event = UseEvent::default();
            assert!(event.read(&entry));
            assert_eq!(event.time_ns, 3, "no later than the receipt");
            let (program, names) = event.program();
            let paths: Vec<_> = names.iter().map(|name| (name.build_id, name.path)).collect();
            assert_eq!(paths, [(&[1, 2][..], &b"/a"[..]), (b"1", b"/1"), (b"2", b"/2")]);
            let program = Program { objects: vec![0, 1 << 40], ..program };
            assert_eq!(Program::read(&program.bytes()), Some(program.clone()));
            program.bytes()
        });
        assert_eq!(programs[0], programs[1]);
        let program = Program::read(&programs[0]).unwrap();
        assert_eq!(
            (program.path.as_slice(), program.executable.len(), program.libraries.len()),
            (&b"/a"[..], 1, 2)
        );
        // Objects have no length in front: what is cut there is another program.
        for cut in 0..programs[0].len() - 7 {
            assert_eq!(Program::read(&programs[0][..cut]), None, "cut at {cut}");
        }
    }
}
