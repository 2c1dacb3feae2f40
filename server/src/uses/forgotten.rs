//! What is known to be missing: programs that were deleted, or not counted, because a bound was
//! reached.
//!
//! Marks stand where one would look for it, each with the last time of what is missing:
//!
//! ```text
//! programs_with         signature, MARK
//! programs_with_object  object, MARK
//! object_index  's' beginning of a file's name   'i' build-id   'm' beginning of a path
//! senders       'f' sender, or nobody for what nobody knows      'g'
//! ```
//! So an answer says that it is cut, and only one that lacks something; and retention does not take
//! a build for unused. The last two lines are of files that no known program has. Of signatures
//! and files that nothing else names there are only so many marks.

use super::{
    Uses,
    object_names::{ObjectName, ObjectNumber, build_id_prefix, file_name},
};
use crate::{
    database::{Table, UsesStore, Writes, number},
    fair_shares::{ShareHolder, Shares},
};
use anyhow::Result;
use ogrt_note::Signature;
use std::collections::HashMap;

/// Marks of what nothing else names, at most.
const MARKS_MAX: u64 = 1_000_000;

/// Beginnings of paths that are told apart.
const BEGINNINGS_MAX: usize = 1000;

/// Components of a path in such a beginning.
const COMPONENTS: usize = 2;

/// The number of no program, in the place of one.
const MARK: u64 = u64::MAX;

/// What is missing, and when it last ran.
#[derive(Default)]
pub struct Forgotten {
    signatures: HashMap<Signature, i64>,
    objects: HashMap<ObjectNumber, i64>,
    /// Keys of files that no known program has.
    files: HashMap<Vec<u8>, i64>,
    senders: HashMap<ShareHolder, SenderLoss>,
}

struct SenderLoss {
    last_ns: i64,
    /// Programs that were not counted because the sender has more than its share.
    over: u64,
}

/// What an answer may lack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Missing {
    /// Something of what is asked for; marks say what.
    some: bool,
    /// Nobody knows what.
    anything: bool,
    /// There were more marks than may be.
    unmarked: bool,
}

impl Missing {
    /// Tells whether anything is.
    pub fn is_any(self) -> bool {
        self.some || self.anything
    }

    /// Tells whether it may be anything.
    pub fn is_anything(self) -> bool {
        self.anything
    }

    /// Tells whether something without a known program may be.
    pub fn is_unmarked(self) -> bool {
        self.is_any() && self.unmarked
    }
}

impl Forgotten {
    /// Adds a sender who lost a program that last ran at this time.
    pub fn add_sender(&mut self, holder: ShareHolder, last_ns: i64, is_over: bool) {
        let known = self.senders.entry(holder).or_insert(SenderLoss { last_ns, over: 0 });
        known.last_ns = known.last_ns.max(last_ns);
        known.over += u64::from(is_over);
    }

    /// Adds what the program had.
    pub fn add(&mut self, signatures: impl Iterator<Item = Signature>, objects: &[ObjectNumber], ns: i64) {
        signatures.for_each(|signature| latest(&mut self.signatures, signature, ns));
        objects.iter().for_each(|object| latest(&mut self.objects, *object, ns));
    }

    /// Adds a file that no known program has.
    pub fn add_file(&mut self, name: &ObjectName<'_>, ns: i64) {
        if !name.build_id.is_empty() {
            latest(&mut self.files, [b"i", name.build_id].concat(), ns);
        }
        if !name.path.is_empty() {
            latest(&mut self.files, stem_key(file_name(name.path)), ns);
            latest(&mut self.files, [b"m", beginning(name.path)].concat(), ns);
        }
    }

    /// How many marks these are.
    pub fn len(&self) -> usize {
        self.signatures.len() + self.objects.len() + self.files.len() + self.senders.len()
    }

    /// The senders with more than their share, and what they lost.
    pub fn over(&self) -> impl Iterator<Item = (&ShareHolder, u64)> {
        self.senders.iter().map(|(holder, loss)| (holder, loss.over)).filter(|(_, over)| *over > 0)
    }

