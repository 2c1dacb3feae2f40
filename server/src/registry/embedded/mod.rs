//! The registry in the server's own database.
//!
//! Each build gets a number, in the order of registration. Its whole record is kept under that
//! number, and a small part of it under its signature: a join among ten million builds reads a
//! hundred bytes, and not the list of all inputs. The terms of a build are in an index of sorted
//! runs ([`index`]); a question about two terms walks the rarer ([`list`]). Lists of numbers
//! ([`postings`]) say which builds a build was linked into. A walk over them finds what contains
//! something, however deep ([`contents`]).
//!
//! One registration is one write, so no part of it is there without the others. The index can be
//! made again from the records.

mod catalog;
mod contents;
mod index;
mod list;
mod migrate;
mod output_filter;
mod postings;
mod retire;
mod runs;
mod withdraw;

use super::{
    Build, BuildFilter, ContainingBuilds, InstallationFilter, InstallationPage, ListedBuild, MADE_AGAIN_MAX,
    PAGE_BYTES_MAX, Page, Part, Registration, Registry, RetentionRule, RetiredSlice, Summaries, Withdrawal,
    error::{OrDamaged, Result},
    found_by::{self, Term},
    installations::Installations,
    lru_map::LruMap,
    same_build,
};
use crate::{
    clock::now_ns,
    database::{RegistryStore, Writes, number},
    metrics::Metrics,
};
use bytes::Bytes;
use catalog::{Catalog, Libraries, Signatures};
use index::Index;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary, Installation};
use postings::Postings;
use prost::Message;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use tracing::warn;

/// A build's number, in the order of registration.
pub type Number = u64;

/// Length of what stands before a build's summary (its number) and before its record (the time of
/// registration).
const HEADER: usize = 8;

/// How many signatures and digests are cached with their builds.
const RESOLVED_MAX: usize = 65_536;

/// See the module.
pub struct Embedded {
    store: RegistryStore,
    summaries: Arc<Summaries>,
    metrics: Arc<Metrics>,
    state: Mutex<RegistrationState>,
    index: Index,
    libraries: RwLock<Libraries>,
    installations: Installations,
}

/// What only a registration needs.
struct RegistrationState {
    next: Number,
    catalog: Catalog,
    linked: Postings,
    /// The builds that an input's signature or digest stands for.
    resolved: LruMap<Term, Vec<Number>>,
    /// Unresolved names that are on disk already.
    noted: LruMap<Term, ()>,
}

impl RegistrationState {
    /// Forgets which builds these names stand for.
    fn forget(&mut self, names: &[Part]) {
        for name in names {
            self.resolved.remove(&match name {
                Part::Signature(_) => name.as_input(),
                Part::Digest(digest) => found_by::output_digest(digest),
            });
        }
    }
}

/// The writes of a group of registrations.
#[derive(Default)]
struct Group {
    fresh: HashMap<Signature, FreshBuild>,
    rows: Vec<(Term, Number)>,
    /// Builds by their output.
    outputs: HashMap<Term, Vec<Number>>,
    by_dependency: BTreeMap<Number, BTreeSet<Number>>,
    again: BTreeSet<Vec<u8>>,
    /// Names of inputs that no build is registered for yet, with the builds that they went into.
    unresolved: BTreeMap<Term, Vec<Number>>,
}

/// A new build of the group.
struct FreshBuild {
    number: Number,
    record: Bytes,
    summary: BuildSummary,
}

impl Embedded {
    /// Keeps builds in `store` and tells `summaries` of new ones.
    pub fn open(store: RegistryStore, summaries: Arc<Summaries>, metrics: Arc<Metrics>) -> Result<Self> {
        migrate::check(&store)?;
        let catalog = Catalog::open(&store)?;
        let state = RegistrationState {
            next: catalog.next(),
            catalog,
            linked: Postings::new(store.linked.clone()),
            resolved: LruMap::new(RESOLVED_MAX),
            noted: LruMap::new(RESOLVED_MAX),
        };
        let libraries = RwLock::new(Libraries::open(&store)?);
        let index = Index::open(store.clone())?;
        let installations = Installations::new(store.installations.clone());
        let state = Mutex::new(state);
        let registry = Embedded { store, summaries, metrics, state, index, libraries, installations };
        migrate::migrate(&registry)?;
        Ok(registry)
    }

