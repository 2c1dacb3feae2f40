//! Everything that was ever loaded, ours or not: each file by its build-id and its path, under a
//! number.
//!
//! ```text
//! objects       number -> length of the build-id, build-id, path
//! object_index  'd' digest -> number    'b' length, build-id, number    'p' path, number
//!               'n' file's name, number 'o' number -> the sender who had it first
//!               'k' package's name, NUL, language, NUL, number
//! programs_with_object  number of the object, number of a program
//! ```
//! A program names its objects by number, so a file stands here once, whoever loads it. A new
//! object is on disk before, or with, the first program that has it.

use super::{
    ProgramNumber, Uses, UsesError,
    forgotten::{Forgotten, Missing, is_mark},
    object_names::{ObjectName, ObjectNumber, build_id_prefix, file_name, package_prefix},
    shares::{KeptShares, Owner, ShareChanges, UseShares},
};
use crate::{
    database::{Table, UsesStore, Writes, number},
    fair_shares::ShareHolder,
    registry::LruMap,
};
use anyhow::Result;
use regex::bytes::Regex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Objects in one generation of those remembered, 3 MB.
const RECENT: usize = (1 << 16) / 8 * 7;

/// Most objects of one answer whose software is named.
const OBJECTS_NAMED_MAX: usize = 1000;

/// Largest number of keys that are looked at for one question.
const KEYS_MAX: usize = 5_000_000;

fn digest_key(bytes: &[u8]) -> [u8; 17] {
    let mut key = [b'd'; 17];
    key[1..].copy_from_slice(&Sha256::digest(bytes)[..16]);
    key
}

fn owner_key(object: ObjectNumber) -> Vec<u8> {
    [&b"o"[..], &object.to_be_bytes()].concat()
}

/// The key under which a program of an object stands.
fn program_key(object: ObjectNumber, program: ProgramNumber) -> Vec<u8> {
    [object.to_be_bytes(), program.to_be_bytes()].concat()
}

/// Numbers of objects: those seen lately from memory, the others from disk, new ones given.
pub struct ObjectNumbers {
    recent: LruMap<[u8; 17], ObjectNumber>,
    fresh: HashMap<[u8; 17], NewObject>,
    /// Objects on disk and fresh, and the number of the next; read when first needed.
    numbers: Option<(u64, ObjectNumber)>,
}

struct NewObject {
    number: ObjectNumber,
    name: Vec<u8>,
    owner: ShareHolder,
}

impl Default for ObjectNumbers {
    fn default() -> Self {
        ObjectNumbers { recent: LruMap::new(RECENT), fresh: HashMap::new(), numbers: None }
    }
}

impl ObjectNumbers {
    /// The number of an object. `None` when it is new, and none may be taken: of nobody, or there
    /// are too many to take another one of this sender.
    pub fn number(
        &mut self,
        store: &UsesStore,
        name: &ObjectName<'_>,
        new: Option<(&mut KeptShares, &ShareHolder)>,
    ) -> fjall::Result<Option<ObjectNumber>> {
        let bytes = name.bytes();
        let digest = digest_key(&bytes);
        if let Some(known) = self.recent.get(&digest) {
            return Ok(Some(*known));
        }
        let known = match self.fresh.get(&digest) {
            Some(fresh) => Some(fresh.number),
            None => store.object_index.get(digest)?.map(|known| number(&known)),
        };
        let known = match known {
            Some(known) => known,
            None => {
                let (objects, next) = match self.numbers {
                    Some(numbers) => numbers,
                    None => (store.object_count.get()?, store.next_object.get()?),
                };
                let Some((shares, sender)) = new else { return Ok(None) };
                let owner = shares.holder(sender.clone());
                if !shares.has_room(&owner, objects) {
                    return Ok(None);
                }
                shares.add_fresh(owner.clone());
                self.numbers = Some((objects + 1, next + 1));
                self.fresh.insert(digest, NewObject { number: next, name: bytes, owner });
                next
            }
        };
        self.recent.insert(digest, known);
        Ok(Some(known))
    }

    /// How many are new.
    pub fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Puts the new ones among the writes; [`ObjectNumbers::written`] when these are made.
    pub fn put(&self, store: &UsesStore, writes: &mut Writes) {
        let Some((objects, next)) = self.numbers else { return };
        for (digest, NewObject { number: object, name, owner }) in &self.fresh {
            writes.insert(&store.objects, object.to_be_bytes(), &name[..]);
            writes.insert(&store.object_index, *digest, object.to_be_bytes());
            writes.insert(&store.object_index, owner_key(*object), owner.as_bytes());
            for key in ObjectName::read(name).into_iter().flat_map(|name| name.keys(*object)) {
                writes.insert(&store.object_index, key, []);
            }
        }
        writes.set(&store.object_count, objects);
        writes.set(&store.next_object, next);
    }

