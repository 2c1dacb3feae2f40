//! The document: what an output writes of one event. Its keys are a promise; docs/outputs.md lists them.
//!
//! Keys are OGRT 0.5's where it had one. What is empty is left out. Bytes that are not UTF-8 become U+FFFD.

use super::{Event, Joiner, Missing, Summary};
use crate::queue::Entry;
use ogrt_note::Signature;
use ogrt_proto::{BuildMetadata, BuildSummary, Module, ProcessEnd, ProcessInfo, SharedObject, Watermark};
use prost::{Message, bytes::Bytes};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use std::{borrow::Cow, sync::Arc};

type Text<'a> = Cow<'a, str>;

/// A process has started.
#[derive(Serialize)]
struct Start<'a> {
    event_id: Uuid,
    #[serde(skip_serializing_if = "str::is_empty")]
    binpath: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ns: Option<i64>,
    #[serde(flatten)]
    watermark: Marked<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    job_id: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    identity: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    cmdline: Text<'a>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    arguments: Texts<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    working_directory: Text<'a>,
    #[serde(skip_serializing_if = "Texts::is_empty")]
    environment_variables: Texts<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    loaded_modules: Vec<LoadedModule<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared_objects: Vec<LoadedObject<'a>>,
    #[serde(skip_serializing_if = "Hex::is_empty")]
    build_id: Hex<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mpi: Option<Mpi>,
    #[serde(skip_serializing_if = "str::is_empty")]
    job_step: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    array_index: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    container: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    client: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_lost: Option<u64>,
}

/// A process has ended.
#[derive(Serialize)]
struct End<'a> {
    r#type: &'static str,
    event_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    job_id: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: Text<'a>,
    end: Ended<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_lost: Option<u64>,
}

/// What is told at the end only.
#[derive(Serialize)]
struct Ended<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_time_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_time_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rss_kib: Option<u64>,
    /// Loaded since the start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared_objects: Vec<LoadedObject<'a>>,
}

/// The signatures of an executable or shared object, and the build of the first that has one.
#[derive(Serialize)]
struct Marked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureText<'a>>,
    /// All of them, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<SignatureText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<Build>,
}

#[derive(Serialize)]
struct LoadedObject<'a> {
    path: Text<'a>,
    #[serde(flatten)]
    watermark: Marked<'a>,
    #[serde(skip_serializing_if = "Hex::is_empty")]
    build_id: Hex<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preloaded: bool,
}

#[derive(Serialize)]
struct LoadedModule<'a> {
    name: Text<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: Text<'a>,
}

#[derive(Serialize)]
struct Mpi {
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
}

/// What is known of a build: by the registry, or by the note alone.
#[derive(Serialize)]
#[serde(untagged)]
enum Build {
    Record(Summary),
    Note(Box<BuildSummary>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Name<'a> {
    Known(Arc<str>),
    Claimed(Text<'a>),
}

/// Writes the document of an event, without a line's end; which signatures nobody registered is added to `missing`.
pub fn write(joiner: &Joiner, entry: &Entry, event: &Event, missing: &mut Missing, out: &mut Vec<u8>) {
    let written = match event {
        Event::Start(info) => serde_json::to_writer(out, &start(joiner, entry, info, missing)),
        Event::End(end) => serde_json::to_writer(out, &ended(joiner, entry, end, missing)),
    };
    // Writing into a vector cannot fail, and every key of a document is text.
    debug_assert!(written.is_ok());
}

fn start<'a>(joiner: &Joiner, entry: &Entry, info: &'a ProcessInfo, missing: &mut Missing) -> Start<'a> {
    let kernel = entry.credentials;
    let uid = kernel.map(|kernel| kernel.uid).or(info.uid);
    // A name is claimed until the kernel gave the uid that it belongs to.
    let known =
        uid.filter(|_| kernel.is_some() || info.username.is_none()).and_then(|uid| joiner.users.name(uid));
    let time_ns = info.start_time_ns;
    Start {
        event_id: Uuid(super::event_id(entry, event_id_of(info.event_id.as_ref()))),
        binpath: text(&info.binpath),
        pid: kernel.map(|kernel| i64::from(kernel.pid)).filter(|pid| *pid != 0).or(info.pid.map(i64::from)),
        parent_pid: info.parent_pid,
        time: info.time.or(time_ns.map(|ns| ns.div_euclid(1_000_000_000))),
        time_ns,
        watermark: marked(joiner, info.signature.as_deref(), &info.watermarks, missing),
        job_id: text(&info.job_id),
        username: known.map(Name::Known).or(info.username.as_deref().map(|name| Name::Claimed(lossy(name)))),
        uid,
        gid: kernel.map(|kernel| kernel.gid).or(info.gid),
        identity: if kernel.is_some() { "kernel" } else { "claimed" },
        hostname: text(&info.hostname),
        cmdline: cmdline(info),
        arguments: Texts(&info.arguments),
        working_directory: text(&info.working_directory),
        environment_variables: Texts(&info.environment_variables),
        loaded_modules: info.loaded_modules.iter().map(module).collect(),
        shared_objects: objects(joiner, &info.shared_objects, missing),
        build_id: Hex(info.build_id()),
        mpi: (info.mpi_rank.is_some() || info.mpi_size.is_some())
            .then_some(Mpi { rank: info.mpi_rank, size: info.mpi_size }),
        job_step: text(&info.job_step),
        array_index: text(&info.array_index),
        container: text(&info.container),
        client: info.client(),
        events_lost: info.events_lost.filter(|lost| *lost > 0),
    }
}

