//! Frames become entries here: a type that we know, and a message that is protobuf on its outermost
//! level.
//!
//! The walk over the message's fields costs a tenth of decoding it, refuses garbage while its
//! sender is still known, and finds the event id and the part. The fields within are decoded by the
//! join.

use super::{Arrivals, Intake};
use crate::{
    follow::{EndTeller, ProcessStart},
    queue::{Credentials, EndSource, Entry, Kind, identify},
};
use anyhow::bail;
use bytes::Bytes;
use ogrt_proto::{FRAME_HEADER_LEN, MessageType, peek_frame};
use std::{borrow::Cow, cell::Cell, os::fd::OwnedFd};

/// Why a frame was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The type is not one that a client sends.
    #[error("a frame of type {0}, which no client sends")]
    Type(u32),
    /// The bytes are no protobuf message.
    #[error("a frame of type {0} that holds no protobuf message")]
    Message(u32),
    /// A build of a sender that may not register one.
    #[error("a build record without a token that permits to register it")]
    Token,
}

/// The time of receipt, and the sender if the kernel told.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Unix time in nanoseconds.
    pub received_ns: i64,
    /// The sender, on Unix sockets.
    pub credentials: Option<Credentials>,
    /// The sender may register builds.
    pub may_register: bool,
    /// The process that sends, where it speaks for itself.
    pub speaker: Option<&'a Speaker>,
}

/// A process that tells of its own start, in one part or several. A further start on the same
/// connection is another process's.
pub struct Speaker {
    pidfd: Cell<Option<OwnedFd>>,
    started: Cell<Option<[u8; 16]>>,
}

impl Speaker {
    /// The process, with its pidfd where the kernel gave one.
    pub fn new(pidfd: Option<OwnedFd>) -> Self {
        Speaker { pidfd: Cell::new(pidfd), started: Cell::new(None) }
    }

    fn starts(&self, event_id: [u8; 16]) -> bool {
        self.started.replace(self.started.get().or(Some(event_id))).is_none_or(|known| known == event_id)
    }
}

/// Sorts a message into `arrivals`; what tells nothing is counted and left out.
pub fn admit(
    frame_type: u32,
    message: &[u8],
    origin: Origin<'_>,
    intake: &Intake,
    arrivals: &mut Arrivals,
) -> Result<(), NotAdmitted> {
    let Origin { received_ns, credentials, may_register, speaker } = origin;
    let kind = match MessageType::try_from(frame_type as i32) {
        Ok(MessageType::ProcessInfo) => Kind::Start,
        Ok(MessageType::ProcessEnd) => Kind::End,
        Ok(MessageType::JobSummary) => Kind::Summary,
        Ok(MessageType::BuildRecord) if !may_register => {
            intake.metrics.builds_unauthorized.add(1);
            return Err(NotAdmitted::Token);
        }
        Ok(MessageType::BuildRecord) => {
            arrivals.submission.builds.push(Bytes::copy_from_slice(message));
            return Ok(());
        }
        Ok(MessageType::Ack) | Err(_) => return Err(NotAdmitted::Type(frame_type)),
        Ok(_) => {
            intake.metrics.frames_ignored.add(1);
            return Ok(());
        }
    };
    let identity = identify(kind, message).ok_or(NotAdmitted::Message(frame_type))?;
    intake.metrics.events_received.add(1);
    let message = &*intake.default_cluster.add_to(kind, message, identity.has_cluster);
    let assigned_id = identity.event_id.is_none().then(|| intake.ids.next(received_ns));
    let mut end_source = EndSource::Client;
    if kind == Kind::Start
        && let Some((speaker, credentials)) = speaker.zip(credentials)
        && let Some(event_id) = identity.event_id.or(assigned_id)
        && speaker.starts(event_id)
    {
        let start = ProcessStart::read(message, event_id, credentials, received_ns);
        arrivals.begun.extend(intake.follow.begin(&start, speaker.pidfd.take()));
    }
    if kind == Kind::End
        && let Some(event_id) = identity.event_id
    {
        match intake.follow.teller(&event_id, credentials.map(|who| who.pid)) {
            EndTeller::Unfollowed if speaker.is_some() && intake.follow.is_on() => {
                end_source = EndSource::OwnProcess
            }
            EndTeller::Unfollowed => {}
            EndTeller::Process => end_source = EndSource::FollowedProcess,
            // The kernel will tell it.
            EndTeller::Stranger => return Ok(()),
        }
    }
    arrivals.submission.entries.push(&Entry {
        kind,
        received_ns,
        assigned_id,
        credentials,
        is_final: false,
        is_whole: false,
        end_source,
        message,
    });
    Ok(())
}

/// Takes every frame of what was sent at once, up to the first that is no good.
pub fn admit_all(
    sent: &[u8],
    origin: Origin<'_>,
    intake: &Intake,
    arrivals: &mut Arrivals,
) -> anyhow::Result<()> {
    let mut rest = sent;
    while let Some((frame_type, message)) = peek_frame(rest, sent.len())? {
        rest = rest.get(FRAME_HEADER_LEN + message.len()..).unwrap_or_default();
        // Who asks for acknowledgements tells of others; what comes at once, a process tells of
        // itself.
        let message = match origin.credentials {
            Some(kernel) if frame_type == MessageType::ProcessInfo as u32 => {
                intake.numbering.translate(message, kernel)
            }
            _ => Cow::Borrowed(message),
        };
        admit(frame_type, &message, origin, intake, arrivals)?;
    }
    if !rest.is_empty() || sent.is_empty() {
        bail!("it ends within a frame");
    }
    Ok(())
}
