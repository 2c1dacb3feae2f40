//! What is counted, and how Prometheus reads it. The text of a metric is its HELP line.
//!
//! Plain atomics: a count costs a nanosecond or two and the text is made when somebody asks for it.

use crate::{
    fair_shares::{HolderKind, ShareHolder},
    latency::Latency,
};
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::warn;

/// A number that grows (counter) or is set (gauge).
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Adds to the number.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Sets the number.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
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
        /// Events of processes that were received.
        counter events_received = "ogrt_events_received_total",
        /// Events that were written to the queue on disk.
        counter events_queued = "ogrt_events_queued_total",
        /// Events that were refused because the queue was full.
        counter events_refused = "ogrt_events_refused_total",
        /// Events that came twice: only the first one counts.
        counter events_duplicate = "ogrt_events_duplicate_total",
        /// Events that went through the join.
        counter events_joined = "ogrt_events_joined_total",
        /// Events that were dropped because their message could not be decoded.
        counter events_malformed = "ogrt_events_malformed_total",
        /// Events that waited for a build record.
        counter join_waits = "ogrt_join_waits_total",
        /// Events written without their build record because join.wait was over.
        counter join_timeouts = "ogrt_join_timeouts_total",
        /// Events written without waiting because join.waiting_max (or _bytes_max) was reached.
        counter join_overflows = "ogrt_join_overflows_total",
        /// Events written without some of their parts because join.parts_wait was over.
        counter events_incomplete = "ogrt_events_incomplete_total",
        /// Events that a filter rule dropped.
        counter events_filtered = "ogrt_events_filtered_total",
        /// Events above the limit of their job, which are counted in summaries only.
        counter events_summarised = "ogrt_events_summarised_total",
        /// Job summaries that were dropped because their sender is not a relay with a token.
        counter summaries_refused = "ogrt_summaries_refused_total",
        /// Datagrams that were received.
        counter datagrams_received = "ogrt_datagrams_received_total",
        /// UDP datagrams that the kernel dropped because the receive buffer was full.
        counter datagrams_dropped_by_kernel = "ogrt_datagrams_dropped_by_kernel_total",
        /// Processes that are followed until they end.
        gauge processes_followed = "ogrt_processes_followed",
        /// Processes that were not followed because of follow.processes_max or the open files.
        counter processes_unfollowed = "ogrt_processes_unfollowed_total",
        /// Ends that the kernel told of followed processes.
        counter ends_followed = "ogrt_ends_followed_total",
        /// Ends of followed processes that somebody else claimed: only the kernel's count.
        counter ends_claimed = "ogrt_ends_claimed_total",
        /// Processes whose end nobody saw, and that were gone when their job was over.
        counter ends_by_job = "ogrt_ends_by_job_total",
        /// Processes that still ran here when their job was over.
        counter processes_after_job = "ogrt_processes_after_job_total",
        /// Connections of ogrt-observe that are open.
        gauge observers = "ogrt_observers",
        /// Starts that ogrt-observe told.
        counter starts_observed = "ogrt_starts_observed_total",
        /// Starts that both ogrt-observe and the process told: one of them counts.
        counter starts_twice = "ogrt_starts_twice_total",
        /// Starts that ogrt-observe could not tell, for example because it was not quick enough.
        counter starts_unobserved = "ogrt_starts_unobserved_total",
        /// Ends whose CPU time and memory ogrt-observe could not tell: they are by samples.
        counter ends_unobserved = "ogrt_ends_unobserved_total",
        /// Connections that were accepted.
        counter connections = "ogrt_connections_total",
        /// Datagrams and streams that did not keep to the protocol.
        counter protocol_errors = "ogrt_protocol_errors_total",
        /// HTTP requests that were refused because too many others were worked on.
        counter http_refused = "ogrt_http_refused_total",
        /// HTTP connections that were closed because they were idle or slow and others needed them.
        counter http_displaced = "ogrt_http_displaced_total",
        /// Frames of OGRT 0.5 that were ignored because other frames say the same.
        counter frames_ignored = "ogrt_frames_ignored_total",
        /// Builds that were registered.
        counter builds_registered = "ogrt_builds_registered_total",
        /// Registrations of builds that were registered before.
        counter builds_known = "ogrt_builds_known_total",
        /// Registrations refused because the signature has another record.
        counter builds_conflicting = "ogrt_builds_conflicting_total",
        /// Registrations refused because they could not be decoded or make no sense.
        counter builds_malformed = "ogrt_builds_malformed_total",
        /// Repetitions of a reproducible build beyond 1000, which are not kept.
        counter rebuilds_dropped = "ogrt_rebuilds_dropped_total",
        /// Registrations on the disk of this server that PostgreSQL has not taken yet.
        gauge registrations_waiting = "ogrt_registrations_waiting",
        /// Registrations not acknowledged because PostgreSQL did not take them; clients keep these.
        counter registrations_refused = "ogrt_registrations_refused_total",
        /// Other servers that did not say what ran there, so that no old builds are deleted.
        gauge silent_servers = "ogrt_silent_servers",
        /// Registrations refused because they came without a valid token.
        counter builds_unauthorized = "ogrt_builds_unauthorized_total",
        /// Builds that this relay passed on to other servers.
        counter builds_relayed = "ogrt_builds_relayed_total",
        /// Size of the queue on disk, in bytes.
        gauge queue_bytes = "ogrt_queue_bytes",
        /// Batches in the queue.
        gauge queue_batches = "ogrt_queue_batches",
        /// Flushes of the queue to disk.
        counter queue_syncs = "ogrt_queue_syncs_total",
        /// Events and parts of events that wait for a build record or for other parts.
        gauge events_held = "ogrt_events_held",
        /// Programs with counts; a program is an executable with the libraries loaded with it.
        gauge programs = "ogrt_programs",
        /// Counts that are kept: one per program, user, host and job.
        gauge use_rows = "ogrt_use_rows",
        /// Sums for reports that are kept: one per day, program, user and account, two per job.
        gauge sum_rows = "ogrt_sum_rows",
        /// Events not counted because of uses.programs_max, uses.rows_max or uses.sums_max.
        counter uses_dropped = "ogrt_uses_dropped_total",
        /// Disk space of the events that are kept for questions about jobs, in bytes.
        gauge jobs_bytes = "ogrt_jobs_bytes",
        /// Batches of events that answers about jobs do not include yet.
        gauge jobs_lag = "ogrt_jobs_lag_batches",
        /// Writes to PostgreSQL refused because another server had taken the place of this one.
        counter ledger_fenced = "ogrt_ledger_fenced_total",
        /// Batches of events that counts of uses do not include yet.
        gauge uses_lag = "ogrt_uses_lag_batches",
    }
    /// Time from the receipt of an event until it is safe on disk.
    pub durable: Latency,
    outputs: Mutex<BTreeMap<String, Arc<OutputMetrics>>>,
    /// What senders lost who had more than their share, by bound and sender.
    over: Mutex<BTreeMap<&'static str, BTreeMap<String, SenderOver>>>,
}