fn ended<'a>(joiner: &Joiner, entry: &Entry, end: &'a ProcessEnd, missing: &mut Missing) -> End<'a> {
    End {
        r#type: "end",
        event_id: Uuid(super::event_id(entry, event_id_of(end.event_id.as_ref()))),
        pid: end.pid,
        job_id: text(&end.job_id),
        hostname: text(&end.hostname),
        end: Ended {
            time_ns: end.time_ns,
            duration_ns: end.duration_ns,
            user_time_us: end.user_time_us,
            system_time_us: end.system_time_us,
            max_rss_kib: end.max_rss_kib,
            shared_objects: objects(joiner, &end.shared_objects, missing),
        },
        events_lost: end.events_lost.filter(|lost| *lost > 0),
    }
}

fn objects<'a>(joiner: &Joiner, objects: &'a [SharedObject], missing: &mut Missing) -> Vec<LoadedObject<'a>> {
    let one = |object: &'a SharedObject| LoadedObject {
        path: text(&object.path),
        watermark: marked(joiner, object.signature.as_deref(), &object.watermarks, missing),
        build_id: Hex(object.build_id()),
        preloaded: object.preloaded(),
    };
    objects.iter().map(one).collect()
}

fn marked<'a>(
    joiner: &Joiner,
    claimed: Option<&'a str>,
    watermarks: &[Watermark],
    missing: &mut Missing,
) -> Marked<'a> {
    let mut all = Vec::new();
    let mut build = None;
    for watermark in watermarks {
        let Some(signature) = Signature::from_slice(watermark.signature()) else { continue };
        if all.iter().any(|known| matches!(known, SignatureText::Good(known) if *known == signature)) {
            continue;
        }
        all.push(SignatureText::Good(signature));
        build = build.or_else(|| joiner.build(signature, missing).map(Build::Record));
    }
    if let Some(text) = claimed.filter(|text| all.is_empty() && !text.is_empty()) {
        match Signature::parse(text.as_bytes()) {
            Ok(signature) => {
                all.push(SignatureText::Good(signature));
                build = joiner.build(signature, missing).map(Build::Record);
            }
            Err(_) => all.push(SignatureText::Bad(text)),
        }
    }
    let build = build.or_else(|| watermarks.iter().find_map(of_note));
    let signature = all.first().copied();
    if all.len() < 2 {
        all = Vec::new();
    }
    Marked { signature, signatures: all, build }
}

fn of_note(watermark: &Watermark) -> Option<Build> {
    let signature = Signature::from_slice(watermark.signature())?;
    let metadata = BuildMetadata::decode(watermark.metadata.clone()?).ok()?;
    if metadata == BuildMetadata::default() {
        return None;
    }
    Some(Build::Note(Box::new(BuildSummary::from_note(signature, &metadata))))
}

fn module(module: &Module) -> LoadedModule<'_> {
    LoadedModule { name: text(&module.name), file: text(&module.file) }
}

/// Clients before 1.0 send it; of ours it is made from the arguments.
fn cmdline(info: &ProcessInfo) -> Text<'_> {
    if info.cmdline.is_some() || info.arguments.is_empty() {
        return text(&info.cmdline);
    }
    Cow::Owned(info.arguments.iter().map(|argument| lossy(argument)).collect::<Vec<_>>().join(" "))
}

fn text(bytes: &Option<Bytes>) -> Text<'_> {
    bytes.as_deref().map(lossy).unwrap_or_default()
}

fn lossy(bytes: &[u8]) -> Text<'_> {
    String::from_utf8_lossy(bytes)
}

/// The id that a client gave its event, where it is one.
pub fn event_id_of(id: Option<&Bytes>) -> Option<[u8; 16]> {
    id.and_then(|id| id.as_ref().try_into().ok())
}

struct Uuid([u8; 16]);

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        // A UUID's text is a signature's: one shape for both.
        let text = Signature::from_bytes(self.0).text();
        out.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A signature, or what a client sent instead of one.
#[derive(Clone, Copy)]
enum SignatureText<'a> {
    Good(Signature),
    Bad(&'a str),
}

impl Serialize for SignatureText<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            SignatureText::Good(signature) => Uuid(*signature.as_bytes()).serialize(out),
            SignatureText::Bad(text) => out.serialize_str(text),
        }
    }
}

struct Texts<'a>(&'a [Bytes]);

impl Texts<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut list = out.serialize_seq(Some(self.0.len()))?;
        for bytes in self.0 {
            list.serialize_element(&lossy(bytes))?;
        }
        list.end()
    }
}

struct Hex<'a>(&'a [u8]);

impl Hex<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        out.serialize_str(&text)
    }
}
