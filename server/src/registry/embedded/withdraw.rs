//! Builds that an administrator takes back: deleted from every list in one write with an entry that
//! says who did it and what the record was.
//!
//! An entry is `i64 registered, u16 length of the token's name, the name, record`.

use super::{Embedded, retire};
use crate::{
    clock::now_ns,
    database::{RegistryStore, number},
    registry::{
        Build, PAGE_BYTES_MAX, Withdrawal,
        error::{OrDamaged, Result},
    },
};
use bytes::Bytes;
use ogrt_note::Signature;
use ogrt_proto::BuildRecord;
use prost::Message;

/// Deletes the build of a signature and keeps what it was.
pub fn withdraw(registry: &Embedded, signature: Signature, withdrawn_by: &str) -> Result<Option<Withdrawal>> {
    let store = &registry.store;
    let mut state = registry.state();
    let Some(number_of) = registry.number_of(signature)? else { return Ok(None) };
    let Some(value) = store.records.get(number_of.to_be_bytes())? else { return Ok(None) };
    let build = registry.whole(number_of, &value)?;
    let record = BuildRecord::decode(build.record.clone()).or_damaged(|| "a build record")?;
    let withdrawal = Withdrawal { time_ns: now_ns(), withdrawn_by: withdrawn_by.to_owned(), build };
    let mut writes = store.database.writes();
    let time = u64::try_from(withdrawal.time_ns).unwrap_or(0).to_be_bytes();
    let key = [&time[..], &signature.as_bytes()[..]].concat();
    writes.insert(&store.withdrawn, key, value_of(&withdrawal));
    retire::take_out(registry, &mut state, writes, number_of, signature, &record)?;
    drop(state);
    store.database.sync()?;
    Ok(Some(withdrawal))
}

/// The last withdrawals, the newest first, and whether there are more.
pub fn last(store: &RegistryStore, limit: usize) -> Result<(Vec<Withdrawal>, bool)> {
    let (mut withdrawals, mut bytes) = (Vec::new(), 0);
    for entry in store.withdrawn.iter().rev() {
        let (key, value) = entry.into_inner()?;
        bytes += value.len();
        if withdrawals.len() >= limit || (bytes > PAGE_BYTES_MAX && !withdrawals.is_empty()) {
            return Ok((withdrawals, true));
        }
        withdrawals.push(read(number(&key) as i64, &value).or_damaged(|| "the entry of a withdrawal")?);
    }
    Ok((withdrawals, false))
}

fn value_of(withdrawal: &Withdrawal) -> Vec<u8> {
    let name = withdrawal.withdrawn_by.as_bytes();
    let name = &name[..name.len().min(u16::MAX.into())];
    let length = (name.len() as u16).to_be_bytes();
    [&withdrawal.build.registered_ns.to_be_bytes()[..], &length, name, &withdrawal.build.record].concat()
}

fn read(time_ns: i64, value: &[u8]) -> Result<Withdrawal, &'static str> {
    let cut = "it is cut";
    let (registered_ns, rest) = value.split_first_chunk().ok_or(cut)?;
    let (length, rest) = rest.split_first_chunk().ok_or(cut)?;
    let (name, record) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(cut)?;
    let build = Build {
        record: Bytes::copy_from_slice(record),
        registered_ns: i64::from_be_bytes(*registered_ns),
        made_again: Vec::new(),
    };
    Ok(Withdrawal { time_ns, withdrawn_by: String::from_utf8_lossy(name).into_owned(), build })
}
