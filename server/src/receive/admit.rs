//! Frames become entries here: a type that we know, and a message that is protobuf on its outermost
//! level.
//!
//! The walk over the message's fields costs a tenth of decoding it, refuses garbage while its
//! sender is still known, and finds the event id and the part. The fields within are decoded by the
//! join.

use super::Intake;
use crate::queue::{Credentials, Entry, Kind, Submission, identify};
use anyhow::bail;
use bytes::Bytes;
use ogrt_proto::{FRAME_HEADER_LEN, MessageType, peek_frame};
use std::borrow::Cow;

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
pub struct Origin {
    /// Unix time in nanoseconds.
    pub received_ns: i64,
    /// The sender, on Unix sockets.
    pub credentials: Option<Credentials>,
    /// The sender may register builds.
    pub may_register: bool,
}

/// Sorts a message into `submission`; what tells nothing is counted and left out.
pub fn admit(
    frame_type: u32,
    message: &[u8],
    origin: Origin,
    intake: &Intake,
    submission: &mut Submission,
) -> Result<(), NotAdmitted> {
    let Origin { received_ns, credentials, may_register } = origin;
    let kind = match MessageType::try_from(frame_type as i32) {
        Ok(MessageType::ProcessInfo) => Kind::Start,
        Ok(MessageType::ProcessEnd) => Kind::End,
        Ok(MessageType::JobSummary) => Kind::Summary,
        Ok(MessageType::BuildRecord) if !may_register => {
            intake.metrics.builds_unauthorized.add(1);
            return Err(NotAdmitted::Token);
        }
        Ok(MessageType::BuildRecord) => {
            submission.builds.push(Bytes::copy_from_slice(message));
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
    let assigned_id = identity.event_id.is_none().then(|| intake.ids.next(received_ns));
    submission.entries.push(&Entry {
        kind,
        received_ns,
        assigned_id,
        credentials,
        is_final: false,
        is_whole: false,
        message,
    });
    Ok(())
}

/// Takes every frame of what was sent at once, up to the first that is no good.
pub fn admit_all(
    sent: &[u8],
    origin: Origin,
    intake: &Intake,
    submission: &mut Submission,
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
        admit(frame_type, &message, origin, intake, submission)?;
    }
    if !rest.is_empty() || sent.is_empty() {
        bail!("it ends within a frame");
    }
    Ok(())
}