    fn state(&self) -> MutexGuard<'_, RegistrationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number_of(&self, signature: Signature) -> Result<Option<Number>> {
        Ok(self.store.builds.get(signature.as_bytes())?.map(|value| number(&value)))
    }

    fn brief(&self, signature: Signature) -> Result<Option<(Number, BuildRecord)>> {
        let Some(value) = self.store.builds.get(signature.as_bytes())? else { return Ok(None) };
        let brief = BuildRecord::decode(value.get(HEADER..).unwrap_or_default())
            .or_damaged(|| format!("the summary of build {signature}"))?;
        Ok(Some((number(&value), brief)))
    }

    fn record_bytes(&self, number: Number) -> Result<Option<Bytes>> {
        let value = self.store.records.get(number.to_be_bytes())?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.get(HEADER..).unwrap_or_default())))
    }

    /// The build whose record has this value.
    fn whole(&self, of: Number, value: &[u8]) -> Result<Build> {
        let mut made_again = Vec::new();
        for made in self.store.made_again.prefix(of.to_be_bytes()).take(MADE_AGAIN_MAX) {
            let made = made.value()?;
            made_again.push(BuildRecord::decode(&*made).or_damaged(|| format!("a rebuild of build {of}"))?);
        }
        let record = Bytes::copy_from_slice(value.get(HEADER..).unwrap_or_default());
        Ok(Build { record, registered_ns: number(value) as i64, made_again })
    }

    /// The builds that the term finds and that were not deleted.
    fn found_by(&self, term: &Term) -> Result<Vec<Number>> {
        let mut found = Vec::new();
        self.index.each(term, |number| {
            found.push(number);
            true
        })?;
        self.still_there(found)
    }

    fn still_there(&self, numbers: Vec<Number>) -> Result<Vec<Number>> {
        let mut signatures = Signatures::of(&self.store);
        let mut there = Vec::with_capacity(numbers.len());
        for number in numbers {
            if signatures.get(number)?.is_some() {
                there.push(number);
            }
        }
        Ok(there)
    }

    /// Puts new builds into the cache of summaries.
    fn tell(&self, fresh: &HashMap<Signature, FreshBuild>) {
        for (signature, build) in fresh {
            self.summaries.registered(*signature, &build.summary);
        }
    }

    fn is_library(&self, number: Number) -> bool {
        self.libraries.read().unwrap_or_else(PoisonError::into_inner).contains(number)
    }

    fn register_one(
        &self,
        state: &mut RegistrationState,
        writes: &mut Writes,
        group: &mut Group,
        bytes: &Bytes,
        registered_ns: i64,
    ) -> Result<Registration> {
        let record = BuildRecord::decode(bytes.clone()).ok();
        let signature = record.as_ref().and_then(|record| Signature::from_slice(record.signature()));
        let (Some(record), Some(signature)) = (record, signature) else {
            self.metrics.builds_malformed.add(1);
            warn!("a build record is refused: it cannot be decoded, or has no signature of 16 bytes");
            return Ok(Registration::Malformed);
        };
        let known = match group.fresh.get(&signature) {
            Some(known) => Some((known.number, known.record.clone())),
            None => match self.number_of(signature)? {
                Some(number) => self.record_bytes(number)?.map(|bytes| (number, bytes)),
                None => None,
            },
        };
        match known {
            None => {
                let number = self.write_record(state, writes, signature, &record, bytes, registered_ns);
                self.add(state, group, number, signature, &record, bytes)?;
                self.metrics.builds_registered.add(1);
                Ok(Registration::New(signature))
            }
            Some((number, known)) if same_build::is_same(&known, bytes, &record) => {
                self.metrics.builds_known.add(1);
                if known != bytes {
                    self.made_again(writes, group, number, &known, &same_build::made(&record))?;
                }
                Ok(Registration::Known(signature))
            }
            Some(_) => {
                self.metrics.builds_conflicting.add(1);
                same_build::complain(signature, &record);
                Ok(Registration::Conflict(signature))
            }
        }
    }

    /// Writes a new record under its number, its signature and its time. Returns the number.
    fn write_record(
        &self,
        state: &mut RegistrationState,
        writes: &mut Writes,
        signature: Signature,
        record: &BuildRecord,
        bytes: &Bytes,
        registered_ns: i64,
    ) -> Number {
        let number = state.next;
        state.next += 1;
        let brief = same_build::listed(record, registered_ns);
        let short = [&number.to_be_bytes(), &brief.encode_to_vec()[..]].concat();
        writes.insert(&self.store.builds, *signature.as_bytes(), short);
        let whole = [&registered_ns.to_be_bytes(), bytes.as_ref()].concat();
        writes.insert(&self.store.records, number.to_be_bytes(), whole);
        writes.insert(&self.store.builds_by_time, time_key(brief.time_ns(), number), []);
        state.catalog.add(number, signature);
        number
    }

    /// Adds a new build to its group: its terms, and what it was linked from and into.
    fn add(
        &self,
        state: &mut RegistrationState,
        group: &mut Group,
        number: Number,
        signature: Signature,
        record: &BuildRecord,
        bytes: &Bytes,
    ) -> Result<()> {
        // Builds that contain this one may have been registered before it.
        let names = same_build::names(signature, record);
        for name in names.iter().map(Part::as_input) {
            if let Some(dependents) = group.unresolved.get(&name) {
                group.by_dependency.entry(number).or_default().extend(dependents);
            }
            if self.store.unresolved.contains_key(name)? {
                group.by_dependency.entry(number).or_default().extend(self.found_by(&name)?);
            }
        }
        for input in &record.inputs {
            for dependency in self.behind(state, group, input, number)? {
                group.by_dependency.entry(dependency).or_default().insert(number);
            }
        }
        for name in names {
            match name {
                Part::Signature(_) => state.resolved.insert(name.as_input(), vec![number]),
                Part::Digest(digest) => {
                    let term = found_by::output_digest(&digest);
                    if let Some(builds) = state.resolved.get_mut(&term) {
                        builds.push(number);
                    }
                    group.outputs.entry(term).or_default().push(number);
                }
            }
        }
        group.rows.extend(found_by::of(record).into_iter().map(|term| (term, number)));
        let fresh = FreshBuild { number, record: bytes.clone(), summary: same_build::summary(record) };
        group.fresh.insert(signature, fresh);
        Ok(())
    }

    /// The registered builds that the input came out of. Where there is none, the input's name is
    /// noted, because the build may be registered later.
    fn behind(
        &self,
        state: &mut RegistrationState,
        group: &mut Group,
        input: &ogrt_proto::Input,
        of: Number,
    ) -> Result<Vec<Number>> {
        let mut builds = Vec::new();
        for signature in found_by::signatures(input) {
            let term = Part::Signature(signature).as_input();
            if state.resolved.get(&term).is_none() {
                let found: Vec<Number> = self.number_of(signature)?.into_iter().collect();
                state.resolved.insert(term, found);
            }
            let found = state.resolved.get(&term).map_or(&[][..], Vec::as_slice);
            if found.is_empty() {
                group.unresolved.entry(term).or_default().push(of);
            }
            builds.extend_from_slice(found);
        }
        if let Some(digest) = found_by::may_be_an_output(input) {
            let found = self.with_output(state, group, found_by::output_digest(&digest))?;
            if found.is_empty() {
                group.unresolved.entry(Part::Digest(digest).as_input()).or_default().push(of);
            }
            builds.extend_from_slice(found);
        }
        Ok(builds)
    }

    /// The builds whose output this is; nearly always one.
    fn with_output<'a>(
        &self,
        state: &'a mut RegistrationState,
        group: &Group,
        term: Term,
    ) -> Result<&'a [Number]> {
        const BUILDS_MAX: usize = 64;
        if state.resolved.get(&term).is_none() {
            let mut builds = Vec::new();
            self.index.each(&term, |number| {
                builds.push(number);
                builds.len() < BUILDS_MAX
            })?;
            let mut builds = self.still_there(builds)?;
            builds.extend(group.outputs.get(&term).into_iter().flatten());
            state.resolved.insert(term, builds);
        }
        Ok(state.resolved.get(&term).map_or(&[][..], Vec::as_slice))
    }

    /// Keeps that a reproducible build was made again; a repeated record changes nothing.
    fn made_again(
        &self,
        writes: &mut Writes,
        group: &mut Group,
        number: Number,
        known: &Bytes,
        made: &BuildRecord,
    ) -> Result<()> {
        let is_first = |first| same_build::is_same_link(&same_build::made(&first), made);
        if BuildRecord::decode(known.clone()).is_ok_and(is_first) {
            return Ok(());
        }
        let bytes = made.encode_to_vec();
        let link = BuildRecord { registrar: None, ..made.clone() }.encode_to_vec();
        let time = u64::try_from(made.time_ns()).unwrap_or(0).to_be_bytes();
        let key = [&number.to_be_bytes()[..], &time, &Sha256::digest(&link)[..16]].concat();
        let kept = self.store.made_again.prefix(number.to_be_bytes()).take(MADE_AGAIN_MAX).count();
        if group.again.contains(&key) || self.store.made_again.contains_key(&key)? {
            return Ok(());
        }
        if kept + group.again.len() >= MADE_AGAIN_MAX {
            self.metrics.rebuilds_dropped.add(1);
            return Ok(());
        }
        writes.insert(&self.store.made_again, key.as_slice(), bytes);
        group.again.insert(key);
        Ok(())
    }

    /// Adds a group's lists to its writes, and commits all of them.
    fn commit(&self, state: &mut RegistrationState, mut writes: Writes, group: &mut Group) -> Result<()> {
        for name in group.unresolved.keys() {
            // Most of them, such as the C library, are in every group.
            if state.noted.get(name).is_none() {
                state.noted.insert(*name, ());
                writes.insert(&self.store.unresolved, *name, []);
            }
        }
        let mut fresh_libraries = Vec::new();
        for (dependency, dependents) in &group.by_dependency {
            let dependents: Vec<Number> = dependents.iter().copied().filter(|n| n != dependency).collect();
            if !dependents.is_empty() {
                state.linked.append(&mut writes, &dependency.to_be_bytes(), &dependents);
                fresh_libraries.push(*dependency);
            }
        }
        state.catalog.write(&self.store, &mut writes);
        retire::count(&self.store, &mut writes, group.fresh.len() as i64)?;
        let mut libraries = self.libraries.write().unwrap_or_else(PoisonError::into_inner);
        libraries.add(&self.store, &mut writes, &fresh_libraries);
        writes.commit()?;
        drop(libraries);
        match group.fresh.is_empty() {
            true => Ok(()),
            false => self.index.grow(std::mem::take(&mut group.rows), state.next),
        }
    }
}

