//! The server of OGRT: nothing that it acknowledged is lost, and every event goes out joined with
//! its builds.
//!
//! The line is straight, each stage one room, and [`run`] tells it:
//!
//! ```text
//! receive -> admit -> queue (durable) -> join (with registry) -> outputs
//!    follow (the end of each process) -^
//! ```
//!
//! Policy. The durable queue is the only place where an event waits: each output has its own offset
//! in it and pulls at its own pace, so one that is down or slow delays no other. What has to wait
//! inside (parts of an event, an event whose build record is late) is set aside durably and enters
//! the queue again when whole. Every buffer is bounded, and every input is hostile until proved
//! otherwise.

mod alarm;
mod backup;
mod bounded_map;
mod clock;
mod config;
mod database;
mod dates;
mod fair_shares;
mod fields;
mod follow;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod job_key;
mod job_name;
mod jobs;
mod join;
mod latency;
mod launches;
mod learned;
mod ledger;
mod log_lines;
mod metrics;
mod move_builds;
mod outputs;
mod priority;
mod processes;
mod progress;
mod queue;
mod rebuild_sums;
mod receive;
mod registry;
mod reload;
mod reports;
mod retention;
mod run;
mod sd_notify;
mod shutdown;
mod sockets;
mod start_digest;
mod stored_text;
mod sums;
mod tls_client;
mod tls_server;
pub mod tokens;
mod users;
mod uses;
mod versions;
mod xalt;

pub use backup::backup;
pub use config::{Config, LogFormat};
pub use dates::first_moment_ns;
pub use log_lines::LogLines;
pub use move_builds::{export, import};
pub use rebuild_sums::rebuild_sums;
pub use registry::{KnownServer, ServersOfRegistry, servers, token_store};
pub use reload::Reload;
pub use run::run;
pub use shutdown::Shutdown;
pub use xalt::{XaltImport, import as import_xalt};