/// A sender who had more than its share of a bound.
#[derive(Debug)]
struct SenderOver {
    kind: HolderKind,
    lost: u64,
    said: Option<Instant>,
}

/// Senders over their share of one bound that metrics name, at most: of users whom the kernel
/// proves, of users behind relays, and of claims so many each. So names that somebody invents hide
/// nobody who is proved.
const OVER_MAX: usize = 50;

/// The shortest time between two lines of the log about one sender and bound.
const SAY_EVERY: Duration = Duration::from_secs(3600);

metrics! {
    /// Counts of one output.
    OutputMetrics {
        /// Events that the output wrote.
        counter events_written = "ogrt_events_written_total",
        /// Events written before a restart, or that the receiver already had.
        counter events_rewritten = "ogrt_events_already_written_total",
        /// Documents that the receiver refused for good; they are in dead-letters/NAME.jsonl.
        counter events_refused = "ogrt_events_dead_letters_total",
        /// Documents that were sent again because the receiver could not take them.
        counter events_resent = "ogrt_events_resent_total",
        /// Requests that the receiver answered.
        counter requests = "ogrt_output_requests_total",
        /// Time that these requests took, in milliseconds.
        counter request_ms = "ogrt_output_request_milliseconds_total",
        /// Batches of events that the full queue dropped before the output wrote them.
        counter batches_lost = "ogrt_batches_lost_total",
        /// Batches of events that the output has not written yet.
        gauge lag = "ogrt_output_lag_batches",
        /// Attempts that failed and were repeated.
        counter retries = "ogrt_output_retries_total",
        /// 1 while the output works, 0 while it fails.
        gauge up = "ogrt_output_up",
    }
    /// Time from the receipt of an event until the output has written it, waits included.
    pub written: Latency,
    problem: Mutex<Option<String>>,
}

