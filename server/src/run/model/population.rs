//! Who there is in a run: builds, programs and the processes that ran them, and what each sends.
//!
//! Everything follows from the seed. A process has a start and perhaps an end, each in one message
//! or in parts.

use super::random::Random;
use crate::queue::{Credentials, EndSource, Entry, Kind};
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, Input, Note, ProcessEnd, ProcessInfo, SharedObject};
use prost::Message as _;
use std::fmt;

/// A build's number; so few that several programs have one.
pub type Build = usize;

/// Builds that a run has. The first ones are libraries.
pub const BUILDS: usize = 8;
const LIBRARIES: usize = 3;

/// Jobs that a run has, besides none.
pub const JOBS: usize = 4;

/// A process.
#[derive(Clone)]
pub struct Process {
    /// The build of its executable; `None` where it has no note.
    pub executable: Option<Build>,
    /// The library that it loads.
    pub library: Option<Build>,
    /// The library that it loads after its start.
    pub later: Option<Build>,
    pub job: Option<usize>,
    pub user: usize,
    pub host: usize,
    /// Parts of its start and of its end; 0 where it has no end.
    pub parts: [usize; 2],
    /// It sends over a stream that is acknowledged, else by datagrams.
    pub is_acknowledged: bool,
    /// It does not send again what was not acknowledged before a crash.
    pub gives_up: bool,
}

/// One message: an event in one piece, or a part of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub process: usize,
    pub is_end: bool,
    pub part: usize,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}.{}", if self.is_end { "e" } else { "s" }, self.process, self.part)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<usize>| number.map_or("-".to_owned(), |number| number.to_string());
        let [executable, library, later] = [self.executable, self.library, self.later].map(number);
        let Process { user, host, parts: [starts, ends], .. } = self;
        write!(
            f,
            "builds {executable} {library} {later}, job {}, user {user}, host {host}, parts {starts} {ends}{}{}",
            number(self.job),
            if self.is_acknowledged { "" } else { ", datagrams" },
            if self.gives_up { ", gives up" } else { "" },
        )
    }
}

impl Process {
    /// A process with at most this many parts.
    pub fn random(random: &mut Random, parts_max: usize) -> Self {
        let library = |random: &mut Random, percent| random.chance(percent).then(|| random.below(LIBRARIES));
        Process {
            executable: random.chance(75).then(|| LIBRARIES + random.below(BUILDS - LIBRARIES)),
            library: library(random, 40),
            later: library(random, 20),
            job: random.chance(85).then(|| random.below(JOBS)),
            user: random.below(3),
            host: random.below(2),
            parts: [
                1 + random.below(parts_max),
                if random.chance(80) { 1 + random.below(parts_max) } else { 0 },
            ],
            is_acknowledged: random.chance(80),
            gives_up: random.chance(20),
        }
    }

    /// What it sends, in order.
    pub fn messages(&self, process: usize) -> Vec<Message> {
        let of = |is_end: bool| {
            (0..self.parts[usize::from(is_end)]).map(move |part| Message { process, is_end, part })
        };
        of(false).chain(of(true)).collect()
    }

    /// How many parts the event has that the message belongs to.
    pub fn parts_of(&self, message: Message) -> usize {
        self.parts[usize::from(message.is_end)]
    }

    /// The builds that the message names.
    pub fn builds_in(&self, message: Message) -> Vec<Build> {
        let named = match (message.is_end, message.part) {
            (false, 0) => [self.executable, self.library],
            (true, 0) => [self.later, None],
            _ => [None, None],
        };
        named.into_iter().flatten().collect()
    }

    /// Path of its executable: a program for each build, and two that have none.
    pub fn path(&self) -> String {
        match self.executable {
            Some(build) => format!("/opt/program{build}"),
            None => format!("/usr/bin/other{}", self.host),
        }
    }

    /// The user as answers name it: the uid, where the kernel proved one that has no name here.
    pub fn user_name(&self) -> String {
        match self.uid() {
            Some(uid) => uid.to_string(),
            None => format!("user{}", self.user),
        }
    }

    /// The uid that the kernel proves.
    pub fn uid(&self) -> Option<u32> {
        (self.user == 0).then_some(3_000_000_000)
    }

