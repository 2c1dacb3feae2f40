//! Who an event is about, and who sent it, as far as the kernel or a relay proves it.
//!
//! A process is proved that sends an event about itself over a Unix socket. What the process sends
//! and closes is about itself, unless it names another pid than the kernel does. A client that asks
//! for acknowledgements may have taken the event from a spool: it must name its own pid, and a
//! start must be of this moment. Everything else is a claim, under the numbers that it names and
//! never under those of who delivered it. Only the user is not left to the claim: none but root,
//! and those who say that they pass on, tell of other users.
//!
//! Records of XALT are claims, under the names that they have. Only root and the server's own user
//! bring them.
//!
//! A relay that has authenticated itself tells what its kernel proved, and is believed. Tests:
//! `server/tests/server/identity.rs`.

use super::{
    numbering::Numbering,
    origin::{Manner, Origin},
};
use crate::{
    fields::{Fields, Value},
    queue::{Credentials, Kind, VIA_MAX, VIA_XALT},
};
use bytes::{Bytes, BytesMut};
use ogrt_proto::{
    Provenance,
    field_numbers::{job_summary, process_end, process_info},
};
use prost::Message;
use std::borrow::Cow;

/// How old the start of a process may be that asks for acknowledgements itself.
const MOMENT_NS: u64 = 60_000_000_000;

/// What is known of an event besides its message.
pub struct Knowledge<'a> {
    /// The message, in the numbering of this machine.
    pub message: Cow<'a, [u8]>,
    /// The process, where it is proved.
    pub credentials: Option<Credentials>,
    /// The local user who delivered the event in the place of its process.
    pub delivered_by: Option<u32>,
    /// The relays that the event came by.
    pub via: Option<Bytes>,
}

impl<'a> Knowledge<'a> {
    /// Finds out. `is_followed`: the kernel has said before that the sender is the process.
    pub fn of(
        kind: Kind,
        message: &'a [u8],
        origin: &Origin<'_>,
        numbering: &Numbering,
        is_followed: bool,
    ) -> Self {
        let message = Cow::Borrowed(message);
        let claim = Knowledge { message, credentials: None, delivered_by: None, via: None };
        if origin.manner == Manner::Imports {
            let delivered_by = origin.credentials.map(|kernel| kernel.uid);
            return Knowledge { delivered_by, via: Some(Bytes::from_static(VIA_XALT)), ..claim };
        }
        match (origin.relay, origin.credentials) {
            (Some(relay), _) => claim.by_relay(kind, relay),
            (None, Some(kernel)) => claim.by_local_process(kind, kernel, origin, numbering, is_followed),
            (None, None) => claim,
        }
    }

    /// Adds the nearest process above that is known.
    pub fn add_ancestor(&mut self, pid: u32) {
        let mut field = BytesMut::new();
        prost::encoding::uint32::encode(process_info::ANCESTOR_PID, &pid, &mut field);
        self.message.to_mut().extend_from_slice(&field);
    }

    /// Adds that no process above has told of itself.
    pub fn add_outermost(&mut self) {
        let mut field = BytesMut::new();
        prost::encoding::bool::encode(process_info::IS_OUTERMOST, &true, &mut field);
        self.message.to_mut().extend_from_slice(&field);
    }

    fn by_relay(mut self, kind: Kind, relay: &str) -> Self {
        let told = provenance(kind, &self.message);
        if let (Some(uid), Some(gid)) = (told.uid, told.gid) {
            self.credentials = Some(Credentials { pid: told.pid.unwrap_or(0), uid, gid });
        } else {
            self.delivered_by = told.delivered_by;
        }
        let earlier = told.via.as_deref().filter(|via| !via.is_empty());
        let mut via = earlier.map_or_else(Vec::new, |earlier| [earlier, b","].concat());
        via.extend_from_slice(relay.as_bytes());
        via.truncate(VIA_MAX);
        self.via = Some(via.into());
        self
    }

    fn by_local_process(
        mut self,
        kind: Kind,
        kernel: Credentials,
        origin: &Origin<'_>,
        numbering: &Numbering,
        is_followed: bool,
    ) -> Self {
        let message: &'a [u8] = match self.message {
            Cow::Borrowed(message) => message,
            Cow::Owned(_) => return self,
        };
        let own = match (origin.manner, kind) {
            (Manner::PassesOn | Manner::Imports, _) | (_, Kind::Summary) => None,
            (_, Kind::End) if is_followed => Some(Cow::Borrowed(message)),
            (Manner::Sends, Kind::Start) => numbering.translate(message, kernel),
            (Manner::Sends, Kind::End) => {
                Numbering::is_own_end(message, kernel).then_some(Cow::Borrowed(message))
            }
            (Manner::Greets, _) => {
                is_of_this_moment(kind, message, kernel, origin).then_some(Cow::Borrowed(message))
            }
        };
        if let Some(own) = own {
            self.message = own;
            self.credentials = Some(kernel);
            return self;
        }
        // Root says whose file it found the event in.
        let is_root = kernel.uid == 0 && origin.manner == Manner::PassesOn;
        let owner = if is_root { provenance(kind, message).delivered_by } else { None };
        let uid = owner.unwrap_or(kernel.uid);
        self.delivered_by = Some(uid);
        if kind == Kind::Start && uid != 0 && (is_root || origin.manner != Manner::PassesOn) {
            // Of two values of a field the later counts.
            let mut written = BytesMut::from(message);
            prost::encoding::uint32::encode(process_info::UID, &uid, &mut written);
            prost::encoding::bytes::encode(process_info::USERNAME, &Bytes::new(), &mut written);
            if !is_root {
                prost::encoding::uint32::encode(process_info::GID, &kernel.gid, &mut written);
            }
            self.message = Cow::Owned(written.to_vec());
        }
        self
    }
}

/// True if the sender names itself, and what it tells has just happened.
fn is_of_this_moment(kind: Kind, message: &[u8], kernel: Credentials, origin: &Origin<'_>) -> bool {
    let (pid_field, time_field) = match kind {
        Kind::Start => (process_info::PID, process_info::START_TIME_NS),
        _ => (process_end::PID, process_end::TIME_NS),
    };
    let (mut pid, mut time_ns) = (None, None);
    for field in Fields::of(message).map_while(Result::ok) {
        match field {
            (field, Value::Varint(value)) if field == pid_field => pid = Some(value as u32),
            (field, Value::Varint(value)) if field == time_field => time_ns = Some(value as i64),
            _ => {}
        }
    }
    pid == Some(kernel.pid).filter(|pid| *pid != 0)
        && time_ns.is_none_or(|time_ns| time_ns.abs_diff(origin.received_ns) < MOMENT_NS)
}

/// What the last server that the event came by says of its sender.
fn provenance(kind: Kind, message: &[u8]) -> Provenance {
    let number = match kind {
        Kind::Start => process_info::PROVENANCE,
        Kind::End => process_end::PROVENANCE,
        Kind::Summary => job_summary::PROVENANCE,
    };
    let last = Fields::of(message).map_while(Result::ok).fold(&[][..], |last, field| match field {
        (field, Value::Bytes(bytes)) if field == number => bytes,
        _ => last,
    });
    Provenance::decode(last).unwrap_or_default()
}
