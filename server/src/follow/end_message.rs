//! The end of a followed process as the event that the queue holds.

use super::{
    process_table::{EndCause, ProcessEnding},
    usage::ToldUsage,
};
use crate::queue::{EndSource, Entry, Kind};
use ogrt_observe::exit_status;
use ogrt_proto::{EndAccount, EndedBy, Measured, ProcessEnd, ToldBy, field_numbers::process_end};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// The entry of an end, in the name of who sent the start. `account`: what the kernel's accounting
/// says. `observed`: fields that ogrt-observe adds.
pub fn entry(end: &ProcessEnding, account: Option<EndAccount>, observed: &[u8], now_ns: i64) -> Entry {
    let start = &end.start;
    let status = match &end.how {
        // A status that cannot be read is not known.
        EndCause::Pidfd(pidfd) => exit_status(pidfd).ok().flatten(),
        EndCause::Exec | EndCause::Absence | EndCause::Unseen { .. } => None,
    };
    let status = status.or_else(|| {
        let status = account.as_ref()?.wait_status?;
        Some(ExitStatus::from_raw(status.cast_signed()))
    });
    let (alive_until_ns, gone_by_ns) = match &end.how {
        EndCause::Unseen { alive_until_ns, gone_by_ns, .. } if end.ended_ns.is_none() => {
            (Some(*alive_until_ns), *gone_by_ns)
        }
        _ => (None, None),
    };
    let is_exec = matches!(end.how, EndCause::Exec | EndCause::Unseen { is_exec: true, .. });
    let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec().into());
    let duration = start.start_ns.zip(end.ended_ns).and_then(|(began, ended)| ended.checked_sub(began));
    let message = ProcessEnd {
        event_id: Some(start.event_id.to_vec().into()),
        pid: i32::try_from(start.credentials.pid).ok().filter(|pid| *pid != 0),
        time_ns: end.ended_ns,
        duration_ns: duration.and_then(|duration| u64::try_from(duration).ok()),
        job_id: text(&start.job_id),
        cluster: text(&start.cluster),
        hostname: text(&start.hostname),
        ended_by: Some(if is_exec { EndedBy::Exec } else { status.map_or(EndedBy::Unknown, ended_by) } as i32),
        exit_status: status.and_then(|status| u32::try_from(status.code()?).ok()),
        signal: status.and_then(|status| u32::try_from(status.signal()?).ok()),
        core_dumped: status.filter(ExitStatus::core_dumped).map(|_| true),
        told_by: Some(ToldBy::Kernel as i32),
        alive_until_ns,
        gone_by_ns,
        cpus_allowed: start.usage.cpus_allowed,
        ..ProcessEnd::default()
    };
    let samples = end.ended_ns.and_then(|ended_ns| start.usage.told(start.began_ns(), ended_ns));
    let message = match account {
        Some(account) => with_account(message, &account, samples),
        None => with_samples(message, samples),
    };
    let mut message = message.encode_to_vec();
    message.extend_from_slice(observed);
    if !start.facts.is_empty() {
        encode_key(process_end::START, WireType::LengthDelimited, &mut message);
        encode_varint(start.facts.len() as u64, &mut message);
        message.extend_from_slice(&start.facts);
    }
    Entry {
        kind: Kind::End,
        received_ns: now_ns,
        assigned_id: None,
        credentials: Some(start.credentials),
        delivered_by: None,
        via: None,
        is_final: false,
        is_whole: false,
        end_source: EndSource::Kernel,
        message: message.into(),
    }
}

fn with_samples(message: ProcessEnd, samples: Option<ToldUsage>) -> ProcessEnd {
    let Some(used) = samples else { return message };
    ProcessEnd {
        user_time_us: Some(used.user_us),
        system_time_us: Some(used.system_us),
        max_rss_kib: used.peak_kib,
        worker_time_us: used.worker_us,
        measured: Some(Measured::BySamples as i32),
        ..message
    }
}

/// What the accounting knows, and what it does not by samples.
fn with_account(message: ProcessEnd, account: &EndAccount, samples: Option<ToldUsage>) -> ProcessEnd {
    let sampled = with_samples(ProcessEnd { oom_killed: account.oom_killed, ..message }, samples);
    let max_rss_kib = account.max_rss_kib.or(sampled.max_rss_kib);
    let Some((user_us, system_us)) = account.user_time_us.zip(account.system_time_us) else {
        let measured = sampled.measured.or(Some(Measured::ByAccounting as i32));
        return ProcessEnd { max_rss_kib, measured, ..sampled };
    };
    ProcessEnd {
        user_time_us: Some(user_us),
        system_time_us: Some(system_us),
        max_rss_kib,
        // Those that live on are known by samples alone.
        worker_time_us: account.worker_time_us.max(sampled.worker_time_us).filter(|sum| *sum > 0),
        measured: Some(Measured::ByAccounting as i32),
        ..sampled
    }
}

fn ended_by(status: ExitStatus) -> EndedBy {
    if status.signal().is_some() { EndedBy::Signal } else { EndedBy::Exit }
}