    /// Forgets what was new: it is on disk now.
    pub fn written(&mut self) {
        self.fresh.clear();
        self.numbers = None;
    }
}

/// Puts a program's objects among the writes.
pub fn put_program(store: &UsesStore, program: ProgramNumber, objects: &[ObjectNumber], writes: &mut Writes) {
    for object in objects {
        writes.insert(&store.programs_with_object, program_key(*object, program), []);
    }
}

/// Takes a program off its objects.
pub fn remove_program(
    store: &UsesStore,
    program: ProgramNumber,
    objects: &[ObjectNumber],
    writes: &mut Writes,
) {
    for object in objects {
        writes.remove(&store.programs_with_object, program_key(*object, program));
    }
}

/// Removes those of these objects that no program has any more.
pub fn remove_unused(uses: &Uses, objects: &BTreeSet<ObjectNumber>, shares: &mut UseShares) -> Result<()> {
    let store = &uses.store;
    let mut forgotten = Forgotten::default();
    let (mut writes, mut gone, mut changes) = (store.database.writes(), 0, ShareChanges::default());
    for object in objects {
        let key = object.to_be_bytes();
        let first = store.programs_with_object.prefix(key).next();
        let mark = first.map(|first| first.into_inner()).transpose()?;
        if mark.as_ref().is_some_and(|(key, _)| !is_mark(number(key.get(8..).unwrap_or_default()))) {
            continue;
        }
        let Some(bytes) = store.objects.get(key)? else { continue };
        if let Some(name) = ObjectName::read(&bytes) {
            name.keys(*object).into_iter().for_each(|key| writes.remove(&store.object_index, key));
            if let Some((mark, last_ns)) = mark {
                forgotten.add_file(&name, number(&last_ns) as i64);
                writes.remove(&store.programs_with_object, mark);
            }
        }
        writes.remove(&store.object_index, digest_key(&bytes));
        let owner = owner_key(*object);
        let holder = store.object_index.get(&owner)?.map(|holder| ShareHolder::read(&holder));
        changes.add(&holder.map_or(Owner::Several, Owner::One), -1);
        writes.remove(&store.object_index, owner);
        writes.remove(&store.objects, key);
        gone += 1;
    }
    writes.set(&store.object_count, store.object_count.get()?.saturating_sub(gone));
    shares.objects.put(store, &changes, &mut writes);
    forgotten.put(uses, &mut shares.forgotten, &mut writes)?;
    writes.commit()?;
    shares.objects.apply(changes);
    Ok(())
}

/// What was loaded, by what is known of a file from outside. All that is named must fit.
#[derive(Clone, Debug, Default)]
pub struct ObjectQuestion {
    /// The GNU build-id.
    pub build_id: Option<Vec<u8>>,
    /// The path, as a pattern: `*`, `?` and `[...]` as in a shell, but `*` goes across directories.
    pub path: Option<String>,
    /// The name in DT_SONAME: a file has it as its name, or with a version behind it.
    pub soname: Option<String>,
    /// The name of a package of a language, such as a Python module.
    pub package: Option<String>,
    /// The path as it is.
    pub exact_path: Option<Vec<u8>>,
}

impl ObjectQuestion {
    /// Tells that nothing is named.
    pub fn is_empty(&self) -> bool {
        self.named().next().is_none()
    }