    /// Puts the marks among the writes. `senders` are those of whom something is missing.
    pub fn put(&self, uses: &Uses, senders: &mut Shares, writes: &mut Writes) -> Result<()> {
        let store = &uses.store;
        let before = store.forgotten.get()?;
        let mut marks = before;
        for (signature, ns) in &self.signatures {
            let is_named = || -> Result<bool> {
                let has_program = store.programs_with.prefix(signature.as_bytes()).next().is_some();
                Ok(has_program || uses.registry.summary(*signature)?.is_some())
            };
            mark(&store.programs_with, signature_key(signature), *ns, &mut marks, is_named, writes)?;
        }
        for (object, ns) in &self.objects {
            mark(&store.programs_with_object, object_key(*object), *ns, &mut 0, || Ok(true), writes)?;
        }
        for (key, ns) in &self.files {
            let index = &store.object_index;
            let Some((letter, name)) = key.split_first() else { continue };
            let is_named = || match letter {
                b's' => Ok(index.prefix([b"n", name].concat()).next().is_some()),
                _ => Ok(index.prefix(build_id_prefix(name)).next().is_some()),
            };
            match letter {
                b'm' if index.get(b"m")?.is_none() && index.get(key)?.is_none() => {
                    let are_many = index.prefix(b"m").take(BEGINNINGS_MAX).count() == BEGINNINGS_MAX;
                    writes.insert(index, if are_many { &b"m"[..] } else { key }, ns.to_be_bytes());
                }
                b'm' => later(index, if index.get(key)?.is_some() { key } else { b"m" }, *ns, writes)?,
                _ => mark(index, key.clone(), *ns, &mut marks, is_named, writes)?,
            }
        }
        for (holder, loss) in &self.senders {
            put_sender(store, senders, senders.holder(holder.clone()), loss.last_ns, writes);
        }
        if marks != before {
            writes.set(&store.forgotten, marks);
        }
        Ok(())
    }
}

/// Notes that something of this sender is missing.
fn put_sender(store: &UsesStore, senders: &mut Shares, holder: ShareHolder, ns: i64, writes: &mut Writes) {
    let last = u64::try_from(ns).unwrap_or(0).max(1);
    if senders.get(&holder) < last {
        writes.insert(&store.senders, [b"f", holder.as_bytes()].concat(), last.to_be_bytes());
        let of_any = senders.iter().map(|(_, last)| last).max().unwrap_or(0);
        if of_any < last {
            writes.insert(&store.senders, b"g", last.to_be_bytes());
        }
        senders.set(holder, last);
    }
}

/// Puts a mark; where there are too many already, only if something else names the same.
fn mark(
    table: &Table,
    key: Vec<u8>,
    ns: i64,
    marks: &mut u64,
    is_named: impl Fn() -> Result<bool>,
    writes: &mut Writes,
) -> Result<()> {
    if table.get(&key)?.is_some() {
        return Ok(later(table, &key, ns, writes)?);
    }
    if *marks < MARKS_MAX {
        *marks += 1;
    } else if !is_named()? {
        *marks = MARKS_MAX + 1;
        return Ok(());
    }
    writes.insert(table, key, ns.to_be_bytes());
    Ok(())
}

/// Moves the time of a mark on.
fn later(table: &Table, key: &[u8], ns: i64, writes: &mut Writes) -> fjall::Result<()> {
    if table.get(key)?.is_none_or(|known| (number(&known) as i64) < ns) {
        writes.insert(table, key, ns.to_be_bytes());
    }
    Ok(())
}

fn latest<K: std::hash::Hash + Eq>(of: &mut HashMap<K, i64>, key: K, ns: i64) {
    let known = of.entry(key).or_insert(ns);
    *known = ns.max(*known);
}

fn signature_key(signature: &Signature) -> Vec<u8> {
    [&signature.as_bytes()[..], &MARK.to_be_bytes()].concat()
}

