//! What an event tells of uses: which program ran, for whom, where, in which job, when.
//!
//! A program is an executable (its path, its build-id, its signatures) and the signatures of what
//! was loaded with it. However often it runs, it is one program; so counts are kept for programs,
//! and a process counts once however many of its libraries contain what somebody asks for.

use crate::{
    fields::{Fields, Value},
    join::note,
    queue::{Entry, Kind},
};
use bytes::{Buf, BufMut};
use ogrt_note::Signature;
use ogrt_proto::field_numbers::{process_end, process_info, shared_object};

/// Longest texts that are told apart; of longer ones only so much counts.
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 256;
const JOB_MAX: usize = 1024;
const BUILD_ID_MAX: usize = 64;

/// Most signatures of one program.
const SIGNATURES_MAX: usize = 1024;

/// One event, as far as uses are concerned. Empty texts are unknown.
#[derive(Default)]
pub struct UseEvent<'a> {
    /// Path of the executable; empty in an end.
    pub path: &'a [u8],
    /// The build-id of the executable.
    pub build_id: &'a [u8],
    /// The signatures of the executable.
    pub executable: Vec<Signature>,
    /// The signatures of what was loaded with it; in an end, of what was loaded after the start.
    pub libraries: Vec<Signature>,
    /// The name of the user, as the sender says.
    pub username: &'a [u8],
    /// The uid as the kernel says, else as the sender says.
    pub uid: Option<u32>,
    /// The uid is the kernel's word.
    pub is_proved: bool,
    pub host: &'a [u8],
    pub job: &'a [u8],
    /// Unix time in nanoseconds; never later than the receipt, whatever the sender's clock says.
    pub time_ns: i64,
    /// The event is the end of a process.
    pub is_end: bool,
}

impl<'a> UseEvent<'a> {
    /// Reads another event into this one; false when it tells nothing of uses.
    pub fn read(&mut self, entry: &Entry<&'a [u8]>) -> bool {
        let (mut executable, mut libraries) =
            (std::mem::take(&mut self.executable), std::mem::take(&mut self.libraries));
        executable.clear();
        libraries.clear();
        *self = UseEvent { executable, libraries, is_end: entry.kind == Kind::End, ..UseEvent::default() };
        let is_good = match entry.kind {
            Kind::Start => self.start(entry),
            Kind::End => self.end(entry.message),
            // It names no signatures.
            Kind::Summary => return false,
        };
        if let Some(kernel) = entry.credentials {
            (self.uid, self.is_proved) = (Some(kernel.uid), true);
        }
        self.time_ns = match self.time_ns {
            0 => entry.received_ns,
            claimed => claimed.min(entry.received_ns),
        };
        for signatures in [&mut self.executable, &mut self.libraries] {
            signatures.sort_unstable();
            signatures.dedup();
            signatures.truncate(SIGNATURES_MAX);
        }
        let cut = |text: &'a [u8], max: usize| &text[..text.len().min(max)];
        self.path = cut(self.path, PATH_MAX);
        self.build_id = cut(self.build_id, BUILD_ID_MAX);
        self.username = cut(self.username, NAME_MAX);
        self.host = cut(self.host, NAME_MAX);
        self.job = cut(self.job, JOB_MAX);
        is_good
    }