impl Registry for Embedded {
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>> {
        let mut state = self.state();
        let mut writes = self.store.database.writes();
        let mut group = Group::default();
        let mut outcomes = Vec::with_capacity(records.len());
        for bytes in records {
            outcomes.push(self.register_one(&mut state, &mut writes, &mut group, bytes, now_ns())?);
        }
        self.commit(&mut state, writes, &mut group)?;
        drop(state);
        self.tell(&group.fresh);
        Ok(outcomes)
    }

    fn build(&self, signature: Signature) -> Result<Option<Build>> {
        let Some(number_of) = self.number_of(signature)? else { return Ok(None) };
        let Some(value) = self.store.records.get(number_of.to_be_bytes())? else { return Ok(None) };
        self.whole(number_of, &value).map(Some)
    }

    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>> {
        Ok(self.brief(signature)?.map(|(_, brief)| same_build::summary(&brief)))
    }

    fn listed(&self, signatures: &[Signature]) -> Result<Vec<Option<ListedBuild>>> {
        let listed =
            |signature: &Signature| Ok(self.brief(*signature)?.map(|(_, brief)| ListedBuild::of(&brief)));
        signatures.iter().map(listed).collect()
    }

    fn list(&self, filter: &BuildFilter) -> Result<Page> {
        list::page(self, filter)
    }

