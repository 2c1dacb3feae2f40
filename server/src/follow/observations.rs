//! What ogrt-observe tells of processes while they run: objects that they loaded after their start,
//! and GPUs. Their ends tell it.
//!
//! The observer tells everything that is loaded; what a start has told already is left out here, by
//! build-id, else by path. An end of a process has what was seen of it, and no more: one that lived
//! for less than two seconds was not looked at. The memory of all is bounded, and users share it by
//! the rule of [`FairRoom`].

use crate::{
    fair_shares::FairRoom,
    fields::{Fields, Value},
};
use ogrt_proto::{
    Gpu, Package, SharedObject,
    field_numbers::{process_end, process_info, shared_object},
};
use prost::Message;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hasher},
};

/// Objects of one start that are remembered, at most. Where it has more, nothing is told to be
/// loaded later.
const KNOWN_MAX: usize = 8192;

/// Memory of an object that is remembered.
const KNOWN_BYTES: usize = 16;

/// Bytes that one process's end may have of them.
const BYTES_MAX: usize = 64 << 10;

/// Packages of one process, at most.
const PACKAGES_MAX: usize = 1024;

/// Bytes of all.
const ALL_BYTES_MAX: usize = 64 << 20;

/// What is known of one start.
#[derive(Default)]
struct ObservedStart {
    uid: u32,
    /// Bytes of what is remembered.
    bytes: usize,
    /// Some of its objects are not known.
    is_cut: bool,
    /// What it has told is among what is known.
    has_told: bool,
    /// Objects that it has told, or that were observed.
    known: HashSet<u64>,
    /// Objects that it loaded later, as fields of its end.
    objects: Vec<u8>,
    gpus: Vec<Gpu>,
    packages: Vec<Package>,
    /// What the process itself says.
    claims: Vec<Package>,
}

/// See the module.
#[derive(Default)]
pub struct Observations {
    starts: HashMap<[u8; 16], ObservedStart>,
    memory: UserMemory,
}

/// Bytes that are remembered, of all and of each user.
#[derive(Default)]
struct UserMemory {
    bytes: usize,
    by_uid: HashMap<u32, usize>,
}

impl UserMemory {
    /// Takes so many bytes for a start, if its user may have them.
    fn take(&mut self, start: &mut ObservedStart, bytes: usize) -> bool {
        let own = self.by_uid.entry(start.uid).or_default();
        let has_room = FairRoom { max: ALL_BYTES_MAX, used: self.bytes }.fits(bytes, *own, 0);
        if has_room {
            self.bytes += bytes;
            *own += bytes;
            start.bytes += bytes;
        }
        has_room
    }

    /// Gives back what a start had.
    fn give_back(&mut self, start: &ObservedStart) {
        self.bytes -= start.bytes;
        if let Some(own) = self.by_uid.get_mut(&start.uid) {
            *own -= start.bytes;
            if *own == 0 {
                self.by_uid.remove(&start.uid);
            }
        }
    }
}

impl Observations {
    /// A start of this user has come, or a part of one.
    pub fn begin(&mut self, event_id: [u8; 16], uid: u32, message: &[u8]) {
        let fresh = || ObservedStart { uid, ..ObservedStart::default() };
        let start = self.starts.entry(event_id).or_insert_with(fresh);
        start.has_told = true;
        for field in Fields::of(message).map_while(Result::ok) {
            if let (process_info::SHARED_OBJECTS, Value::Bytes(object)) = field
                && let Some(number) = of_message(object)
                && !start.known.contains(&number)
            {
                let has_room = start.known.len() < KNOWN_MAX && self.memory.take(start, KNOWN_BYTES);
                start.is_cut |= !has_room;
                if has_room {
                    start.known.insert(number);
                }
            }
        }
    }