impl OutputMetrics {
    /// Notes that an attempt failed, and why.
    pub fn fails(&self, problem: &str) {
        self.up.set(0);
        self.retries.add(1);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem.to_owned());
    }

    /// Notes that an attempt worked.
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
    /// Notes that a sender had more than its share of what this key of the configuration bounds.
    /// `lost` is what it lost of that: it is deleted.
    pub fn sender_over(&self, bound: &'static str, sender: &ShareHolder, lost: u64) {
        self.over(bound, sender, lost, "what it sent longest ago is deleted");
    }

    /// The same, where something else follows for this many of what the sender has.
    pub fn over(&self, bound: &'static str, sender: &ShareHolder, amount: u64, consequence: &str) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let of_bound = over.entry(bound).or_default();
        let mut name = sender.to_string();
        if !of_bound.contains_key(&name) {
            let alike = of_bound.values().filter(|known| known.kind == sender.kind()).count();
            if alike >= OVER_MAX {
                name = sender.kind().others().to_owned();
            }
        }
        let fresh = || SenderOver { kind: sender.kind(), lost: 0, said: None };
        let known = of_bound.entry(name).or_insert_with(fresh);
        known.lost += amount;
        if known.said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
            known.said = Some(Instant::now());
            warn!("sender {sender} has more than its share of {bound}: {consequence}");
        }
    }

    /// The counts of an output; they start at zero with the first call.
    pub fn output(&self, name: &str) -> Arc<OutputMetrics> {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.entry(name.to_owned()).or_default().clone()
    }

    /// Each output with its counts.
    pub fn outputs(&self) -> BTreeMap<String, Arc<OutputMetrics>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All metrics in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(4096);
        for (name, kind, about, value) in Metrics::TABLE {
            head(&mut out, name, kind, about);
            let _ = writeln!(out, "{name} {}", value(self));
        }
        let about = " What was deleted, refused or not counted of senders with more than their share.";
        head(&mut out, "ogrt_sender_over_share_total", "counter", about);
        for (bound, senders) in self.over.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (sender, over) in senders {
                let sender = sender.replace('\\', "\\\\").replace('"', "\\\"");
                let labels = format!("bound=\"{bound}\",sender=\"{sender}\"");
                let _ = writeln!(out, "ogrt_sender_over_share_total{{{labels}}} {}", over.lost);
            }
        }
        let outputs = self.outputs();
        for (name, kind, about, value) in OutputMetrics::TABLE {
            head(&mut out, name, kind, about);
            for (output, metrics) in &outputs {
                let _ = writeln!(out, "{name}{{output=\"{output}\"}} {}", value(metrics));
            }
        }
        let (durable, written) = ("ogrt_event_durable_seconds", "ogrt_event_written_seconds");
        head(&mut out, durable, "histogram", " Time from the receipt of an event until it is safe on disk.");
        self.durable.text(&mut out, durable, "");
        head(
            &mut out,
            written,
            "histogram",
            " Time from the receipt of an event until the output has written it, waits included.",
        );
        for (output, metrics) in &outputs {
            metrics.written.text(&mut out, written, &format!("output=\"{output}\""));
        }
        if let Some(bytes) = resident_bytes() {
            head(
                &mut out,
                "process_resident_memory_bytes",
                "gauge",
                " Resident memory of the server, in bytes.",
            );
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