    fn containing(&self, part: Part, depth_max: u32) -> Result<ContainingBuilds> {
        contents::containing(self, part, depth_max)
    }

    fn export(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Build)>> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let (mut builds, mut bytes) = (Vec::new(), 0);
        for entry in self.store.records.range(from.to_be_bytes()..).take(limit) {
            let (key, value) = entry.into_inner()?;
            bytes += value.len();
            if bytes > PAGE_BYTES_MAX && !builds.is_empty() {
                break;
            }
            builds.push((number(&key), self.whole(number(&key), &value)?));
        }
        Ok(builds)
    }

    fn import(&self, builds: &[Build]) -> Result<Vec<Registration>> {
        let mut outcomes = Vec::with_capacity(builds.len());
        let mut state = self.state();
        let mut writes = self.store.database.writes();
        let mut group = Group::default();
        for build in builds {
            let outcome =
                self.register_one(&mut state, &mut writes, &mut group, &build.record, build.registered_ns)?;
            if let Registration::New(signature) | Registration::Known(signature) = outcome {
                let known = match group.fresh.get(&signature) {
                    Some(fresh) => Some(fresh.number),
                    None => self.number_of(signature)?,
                };
                for made in known.iter().flat_map(|_| &build.made_again) {
                    let number = known.unwrap_or_default();
                    self.made_again(&mut writes, &mut group, number, &build.record, &same_build::made(made))?;
                }
            }
            outcomes.push(outcome);
        }
        self.commit(&mut state, writes, &mut group)?;
        drop(state);
        self.store.database.sync()?;
        self.tell(&group.fresh);
        // No batch of the queue comes with it, which would wake the join.
        self.summaries.announce();
        Ok(outcomes)
    }

    fn retire(
        &self,
        after: Option<u64>,
        limit: usize,
        may_delete: RetentionRule<'_>,
    ) -> Result<RetiredSlice> {
        retire::slice(self, after, limit, may_delete)
    }

    fn withdraw(&self, signature: Signature, withdrawn_by: &str) -> Result<Option<Withdrawal>> {
        withdraw::withdraw(self, signature, withdrawn_by)
    }

    fn withdrawals(&self, limit: usize) -> Result<(Vec<Withdrawal>, bool)> {
        withdraw::last(&self.store, limit)
    }

    fn register_installation(&self, installation: &Installation) -> Result<()> {
        self.installations.register(installation)
    }

    fn installations(&self, filter: &InstallationFilter) -> Result<InstallationPage> {
        self.installations.list(filter)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.store.count.get()?)
    }
}

fn time_key(time_ns: i64, number: Number) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&u64::try_from(time_ns).unwrap_or(0).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}