    /// The host's name.
    pub fn host_name(&self) -> String {
        format!("node{}", self.host)
    }

    /// The entry that a receiver makes of a message.
    pub fn entry(&self, message: Message, received_ns: i64) -> Entry {
        let count = self.parts_of(message);
        let numbers = (count > 1).then_some((message.part as u32, count as u32)).unzip();
        let bytes = if message.is_end { self.end(message, numbers) } else { self.start(message, numbers) };
        let credentials =
            self.uid().map(|uid| Credentials { pid: 1000 + message.process as u32, uid, gid: uid });
        Entry {
            kind: if message.is_end { Kind::End } else { Kind::Start },
            received_ns,
            assigned_id: None,
            credentials,
            delivered_by: None,
            via: None,
            is_final: false,
            is_whole: false,
            end_source: EndSource::Client,
            message: bytes.into(),
        }
    }

    fn start(&self, message: Message, (part_index, part_count): (Option<u32>, Option<u32>)) -> Vec<u8> {
        let mut info = ProcessInfo {
            event_id: Some(event_id(message.process).to_vec().into()),
            part_index,
            part_count,
            // So that it can be seen that no part is missing.
            arguments: vec![format!("part{}", message.part).into()],
            ..ProcessInfo::default()
        };
        if message.part == 0 {
            info.binpath = Some(self.path().into());
            info.job_id = self.job.map(|job| job_id(Some(job)).into());
            info.hostname = Some(self.host_name().into());
            info.username = self.uid().is_none().then(|| self.user_name().into());
            info.notes = self.executable.into_iter().map(note).collect();
            info.shared_objects = self.library.into_iter().map(object).collect();
        }
        info.encode_to_vec()
    }

    fn end(&self, message: Message, (part_index, part_count): (Option<u32>, Option<u32>)) -> Vec<u8> {
        let mut end = ProcessEnd {
            event_id: Some(event_id(message.process).to_vec().into()),
            part_index,
            part_count,
            ..ProcessEnd::default()
        };
        if message.part == 0 {
            end.job_id = self.job.map(|job| job_id(Some(job)).into());
            end.hostname = Some(self.host_name().into());
            end.duration_ns = Some(message.process as u64);
            end.shared_objects = self.later.into_iter().map(object).collect();
        }
        end.encode_to_vec()
    }
}

/// The id that the events of a process share.
pub fn event_id(process: usize) -> [u8; 16] {
    let mut id = [0xE0; 16];
    id[8..].copy_from_slice(&(process as u64).to_be_bytes());
    id
}

/// The process that an event's id names; `None` where no client made it.
pub fn process_of(id: [u8; 16], processes: usize) -> Option<usize> {
    (0..processes).find(|process| event_id(*process) == id)
}

/// A job's id; empty for no job.
pub fn job_id(job: Option<usize>) -> String {
    job.map(|job| format!("job{job}")).unwrap_or_default()
}

/// A build's signature.
pub fn signature(build: Build) -> Signature {
    let mut bytes = [0xB0; 16];
    bytes[15] = build as u8;
    Signature::from_bytes(bytes)
}

/// The library that a build was linked with: half of the programs have the first one.
pub fn linked_with(build: Build) -> Option<Build> {
    (build >= (BUILDS + LIBRARIES) / 2).then_some(0)
}

/// A build's record, as a wrapper registers it.
pub fn record(build: Build) -> Vec<u8> {
    let input = |library| Input {
        signatures: vec![signature(library).as_bytes().to_vec().into()],
        ..Input::default()
    };
    BuildRecord {
        signature: Some(signature(build).as_bytes().to_vec().into()),
        time_ns: Some(1 + build as i64),
        inputs: linked_with(build).into_iter().map(input).collect(),
        ..BuildRecord::default()
    }
    .encode_to_vec()
}

fn note(build: Build) -> Note {
    Note { signature: Some(signature(build).as_bytes().to_vec().into()), ..Note::default() }
}

fn object(library: Build) -> SharedObject {
    SharedObject {
        path: Some(format!("/lib/library{library}.so").into()),
        notes: vec![note(library)],
        ..SharedObject::default()
    }
}