fn object_key(object: ObjectNumber) -> Vec<u8> {
    [object.to_be_bytes(), MARK.to_be_bytes()].concat()
}

/// Names that fit each other as a soname does are the same up to the first point.
fn stem_key(name: &[u8]) -> Vec<u8> {
    [b"s", name.split(|byte| *byte == b'.').next().unwrap_or_default()].concat()
}

/// The first components of a path.
fn beginning(path: &[u8]) -> &[u8] {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.skip(1).nth(COMPONENTS - 1).map_or(path, |end| &path[..end])
}

/// Tells whether the number stands for what is missing.
pub fn is_mark(program: u64) -> bool {
    program == MARK
}

impl Uses {
    /// What is missing of a user, or of all where none is named, since this time.
    pub(super) fn missing(&self, user: &str, since_ns: Option<i64>) -> fjall::Result<Missing> {
        let senders = &self.store.senders;
        let is_within = |last: u64| since_ns.is_none_or(|since| last as i64 >= since);
        let has =
            |key: &[u8]| Ok::<_, fjall::Error>(senders.get(key)?.is_some_and(|v| is_within(number(&v))));
        let anything = has(b"f")?;
        let mut some = has(b"g")?;
        if some && !user.is_empty() {
            let user = user.as_bytes();
            let claimed = ShareHolder::claimed(user, b"");
            some = has(&[b"f", ShareHolder::proved(user).as_bytes()].concat())?
                || has(&[b"f", ShareHolder::others().as_bytes()].concat())?;
            let relayed = ShareHolder::behind_any(user);
            for begin in [claimed.as_bytes(), &relayed, &ShareHolder::behind_any(b"")] {
                for entry in senders.prefix([b"f", begin].concat()) {
                    some |= is_within(number(&entry.value()?));
                }
            }
        }
        Ok(Missing { some, anything, unmarked: self.store.forgotten.get()? > MARKS_MAX })
    }

    /// Notes that events of anybody were not counted.
    pub(super) fn forget_events(&self, now_ns: i64) -> fjall::Result<()> {
        let mut writes = self.store.database.writes();
        writes.insert(&self.store.senders, b"f", now_ns.to_be_bytes());
        writes.commit()
    }

    /// When a missing program with the signature last ran.
    pub(super) fn last_forgotten(&self, signature: &Signature) -> fjall::Result<Option<i64>> {
        Ok(self.store.programs_with.get(signature_key(signature))?.map(|value| number(&value) as i64))
    }

    /// Tells whether files that no known program has may answer a question for a build-id, for a
    /// soname, or for paths that begin in this way.
    pub(super) fn misses_file(
        &self,
        build_id: Option<&[u8]>,
        soname: Option<&str>,
        begin: &[u8],
    ) -> fjall::Result<bool> {
        let index = &self.store.object_index;
        if let Some(build_id) = build_id {
            return Ok(index.get([b"i", build_id].concat())?.is_some());
        }
        if let Some(soname) = soname {
            return Ok(index.get(stem_key(soname.as_bytes()))?.is_some());
        }
        for entry in index.prefix(b"m") {
            let key = entry.key()?;
            let known = key.get(1..).unwrap_or_default();
            if known.starts_with(begin) || begin.starts_with(known) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_all_that_a_soname_may_name_and_a_path_for_those_beside_it() {
        for (soname, name) in [("liba.so", "liba.so.1.2"), ("liba.so.1", "liba.so.1"), ("liba", "liba.so")] {
            assert_eq!(stem_key(soname.as_bytes()), stem_key(name.as_bytes()));
        }
        assert_ne!(stem_key(b"liba.so"), stem_key(b"libab.so"));
        assert_eq!(beginning(b"/opt/x/lib/liba.so"), b"/opt/x");
        assert_eq!([beginning(b"/opt/x"), beginning(b"x"), beginning(b"")], [&b"/opt/x"[..], b"x", b""]);
    }
}