    /// Something was observed of its process.
    pub fn add(
        &mut self,
        event_id: &[u8; 16],
        objects: Vec<SharedObject>,
        gpus: Vec<Gpu>,
        packages: Vec<Package>,
    ) {
        let Some(start) = self.starts.get_mut(event_id).filter(|start| start.has_told) else { return };
        for object in objects {
            let Some(number) = number_of(&object) else { continue };
            let length = object.encoded_len() + KNOWN_BYTES;
            let has_room = start.objects.len() + length <= BYTES_MAX && start.known.len() < 2 * KNOWN_MAX;
            if start.is_cut || !has_room || start.known.contains(&number) {
                continue;
            }
            if self.memory.take(start, length) {
                start.known.insert(number);
                prost::encoding::message::encode(process_end::SHARED_OBJECTS, &object, &mut start.objects);
            }
        }
        for package in packages {
            if start.packages.len() < PACKAGES_MAX
                && !start.packages.contains(&package)
                && self.memory.take(start, package.encoded_len() + size_of::<Package>())
            {
                start.packages.push(package);
            }
        }
        let bytes = gpus.iter().map(Message::encoded_len).sum::<usize>();
        let before = start.gpus.iter().map(Message::encoded_len).sum::<usize>();
        if !gpus.is_empty()
            && bytes <= BYTES_MAX
            && (bytes <= before || self.memory.take(start, bytes - before))
        {
            start.gpus = gpus;
        }
    }

    /// The process itself, of this user, has said what it uses. The first time counts.
    pub fn claim(&mut self, event_id: [u8; 16], uid: u32, packages: Vec<Package>) {
        let fresh = || ObservedStart { uid, ..ObservedStart::default() };
        let start = self.starts.entry(event_id).or_insert_with(fresh);
        let size = |package: &Package| package.encoded_len() + size_of::<Package>();
        let length = packages.iter().map(size).sum();
        if start.claims.is_empty() && length <= 4 * BYTES_MAX && self.memory.take(start, length) {
            start.claims = packages;
        }
    }

    /// What the end tells, as fields of a ProcessEnd.
    pub fn take(&mut self, event_id: &[u8; 16]) -> Vec<u8> {
        let Some(start) = self.starts.remove(event_id) else { return Vec::new() };
        self.memory.give_back(&start);
        let ObservedStart { mut objects, gpus, packages, claims, .. } = start;
        let names = |package: &Package| (package.language.clone(), package.name.clone());
        let mut seen: HashSet<_> = packages.iter().map(names).collect();
        for claim in claims.into_iter().take(PACKAGES_MAX) {
            if seen.insert(names(&claim)) {
                let claim = Package { claimed: Some(true), ..claim };
                prost::encoding::message::encode(process_end::PACKAGES, &claim, &mut objects);
            }
        }
        for package in packages {
            prost::encoding::message::encode(process_end::PACKAGES, &package, &mut objects);
        }
        for gpu in gpus {
            prost::encoding::message::encode(process_end::GPUS, &gpu, &mut objects);
        }
        objects
    }
}

/// The number of an object in its message.
fn of_message(message: &[u8]) -> Option<u64> {
    let (mut path, mut build_id) = (&[][..], &[][..]);
    for field in Fields::of(message).map_while(Result::ok) {
        match field {
            (shared_object::PATH, Value::Bytes(bytes)) => path = bytes,
            (shared_object::BUILD_ID, Value::Bytes(bytes)) => build_id = bytes,
            _ => {}
        }
    }
    number(build_id, path)
}

fn number_of(object: &SharedObject) -> Option<u64> {
    number(object.build_id.as_deref().unwrap_or_default(), object.path.as_deref().unwrap_or_default())
}

