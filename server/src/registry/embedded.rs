//! The registry in the server's own database.
//!
//! A record is kept twice: whole, and as the small part that is joined, so that a join among ten million builds
//! reads a hundred bytes and not the list of all inputs.

use super::{Filter, Registration, Registry, Summaries};
use crate::{
    database::{Store, number},
    metrics::Metrics,
};
use anyhow::{Context, Result};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, BuildSummary, Output};
use prost::Message;
use std::{collections::HashMap, sync::Arc};
use tracing::warn;

/// Most builds that one listing looks at.
const LOOKED_AT_MAX: usize = 1_000_000;

/// See the module.
pub struct Embedded {
    store: Arc<Store>,
    summaries: Arc<Summaries>,
    metrics: Arc<Metrics>,
}

impl Embedded {
    /// Keeps builds in `store` and tells `summaries` of new ones.
    pub fn new(store: Arc<Store>, summaries: Arc<Summaries>, metrics: Arc<Metrics>) -> Self {
        Embedded { store, summaries, metrics }
    }
}

impl Registry for Embedded {
    fn register(&self, records: &[Bytes]) -> Result<Vec<Registration>> {
        let mut batch = self.store.batch();
        let mut fresh: HashMap<Signature, Bytes> = HashMap::new();
        let mut outcomes = Vec::with_capacity(records.len());
        for bytes in records {
            let record = BuildRecord::decode(bytes.clone()).ok();
            let signature = record.as_ref().and_then(|record| Signature::from_slice(record.signature()));
            let (Some(record), Some(signature)) = (record, signature) else {
                self.metrics.builds_malformed.add(1);
                warn!("a build record that cannot be read, or has no signature, is refused");
                outcomes.push(Registration::Malformed);
                continue;
            };
            let known = match fresh.get(&signature) {
                Some(bytes) => Some(bytes.clone()),
                None => {
                    self.store.records.get(signature.as_bytes())?.map(|value| Bytes::copy_from_slice(&value))
                }
            };
            let outcome = match known {
                None => {
                    let key = signature.as_bytes();
                    batch.insert(&self.store.records, *key, bytes.as_ref());
                    batch.insert(&self.store.builds, *key, summary_of(&record).encode_to_vec());
                    batch.insert(&self.store.builds_by_time, time_key(record.time_ns(), signature), []);
                    fresh.insert(signature, bytes.clone());
                    self.metrics.builds_registered.add(1);
                    Registration::New(signature)
                }
                Some(known) if is_same_build(&known, bytes, &record) => {
                    self.metrics.builds_repeated.add(1);
                    Registration::Known(signature)
                }
                Some(_) => {
                    self.metrics.builds_conflicting.add(1);
                    warn!(
                        "a second, different build record for signature {signature} (from {} on {}) is refused: the first stands",
                        record
                            .username
                            .clone()
                            .or_else(|| record.uid.map(|uid| uid.to_string()))
                            .unwrap_or_default(),
                        record.hostname(),
                    );
                    Registration::Conflict(signature)
                }
            };
            outcomes.push(outcome);
        }
        batch.commit().context("cannot register builds")?;
        for signature in fresh.into_keys() {
            if let Some(summary) = self.summary(signature)? {
                self.summaries.registered(signature, &summary);
            }
        }
        Ok(outcomes)
    }

    fn record(&self, signature: Signature) -> Result<Option<BuildRecord>> {
        let Some(value) = self.store.records.get(signature.as_bytes())? else { return Ok(None) };
        BuildRecord::decode(&*value)
            .map(Some)
            .with_context(|| format!("the record of {signature} is damaged"))
    }

    fn summary(&self, signature: Signature) -> Result<Option<BuildSummary>> {
        let Some(value) = self.store.builds.get(signature.as_bytes())? else { return Ok(None) };
        let record =
            BuildRecord::decode(&*value).with_context(|| format!("the summary of {signature} is damaged"))?;
        Ok(Some(BuildSummary::from(&record)))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<(i64, BuildSummary)>> {
        let since = filter.since_ns.map_or(0, |ns| u64::try_from(ns).unwrap_or(0));
        let mut found = Vec::new();
        for entry in self.store.builds_by_time.range(since.to_be_bytes()..).rev().take(LOOKED_AT_MAX) {
            if found.len() >= filter.limit {
                break;
            }
            let key = entry.key()?;
            let Some(signature) = key.get(8..).and_then(Signature::from_slice) else { continue };
            let Some(summary) = self.summary(signature)? else { continue };
            let name_fits =
                filter.name.as_ref().is_none_or(|name| summary.metadata.name.as_ref() == Some(name));
            let user_fits = filter.user.as_ref().is_none_or(|user| {
                summary.username.as_ref() == Some(user)
                    || summary.uid.is_some_and(|uid| uid.to_string() == *user)
            });
            if name_fits && user_fits {
                found.push((i64::try_from(number(&key)).unwrap_or(i64::MAX), summary));
            }
        }
        Ok(found)
    }
}

/// The part of a record that is joined.
fn summary_of(record: &BuildRecord) -> BuildRecord {
    BuildRecord {
        signature: record.signature.clone(),
        metadata: record.metadata.clone(),
        hostname: record.hostname.clone(),
        username: record.username.clone(),
        uid: record.uid,
        output: record
            .output
            .as_ref()
            .map(|output| Output { sha256: output.sha256.clone(), ..Output::default() }),
        ..BuildRecord::default()
    }
}

fn time_key(time_ns: i64, signature: Signature) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&u64::try_from(time_ns).unwrap_or(0).to_be_bytes());
    key[8..].copy_from_slice(signature.as_bytes());
    key
}

/// Does the record tell of the build that is known? The same bytes do. So do those of a reproducible build that
/// was made again, elsewhere or later, as long as the same came out.
fn is_same_build(known: &Bytes, bytes: &Bytes, record: &BuildRecord) -> bool {
    if known == bytes {
        return true;
    }
    let Ok(known) = BuildRecord::decode(known.clone()) else { return false };
    if known == *record {
        return true;
    }
    let digest = |record: &BuildRecord| record.output.as_ref().and_then(|output| output.sha256.clone());
    known.reproducible()
        && record.reproducible()
        && digest(record).is_some()
        && digest(&known) == digest(record)
}