    /// What is named, as answers list it.
    pub fn named(&self) -> impl Iterator<Item = &'static str> {
        let named = |is_named: bool, name| is_named.then_some(name);
        [
            named(self.build_id.is_some(), "build_id"),
            named(self.path.is_some(), "path"),
            named(self.soname.is_some(), "soname"),
            named(self.package.is_some(), "package"),
            named(self.exact_path.is_some(), "path"),
        ]
        .into_iter()
        .flatten()
    }

    /// The keys to look at: all that begin with this.
    fn prefix(&self, path: Option<&Pattern>) -> Vec<u8> {
        if let Some(package) = &self.package {
            return package_prefix(package.as_bytes());
        }
        if let Some(path) =
            self.exact_path.as_ref().filter(|_| self.build_id.as_ref().is_none_or(Vec::is_empty))
        {
            return [b"p", &path[..]].concat();
        }
        match (&self.build_id, &self.soname, path) {
            (Some(build_id), ..) => build_id_prefix(build_id),
            (None, Some(soname), _) => [b"n", soname.as_bytes()].concat(),
            (None, None, path) => [&b"p"[..], path.map_or(&[][..], |path| &path.begin[..])].concat(),
        }
    }

    fn fits(&self, path: Option<&Pattern>, name: &ObjectName<'_>) -> bool {
        let is_named = |soname: &String| {
            let rest = file_name(name.path).strip_prefix(soname.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        };
        let is_package =
            |package: &String| name.package().is_some_and(|(_, known)| known == package.as_bytes());
        self.package.as_ref().is_none_or(is_package)
            && self.build_id.as_ref().is_none_or(|build_id| build_id == name.build_id)
            && self.soname.as_ref().is_none_or(is_named)
            && path.is_none_or(|path| path.regex.is_match(name.path))
            && self.exact_path.as_ref().is_none_or(|path| path == name.path)
    }
}

/// A pattern of paths.
struct Pattern {
    /// What every path that fits begins with.
    begin: Vec<u8>,
    regex: Regex,
}

impl Pattern {
    fn read(pattern: &str) -> Result<Pattern, UsesError> {
        let mut expression = String::from("(?s-u)^");
        let mut rest = pattern.chars();
        while let Some(letter) = rest.next() {
            let set = rest.as_str().split_once(']').filter(|(set, _)| letter == '[' && !set.is_empty());
            match (letter, set) {
                ('*', _) => expression.push_str(".*"),
                ('?', _) => expression.push('.'),
                (_, Some((set, behind))) => {
                    let (not, set) = match set.strip_prefix(['!', '^']) {
                        Some(set) => ("^", set),
                        None => ("", set),
                    };
                    let set = set.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&");
                    expression.push_str(&format!("[{not}{}]", set.replace('~', "\\~")));
                    rest = behind.chars();
                }
                _ => {
                    // Byte by byte: a path need not be UTF-8.
                    for byte in letter.to_string().bytes() {
                        expression.push_str(&format!("\\x{byte:02x}"));
                    }
                }
            }
        }
        expression.push('$');
        let begin = pattern.split(['*', '?', '[']).next().unwrap_or_default().as_bytes().to_vec();
        let regex = Regex::new(&expression).map_err(|_| UsesError::Pattern(pattern.to_owned()))?;
        Ok(Pattern { begin, regex })
    }
}

/// Programs that answer a question for objects.
#[derive(Default)]
pub struct LoadedBy {
    pub programs: BTreeSet<ProgramNumber>,
    /// The names of such objects, as they are on disk; not all where there are many.
    pub objects: Vec<Vec<u8>>,
    /// Such an object was loaded once.
    pub is_known: bool,
    /// There was more to look at than may be.
    pub is_cut: bool,
}

impl LoadedBy {
    /// Both together.
    pub fn add(&mut self, more: LoadedBy) {
        self.programs.extend(more.programs);
        let room = OBJECTS_NAMED_MAX.saturating_sub(self.objects.len());
        self.objects.extend(more.objects.into_iter().take(room));
        self.is_known |= more.is_known;
        self.is_cut |= more.is_cut;
    }
}

impl Uses {
    /// The programs that had such an object loaded, where it fits.
    pub(super) fn loaded_by(
        &self,
        question: &ObjectQuestion,
        missing: Missing,
        also: impl Fn(&ObjectName<'_>) -> bool,
    ) -> Result<LoadedBy, UsesError> {
        let mut found = LoadedBy::default();
        if question.is_empty() {
            return Ok(found);
        }
        let path = question.path.as_deref().map(Pattern::read).transpose()?;
        let mut left = KEYS_MAX;
        for object in keys(&self.store.object_index, question.prefix(path.as_ref()), &mut left)? {
            let Some(bytes) = self.store.objects.get(object.to_be_bytes())? else { continue };
            if !ObjectName::read(&bytes)
                .is_some_and(|name| question.fits(path.as_ref(), &name) && also(&name))
            {
                continue;
            }
            found.is_known = true;
            if found.objects.len() < OBJECTS_NAMED_MAX {
                found.objects.push(bytes.to_vec());
            }
            let of_object = object.to_be_bytes().to_vec();
            for program in keys(&self.store.programs_with_object, of_object, &mut left)? {
                match is_mark(program) {
                    true => found.is_cut |= missing.is_any(),
                    false => drop(found.programs.insert(program)),
                }
            }
        }
        let begin = path.as_ref().map_or(&[][..], |path| &path.begin[..]);
        // Some package is missing, of whatever name.
        let begin = if question.package.is_some() { b"\0" } else { begin };
        found.is_cut |= left == 0
            || (missing.is_any()
                && self.misses_file(question.build_id.as_deref(), question.soname.as_deref(), begin)?);
        Ok(found)
    }
}

/// The numbers at the ends of keys that begin with this, at most `left` of them.
fn keys(table: &Table, prefix: Vec<u8>, left: &mut usize) -> fjall::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in table.prefix(prefix).take(*left) {
        let key = entry.key()?;
        numbers.push(number(&key[key.len().saturating_sub(8)..]));
    }
    *left -= numbers.len();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::{
        super::object_names::{file_path, package_path},
        *,
    };

