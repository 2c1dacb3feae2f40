//! Frames become entries here: a type that we know, and a message that is protobuf on its outermost
//! level.
//!
//! The walk over the message's fields costs a tenth of decoding it, refuses garbage while its
//! sender is still known, and finds the event id and the part. The fields within are decoded by the
//! join.

use super::{
    Arrivals, Intake, claims, jobs_over,
    origin::{Manner, Origin},
    provenance::Knowledge,
};
use crate::{
    follow::{EndTeller, ProcessStart, StartTeller},
    queue::{EndSource, Entry, Kind, VIA_XALT, identify},
    registry::{RecordSender, stamp},
};
use anyhow::bail;
use bytes::Bytes;
use ogrt_proto::{FRAME_HEADER_LEN, MessageType, peek_frame};

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
    /// The end of a job of a sender that may not tell it.
    #[error("the end of a job, which only root and the server's own user may tell, over a Unix socket")]
    JobOver,
}

/// Sorts a message into `arrivals`; what tells nothing is counted and left out.
pub fn admit(
    frame_type: u32,
    message: &[u8],
    origin: Origin<'_>,
    intake: &Intake,
    arrivals: &mut Arrivals,
) -> Result<(), NotAdmitted> {
    let Origin { received_ns, credentials, may_register, holder, speaker, .. } = origin;
    let kind = match MessageType::try_from(frame_type as i32) {
        Ok(MessageType::ProcessInfo) => Kind::Start,
        Ok(MessageType::ProcessEnd) => Kind::End,
        Ok(MessageType::JobSummary) if origin.relay.is_none() => {
            intake.metrics.summaries_refused.add(1);
            arrivals.summaries_refused += 1;
            return Ok(());
        }
        Ok(MessageType::JobSummary) => Kind::Summary,
        Ok(MessageType::BuildRecord) if !may_register => {
            intake.metrics.builds_unauthorized.add(1);
            return Err(NotAdmitted::Token);
        }
        Ok(MessageType::BuildRecord) => {
            let is_import = origin.manner == Manner::Imports;
            let user = credentials.filter(|_| !is_import);
            let username = user.and_then(|who| intake.users.name(who.uid));
            let sender = RecordSender {
                user: user.map(|who| (who.uid, who.gid)),
                username: username.as_deref(),
                holder,
                import: is_import.then_some(VIA_XALT),
            };
            arrivals.submission.builds.push(stamp(&Bytes::copy_from_slice(message), sender));
            return Ok(());
        }
        Ok(MessageType::JobOver) => {
            let job = jobs_over::read(message, &origin).ok_or(NotAdmitted::JobOver)?;
            arrivals.jobs_over.push(job);
            return Ok(());
        }
        Ok(MessageType::Observation) if claims::take(message, &origin, intake) => return Ok(()),
        Ok(MessageType::Ack | MessageType::Observation) | Err(_) => {
            return Err(NotAdmitted::Type(frame_type));
        }
        Ok(_) => {
            intake.metrics.frames_ignored.add(1);
            return Ok(());
        }
    };
    let identity = identify(kind, message).ok_or(NotAdmitted::Message(frame_type))?;
    if identity.event_id.is_some_and(|event_id| intake.follow.is_left_out(&event_id)) {
        // A further part, or the end, of a start that ogrt-observe had told before.
        return Ok(());
    }
    let marked = match kind {
        Kind::End if origin.relay.is_none() => claims::mark(message),
        _ => Some(message.into()),
    };
    let message = &*marked.ok_or(NotAdmitted::Message(frame_type))?;
    intake.metrics.events_received.add(1);
    let message = &*intake.default_cluster.add_to(kind, message, identity.has_cluster);
    let assigned_id = identity.event_id.is_none().then(|| intake.ids.next(received_ns));
    let mut end_source = EndSource::Client;
    if kind == Kind::End
        && let Some(event_id) = identity.event_id
    {
        let sender = origin.credentials.filter(|_| origin.relay.is_none());
        match intake.follow.teller(&event_id, sender.map(|who| who.pid)) {
            EndTeller::Unfollowed => {}
            EndTeller::Process => end_source = EndSource::FollowedProcess,
            // The kernel will tell it.
            EndTeller::Stranger => return Ok(()),
        }
    }
    let is_followed = end_source == EndSource::FollowedProcess;
    let mut known = Knowledge::of(kind, message, &origin, &intake.numbering, is_followed);
    let is_own_end = kind == Kind::End && known.credentials.is_some() && identity.event_id.is_some();
    if is_own_end && !is_followed && speaker.is_some() && intake.follow.is_on() {
        end_source = EndSource::OwnProcess;
    }
    if kind == Kind::Start
        && let Some((speaker, credentials)) = speaker.zip(known.credentials)
        && let Some(event_id) = identity.event_id.or(assigned_id)
        && speaker.starts(event_id)
    {
        let start = ProcessStart::read(&known.message, event_id, credentials, received_ns);
        let pidfd = speaker.take_pidfd();
        if intake.follow.is_told_twice(&start, pidfd.as_ref(), StartTeller::Process) {
            return Ok(());
        }
        let ancestor = intake.follow.ancestor(&start);
        let is_outermost = intake.follow.is_outermost(&start, ancestor);
        let start = ProcessStart { is_outermost, ..start };
        arrivals.begun.extend(intake.follow.begin(&start, pidfd));
        if is_outermost {
            known.add_outermost();
        }
        if let Some(ancestor) = ancestor {
            known.add_ancestor(ancestor);
        }
    }
    arrivals.submission.entries.push(&Entry {
        kind,
        received_ns,
        assigned_id,
        credentials: known.credentials,
        delivered_by: known.delivered_by,
        via: known.via.as_deref(),
        // Nothing comes late of what is long past, and a job's limit is not for it.
        is_final: origin.manner == Manner::Imports,
        is_whole: false,
        end_source,
        message: &*known.message,
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
        admit(frame_type, message, origin, intake, arrivals)?;
    }
    if !rest.is_empty() || sent.is_empty() {
        bail!("it ends within a frame");
    }
    Ok(())
}
