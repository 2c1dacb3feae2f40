//! What is counted, and how Prometheus reads it.
//!
//! Plain atomics: a count costs a nanosecond or two and the text is made when somebody asks for it.

use crate::latency::Latency;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number that grows, or one that is set.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! metrics {
    ($(#[doc = $about:literal])+ $name:ident { $(#[doc = $text:literal] $kind:ident $key:ident = $public:literal,)* } $($more:tt)*) => {
        $(#[doc = $about])+
        #[derive(Debug, Default)]
        pub struct $name { $(#[doc = $text] pub $key: Number,)* $($more)* }

        impl $name {
            const TABLE: &[(&'static str, &'static str, &'static str, fn(&$name) -> u64)] =
                &[$(($public, stringify!($kind), $text, |all| all.$key.get()),)*];
        }
    };
}

metrics! {
    /// Counts of the whole server.
    Metrics {
        /// Events of processes received.
        counter events_received = "ogrt_events_received_total",
        /// Events written to the durable queue.
        counter events_queued = "ogrt_events_queued_total",
        /// Events refused because the queue was full.
        counter events_refused = "ogrt_events_refused_total",
        /// Events that an acknowledging stream had delivered before.
        counter events_duplicate = "ogrt_events_duplicate_total",
        /// Events that went through the join.
        counter events_joined = "ogrt_events_joined_total",
        /// Events whose message could not be decoded.
        counter events_malformed = "ogrt_events_malformed_total",
        /// Events that waited for a build record.
        counter join_waits = "ogrt_join_waits_total",
        /// Events that went out before a record came that they waited for.
        counter join_timeouts = "ogrt_join_timeouts_total",
        /// Events that should have waited, and did not because too many did.
        counter join_overflows = "ogrt_join_overflows_total",
        /// Events of which some parts never came.
        counter events_incomplete = "ogrt_events_incomplete_total",
        /// Events that the filter dropped.
        counter events_filtered = "ogrt_events_filtered_total",
        /// Events over their job's limit: counted in summaries.
        counter events_summarised = "ogrt_events_summarised_total",
        /// Datagrams received.
        counter datagrams_received = "ogrt_datagrams_received_total",
        /// UDP datagrams that the kernel dropped because the buffer was full.
        counter datagrams_dropped_by_kernel = "ogrt_datagrams_dropped_by_kernel_total",
        /// Stream connections accepted.
        counter connections = "ogrt_connections_total",
        /// Datagrams and streams that were not our protocol.
        counter protocol_errors = "ogrt_protocol_errors_total",
        /// Frames of OGRT 0.5 that tell nothing more than the others.
        counter frames_ignored = "ogrt_frames_ignored_total",
        /// Builds registered.
        counter builds_registered = "ogrt_builds_registered_total",
        /// Registrations that were there already.
        counter builds_known = "ogrt_builds_known_total",
        /// Registrations refused because another record has the signature.
        counter builds_conflicting = "ogrt_builds_conflicting_total",
        /// Registrations refused because they make no sense.
        counter builds_malformed = "ogrt_builds_malformed_total",
        /// Further builds of one reproducible signature that were not kept: there are a thousand already.
        counter rebuilds_dropped = "ogrt_rebuilds_dropped_total",
        /// Registrations that are durable here and wait for the registry's own database.
        gauge registrations_waiting = "ogrt_registrations_waiting",
        /// Registrations refused for want of a token.
        counter builds_unauthorized = "ogrt_builds_unauthorized_total",
        /// Builds that a relay has passed on, to each server behind it.
        counter builds_relayed = "ogrt_builds_relayed_total",
        /// Bytes of the durable queue.
        gauge queue_bytes = "ogrt_queue_bytes",
        /// Batches in the durable queue.
        gauge queue_batches = "ogrt_queue_batches",
        /// Times the queue was synchronised with the disk.
        counter queue_syncs = "ogrt_queue_syncs_total",
        /// Events and parts that wait for a record or for other parts.
        gauge events_held = "ogrt_events_held",
        /// Programs, with what they load, whose uses are counted.
        gauge programs = "ogrt_programs",
        /// Users, hosts and jobs of programs that are kept.
        gauge use_rows = "ogrt_use_rows",
        /// Events that are in no count, because a bound was reached.
        counter uses_dropped = "ogrt_uses_dropped_total",
        /// Bytes kept to answer questions about jobs.
        gauge jobs_bytes = "ogrt_jobs_bytes",
        /// Batches of the queue that are not yet kept for questions about jobs.
        gauge jobs_lag = "ogrt_jobs_lag_batches",
        /// Batches of the queue whose uses are not yet counted.
        gauge uses_lag = "ogrt_uses_lag_batches",
    }
    /// From the receipt of events until a power cut cannot take them.
    pub durable: Latency,
    outputs: Mutex<BTreeMap<String, Arc<OutputMetrics>>>,
}

metrics! {
    /// Counts of one output.
    OutputMetrics {
        /// Events written by the output.
        counter events_written = "ogrt_events_written_total",
        /// Events that the output had written already before a restart, or that its receiver had.
        counter events_rewritten = "ogrt_events_already_written_total",
        /// Documents that the receiver refused for good: they are in the output's file of dead letters.
        counter events_refused = "ogrt_events_dead_letters_total",
        /// Documents sent again because the receiver could not take them.
        counter events_resent = "ogrt_events_resent_total",
        /// Requests that the receiver answered.
        counter requests = "ogrt_output_requests_total",
        /// Time that they took, in milliseconds.
        counter request_ms = "ogrt_output_request_milliseconds_total",
        /// Batches that were dropped before the output came to them.
        counter batches_lost = "ogrt_batches_lost_total",
        /// Batches that the output has still to take.
        gauge lag = "ogrt_output_lag_batches",
        /// Attempts that failed and were made again.
        counter retries = "ogrt_output_retries_total",
        /// One while the output works, zero while it fails.
        gauge up = "ogrt_output_up",
    }
    /// From the receipt of events until the output has written them.
    pub written: Latency,
    problem: Mutex<Option<String>>,
}

impl OutputMetrics {
    /// An attempt failed.
    pub fn fails(&self, problem: &str) {
        self.up.set(0);
        self.retries.add(1);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem.to_owned());
    }

    /// An attempt worked.
    pub fn works(&self) {
        if self.up.get() != 1 {
            self.up.set(1);
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Why the last attempt failed, while the output fails.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Metrics {
    /// The counts of an output, made when they are first asked for.
    pub fn output(&self, name: &str) -> Arc<OutputMetrics> {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.entry(name.to_owned()).or_default().clone()
    }

    /// Each output with its counts.
    pub fn outputs(&self) -> BTreeMap<String, Arc<OutputMetrics>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it in Prometheus's text format.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(4096);
        for (name, kind, about, value) in Metrics::TABLE {
            head(&mut out, name, kind, about);
            let _ = writeln!(out, "{name} {}", value(self));
        }
        let outputs = self.outputs();
        for (name, kind, about, value) in OutputMetrics::TABLE {
            head(&mut out, name, kind, about);
            for (output, metrics) in &outputs {
                let _ = writeln!(out, "{name}{{output=\"{output}\"}} {}", value(metrics));
            }
        }
        let (durable, written) = ("ogrt_event_durable_seconds", "ogrt_event_written_seconds");
        head(
            &mut out,
            durable,
            "histogram",
            " From the receipt of events until a power cut cannot take them.",
        );
        self.durable.text(&mut out, durable, "");
        head(
            &mut out,
            written,
            "histogram",
            " From the receipt of events until the output has written them.",
        );
        for (output, metrics) in &outputs {
            metrics.written.text(&mut out, written, &format!("output=\"{output}\""));
        }
        if let Some(bytes) = resident_bytes() {
            head(&mut out, "process_resident_memory_bytes", "gauge", " Resident memory of the server.");
            let _ = writeln!(out, "process_resident_memory_bytes {bytes}");
        }
        out
    }
}

fn head(out: &mut String, name: &str, kind: &str, about: &str) {
    let _ = writeln!(out, "# HELP {name}{about}\n# TYPE {name} {kind}");
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}