    #[test]
    fn a_pattern_fits_paths_as_a_shell_would_and_across_directories() {
        let fits = |pattern: &str, path: &[u8]| Pattern::read(pattern).unwrap().regex.is_match(path);
        assert!(fits("/usr/lib/*/libc.so.6", b"/usr/lib/x86_64-linux-gnu/libc.so.6"));
        assert!(fits("/opt/*/libmpi.so*", b"/opt/mpi/4.1/lib/libmpi.so.40"));
        assert!(fits("/a?[xy]", b"/a\xFFx") && !fits("/a?[!xy]", b"/abx"));
        assert!(fits("/a.b", b"/a.b") && !fits("/a.b", b"/aXb") && !fits("/a", b"/ab") && !fits("a", b"/a"));
        assert!(fits("/a[", b"/a[") && fits("/é", "/é".as_bytes()) && fits("/[a\\]", b"/\\"));
        assert_eq!(Pattern::read("/usr/lib*/x").unwrap().begin, b"/usr/lib");
        for odd in ["[z-a]", "[[:x:]]", "[&&]", "[--]", "[~~a]"] {
            // Whatever it means, it is no panic.
            let _ = Pattern::read(odd).map(|pattern| pattern.regex.is_match(b"/x"));
        }
    }

    #[test]
    fn a_name_is_read_as_it_was_written_and_found_by_its_parts() {
        let name = ObjectName { build_id: &[1, 2], path: b"/lib/liblzma.so.5.4.5" };
        assert_eq!(ObjectName::read(&name.bytes()), Some(name));
        assert_eq!(name.keys(7).len(), 3);
        let fits = |question: ObjectQuestion| {
            let prefix = question.prefix(None);
            question.fits(None, &name) && name.keys(7).iter().any(|key| key.starts_with(&prefix))
        };
        let soname = |soname: &str| ObjectQuestion { soname: Some(soname.into()), ..Default::default() };
        assert!(fits(soname("liblzma.so.5")) && fits(soname("liblzma.so.5.4.5")));
        assert!(
            !fits(soname("liblzma.so.5.4.")) && !fits(soname("lzma.so")) && !fits(soname("liblzma.so.50"))
        );
        assert!(fits(ObjectQuestion { build_id: Some(vec![1, 2]), ..soname("liblzma.so.5") }));
        assert!(!fits(ObjectQuestion { build_id: Some(vec![1]), ..soname("liblzma.so.5") }));
    }

    #[test]
    fn a_package_is_found_by_its_name_and_no_file_is_taken_for_one() {
        let path = package_path(b"python", b"numpy", b"1.26.4").unwrap();
        let name = ObjectName { build_id: b"", path: &path };
        let fits = |package: &str| {
            let question = ObjectQuestion { package: Some(package.into()), ..Default::default() };
            let prefix = question.prefix(None);
            question.fits(None, &name) && name.keys(7).iter().any(|key| key.starts_with(&prefix))
        };
        assert!(fits("numpy") && !fits("num") && !fits("numpy.core") && !fits("python") && !fits(""));
        assert_eq!(name.keys(7), [[&b"knumpy\0python\0"[..], &7u64.to_be_bytes()].concat()]);
        assert_eq!(file_path(&path), b"");
        assert_eq!(file_path(b"/lib/x"), b"/lib/x");
        assert_eq!([package_path(b"r", b"", b""), package_path(b"r", b"a\0b", b"")], [None, None]);
    }
}