fn number(build_id: &[u8], path: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write([build_id, path].into_iter().find(|bytes| !bytes.is_empty())?);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{ProcessEnd, ProcessInfo};

    fn object(path: &str, build_id: Option<u8>) -> SharedObject {
        SharedObject {
            path: Some(path.to_owned().into()),
            build_id: build_id.map(|byte| vec![byte; 20].into()),
            ..SharedObject::default()
        }
    }

    #[test]
    fn an_end_tells_what_was_loaded_since_the_start() {
        let mut observations = Observations::default();
        let start = ProcessInfo {
            shared_objects: vec![object("/lib/libc.so.6", Some(1)), object("/lib/old.so", None)],
            ..ProcessInfo::default()
        };
        observations.begin([7; 16], 1, &start.encode_to_vec());
        let plugin = object("/opt/plugin.so", Some(2));
        let seen = vec![
            // The same file, as another namespace names it.
            object("/host/lib/libc.so.6", Some(1)),
            object("/lib/old.so", None),
            plugin.clone(),
        ];
        let gpu = |did| Gpu { maker: Some("nvidia".into()), did: Some(did), devices: vec![], claimed: None };
        let package =
            Package { language: Some("R".into()), name: Some("Matrix".into()), ..Package::default() };
        observations.add(&[7; 16], seen, vec![gpu(false)], vec![package.clone()]);
        observations.add(&[7; 16], vec![plugin.clone()], vec![gpu(true)], vec![package.clone()]);
        observations.add(&[8; 16], vec![plugin.clone()], vec![], vec![]);
        let end = ProcessEnd::decode(&*observations.take(&[7; 16])).unwrap();
        assert_eq!((end.shared_objects, end.gpus), (vec![plugin], vec![gpu(true)]));
        assert_eq!(end.packages, std::slice::from_ref(&package));
        let claim = |name: &str| Package {
            language: Some("R".into()),
            name: Some(name.to_owned().into()),
            ..Package::default()
        };
        observations.begin([7; 16], 1, b"");
        observations.add(&[7; 16], vec![], vec![], vec![package]);
        observations.claim([7; 16], 1, vec![claim("Matrix"), claim("other")]);
        observations.claim([7; 16], 1, vec![claim("later")]);
        let end = ProcessEnd::decode(&*observations.take(&[7; 16])).unwrap();
        let told: Vec<_> = end.packages.iter().map(|package| (package.name(), package.claimed)).collect();
        assert_eq!(told, [(&b"other"[..], Some(true)), (&b"Matrix"[..], None)], "what was seen counts");
        assert!(observations.take(&[7; 16]).is_empty() && observations.take(&[8; 16]).is_empty());
        assert_eq!((observations.memory.bytes, observations.memory.by_uid.len()), (0, 0));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut observations = Observations::default();
        observations.begin([7; 16], 1, b"");
        for number in 0..10_000 {
            observations.add(&[7; 16], vec![object(&format!("/{number}"), None)], vec![], vec![]);
        }
        let told = observations.take(&[7; 16]);
        assert!(told.len() > BYTES_MAX / 2 && told.len() < 2 * BYTES_MAX, "{}", told.len());
    }

    #[test]
    fn the_memory_is_shared_among_users() {
        let mut observations = Observations::default();
        let objects = (0..KNOWN_MAX).map(|number| object(&format!("/{number}"), None)).collect();
        let many = ProcessInfo { shared_objects: objects, ..ProcessInfo::default() }.encode_to_vec();
        let mut begin = |number: u32, uid| {
            let mut event_id = [0; 16];
            event_id[..4].copy_from_slice(&number.to_be_bytes());
            observations.begin(event_id, uid, &many);
            observations.add(&event_id, vec![object("/late.so", None)], vec![], vec![]);
            !observations.starts[&event_id].is_cut
        };
        let full = (0..2000).take_while(|number| begin(*number, 1)).count();
        let half = ALL_BYTES_MAX / 2 / (KNOWN_MAX * KNOWN_BYTES);
        assert!((half - 2..=half).contains(&full), "{full} of {half}");
        assert!(begin(3000, 2), "another user has room");
        // Of a start that is not known whole nothing is told.
        let mut cut = [0; 16];
        cut[..4].copy_from_slice(&(full as u32).to_be_bytes());
        assert!(observations.take(&cut).is_empty());
        let mut whole = [0; 16];
        whole[..4].copy_from_slice(&3000u32.to_be_bytes());
        assert!(!observations.take(&whole).is_empty());
    }
}