    fn start(&mut self, entry: &Entry<&'a [u8]>) -> bool {
        let (mut part_index, mut part_count, mut claimed) = (0, 1, &[][..]);
        for field in Fields::of(entry.message) {
            match field {
                Ok((process_info::BINPATH, Value::Bytes(bytes))) => self.path = bytes,
                Ok((process_info::TIME, Value::Varint(seconds))) if self.time_ns == 0 => {
                    self.time_ns = (seconds as i64).saturating_mul(1_000_000_000);
                }
                Ok((process_info::SIGNATURE, Value::Bytes(bytes))) => claimed = bytes,
                Ok((process_info::JOB_ID, Value::Bytes(bytes))) => self.job = bytes,
                Ok((process_info::USERNAME, Value::Bytes(bytes))) => self.username = bytes,
                Ok((process_info::HOSTNAME, Value::Bytes(bytes))) => self.host = bytes,
                Ok((process_info::SHARED_OBJECTS, Value::Bytes(bytes))) => object(bytes, &mut self.libraries),
                Ok((process_info::START_TIME_NS, Value::Varint(ns))) => self.time_ns = ns as i64,
                Ok((process_info::UID, Value::Varint(uid))) => self.uid = Some(uid as u32),
                Ok((process_info::BUILD_ID, Value::Bytes(bytes))) => self.build_id = bytes,
                Ok((process_info::NOTES, Value::Bytes(bytes))) => {
                    self.executable.extend(note(bytes).map(|(s, _)| s))
                }
                Ok((process_info::PART_INDEX, Value::Varint(index))) => part_index = index,
                Ok((process_info::PART_COUNT, Value::Varint(count))) => part_count = count,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        if self.executable.is_empty() {
            self.executable.extend(Signature::parse(claimed).ok());
        }
        // Of an event whose parts never came together, one part stands for all.
        part_count <= 1 || part_index == 0 || entry.is_whole
    }

    fn end(&mut self, message: &'a [u8]) -> bool {
        for field in Fields::of(message) {
            match field {
                Ok((process_end::TIME_NS, Value::Varint(ns))) => self.time_ns = ns as i64,
                Ok((process_end::SHARED_OBJECTS, Value::Bytes(bytes))) => object(bytes, &mut self.libraries),
                Ok((process_end::JOB_ID, Value::Bytes(bytes))) => self.job = bytes,
                Ok((process_end::HOSTNAME, Value::Bytes(bytes))) => self.host = bytes,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        !self.libraries.is_empty()
    }

    /// The bytes of the program: the same for all processes that are the same program.
    pub fn write_program(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::from(self.is_end));
        for text in [self.path, self.build_id] {
            out.put_u16(text.len() as u16);
            out.put_slice(text);
        }
        for signatures in [&self.executable, &self.libraries] {
            out.put_u16(signatures.len() as u16);
            signatures.iter().for_each(|signature| out.put_slice(signature.as_bytes()));
        }
    }
}

/// The signatures of a shared object.
fn object(message: &[u8], signatures: &mut Vec<Signature>) {
    let before = signatures.len();
    let mut claimed = &[][..];
    for field in Fields::of(message).flatten() {
        match field {
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
}

/// A program as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The program was seen in ends of processes: libraries that they loaded after their starts.
    pub is_later: bool,
    pub path: Vec<u8>,
    pub build_id: Vec<u8>,
    pub executable: Vec<Signature>,
    pub libraries: Vec<Signature>,
}

impl Program {
    /// Reads what [`UseEvent::write_program`] wrote.
    pub fn read(mut bytes: &[u8]) -> Option<Program> {
        let is_later = bytes.try_get_u8().ok()? == 1;
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
        Some(Program { is_later, path, build_id, executable: signatures()?, libraries: signatures()? })
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
        let object = |byte: u8| SharedObject { notes: vec![mark(byte)], ..Default::default() };
        let info = |order: [u8; 2]| ProcessInfo {
            binpath: Some("/a".into()),
            build_id: Some(vec![1, 2].into()),
            notes: vec![mark(9)],
            shared_objects: order.map(object).to_vec(),
            start_time_ns: Some(5),
            ..Default::default()
        };
        let programs = [[1, 2], [2, 1]].map(|order| {
            let message = info(order).encode_to_vec();
            let entry = Entry {
                kind: Kind::Start,
                received_ns: 3,
                assigned_id: None,
                credentials: None,
                is_final: false,
                is_whole: false,
                end_source: crate::queue::EndSource::Client,
                message: &message[..],
            };
            let mut event = UseEvent::default();
            assert!(event.read(&entry));
            assert_eq!(event.time_ns, 3, "no later than the receipt");
            let mut bytes = Vec::new();
            event.write_program(&mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(Program::read(&bytes[..cut]), None, "cut at {cut}");
            }
            bytes
        });
        assert_eq!(programs[0], programs[1]);
        let program = Program::read(&programs[0]).unwrap();
        assert_eq!(
            (program.path.as_slice(), program.executable.len(), program.libraries.len()),
            (&b"/a"[..], 1, 2)
        );
    }
}
