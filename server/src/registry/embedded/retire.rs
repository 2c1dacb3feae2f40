//! Deletes builds, each in one write. Their rows in the index are deleted later, many at once:
//! whoever finds a build there checks that it still exists.
//!
//! A build stays while others contain it: without it, nothing would lead from its inputs to them.

use super::{Embedded, Group, Number, RegistrationState, catalog::Signatures, time_key};
use crate::{
    database::{RegistryStore, Writes, number},
    registry::{RetentionRule, RetiredSlice, error::Result, same_build},
};
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;
use std::sync::PoisonError;

/// Adds `more`, which may be negative, to the number of builds.
pub fn count(store: &RegistryStore, writes: &mut Writes, more: i64) -> Result<()> {
    if more != 0 {
        let builds = store.count.get()?.saturating_add_signed(more);
        writes.set(&store.count, builds);
    }
    Ok(())
}

/// Looks at a slice of builds and deletes those that `may_delete` allows.
pub fn slice(
    registry: &Embedded,
    after: Option<u64>,
    limit: usize,
    may_delete: RetentionRule<'_>,
) -> Result<RetiredSlice> {
    let from = after.map_or(0, |after| after.saturating_add(1));
    let mut retired = RetiredSlice::default();
    let mut looked_at = 0;
    let mut going = Vec::new();
    for entry in registry.store.records.range(from.to_be_bytes()..).take(limit) {
        let (key, value) = entry.into_inner()?;
        looked_at += 1;
        retired.last = Some(number(&key));
        let build = registry.whole(number(&key), &value)?;
        let Ok(record) = BuildRecord::decode(build.record.clone()) else { continue };
        let Some(signature) = Signature::from_slice(record.signature()) else { continue };
        let made_last = build.made_again.iter().map(BuildRecord::time_ns).max().unwrap_or(0);
        if !registry.is_library(number(&key)) && may_delete(signature, build.registered_ns.max(made_last))? {
            going.push((number(&key), signature, record));
        }
    }
    let (first, last) = (going.first().map(|gone| gone.0), going.last().map(|gone| gone.0));
    for (number, signature, record) in going {
        retired.deleted += u64::from(remove(registry, number, signature, &record)?);
    }
    if let (Some(first), Some(last)) = (first, last) {
        // No build is registered meanwhile.
        let _state = registry.state();
        let mut signatures = Signatures::of(&registry.store);
        registry.index.shrink(first, last, |number| Ok(signatures.get(number)?.is_some()))?;
    }
    if looked_at < limit {
        retired.last = None;
    }
    Ok(retired)
}

/// Deletes a build, unless another build came to contain it in the meantime.
fn remove(registry: &Embedded, gone: Number, signature: Signature, record: &BuildRecord) -> Result<bool> {
    let mut state = registry.state();
    if registry.is_library(gone) {
        return Ok(false);
    }
    let writes = registry.store.database.writes();
    take_out(registry, &mut state, writes, gone, signature, record)?;
    Ok(true)
}

/// Deletes a build in one write with what `writes` holds. Builds that contain it are linked with
/// the next build that has one of its names.
pub fn take_out(
    registry: &Embedded,
    state: &mut RegistrationState,
    mut writes: Writes,
    gone: Number,
    signature: Signature,
    record: &BuildRecord,
) -> Result<()> {
    let store = &registry.store;
    writes.remove(&store.builds, *signature.as_bytes());
    writes.remove(&store.records, gone.to_be_bytes());
    let listed_ns = registry.brief(signature)?.map_or(record.time_ns(), |(_, brief)| brief.time_ns());
    writes.remove(&store.builds_by_time, time_key(listed_ns, gone));
    for made in store.made_again.prefix(gone.to_be_bytes()) {
        writes.remove(&store.made_again, made.key()?);
    }
    let mut dependencies = Vec::new();
    let mut group = Group::default();
    for input in &record.inputs {
        dependencies.extend(registry.behind(state, &mut group, input, gone)?);
    }
    dependencies.sort_unstable();
    dependencies.dedup();
    let mut no_libraries = Vec::new();
    for dependency in dependencies {
        if state.linked.remove(&mut writes, &dependency.to_be_bytes(), gone)? {
            no_libraries.push(dependency);
        }
    }
    state.catalog.remove(store, &mut writes, gone)?;
    // The build may be registered again, and others may still contain it.
    let names = same_build::names(signature, record);
    for name in &names {
        writes.insert(&store.unresolved, name.as_input(), []);
    }
    state.forget(&names);
    count(store, &mut writes, -1)?;
    state.linked.remove_all(&mut writes, &gone.to_be_bytes())?;
    let mut libraries = registry.libraries.write().unwrap_or_else(PoisonError::into_inner);
    no_libraries.push(gone);
    for dependency in no_libraries {
        libraries.remove(store, &mut writes, dependency);
    }
    writes.commit()?;
    drop(libraries);
    registry.summaries.removed(signature);
    Ok(())
}
