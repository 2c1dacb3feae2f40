//! What a process says of itself: packages and GPUs. Each is marked as claimed, wherever it goes
//! on, so that nobody takes it for what ogrt-observe has seen.
//!
//! It comes in the process's own end, or as an observation of itself: from Python's `sitecustomize`
//! (docs/python.md). Only a process that is followed tells such, and only of packages. Tests:
//! `tests/end_to_end/tests/python_hook.rs`.

use super::{Intake, origin::Origin};
use crate::{
    fields::{Fields, Value, without},
    follow::ProcessKey,
};
use ogrt_observe::process_number;
use ogrt_proto::{
    Observation, ProcessEnd,
    field_numbers::process_end::{GPUS, OOM_KILLED, PACKAGES},
};
use prost::Message;
use std::borrow::Cow;

/// Longest observation of a process by itself.
const OBSERVATION_MAX: usize = 64 << 10;

/// An end as its client tells it, with what it claims marked. Who killed it, it cannot know.
pub fn mark(end: &[u8]) -> Option<Cow<'_, [u8]>> {
    let is_claim = |number| [PACKAGES, GPUS, OOM_KILLED].contains(&number);
    if !Fields::of(end).map_while(Result::ok).any(|(number, _)| is_claim(number)) {
        return Some(Cow::Borrowed(end));
    }
    let mut claims = ProcessEnd::default();
    for field in Fields::of(end).map_while(Result::ok) {
        match field {
            (PACKAGES, Value::Bytes(bytes)) => claims.packages.push(Message::decode(bytes).ok()?),
            (GPUS, Value::Bytes(bytes)) => claims.gpus.push(Message::decode(bytes).ok()?),
            _ => {}
        }
    }
    claims.packages.iter_mut().for_each(|package| package.claimed = Some(true));
    claims.gpus.iter_mut().for_each(|gpu| gpu.claimed = Some(true));
    let mut marked = end.to_vec();
    for number in [PACKAGES, GPUS, OOM_KILLED] {
        if let Some(rest) = without(&marked, number).ok()? {
            marked = rest;
        }
    }
    claims.encode(&mut marked).ok()?;
    Some(Cow::Owned(marked))
}

/// Takes an observation of a process by itself; false where nobody may send one.
pub fn take(message: &[u8], origin: &Origin<'_>, intake: &Intake) -> bool {
    let (Some(kernel), Some(speaker), None) = (origin.credentials, origin.speaker, origin.relay) else {
        return false;
    };
    let pidfd = speaker.take_pidfd();
    let key = match pidfd.as_ref().and_then(process_number) {
        Some(number) => ProcessKey::of_number(number),
        None => ProcessKey::of_pid(kernel.pid),
    };
    match Observation::decode(message.get(..message.len().min(OBSERVATION_MAX)).unwrap_or_default()) {
        Ok(observation) if message.len() <= OBSERVATION_MAX => {
            intake.follow.claim(key, kernel.uid, observation.packages);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Gpu, Package};

    #[test]
    fn claims_are_marked_and_the_rest_stays() {
        let end = ProcessEnd {
            pid: Some(7),
            user_time_us: Some(5),
            packages: vec![Package { name: Some("numpy".into()), ..Package::default() }],
            gpus: vec![Gpu { maker: Some("nvidia".into()), did: Some(true), ..Gpu::default() }],
            oom_killed: Some(true),
            ..ProcessEnd::default()
        };
        let marked = ProcessEnd::decode(&*mark(&end.encode_to_vec()).unwrap()).unwrap();
        assert_eq!((marked.packages[0].claimed, marked.gpus[0].claimed), (Some(true), Some(true)));
        assert_eq!((marked.packages[0].name(), marked.gpus[0].did()), (&b"numpy"[..], true));
        assert_eq!((marked.pid, marked.user_time_us, marked.oom_killed), (Some(7), Some(5), None));
        let plain = ProcessEnd { pid: Some(7), ..ProcessEnd::default() }.encode_to_vec();
        assert!(matches!(mark(&plain), Some(Cow::Borrowed(_))));
        // A package that is no message is no end.
        let mut garbage = plain;
        prost::encoding::bytes::encode(PACKAGES, &bytes::Bytes::from_static(b"\xFF"), &mut garbage);
        assert_eq!(mark(&garbage), None);
    }
}
