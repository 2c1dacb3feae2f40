//! What processes have loaded since they started, and which GPUs they use: plugins, extension
//! modules of Python and others, libraries that a program opens by itself.
//!
//! ```text
//! process connector: an exec -> 2 s, 30 s, 10 min, each hour later: /proc/PID/maps, /proc/PID/fd
//!     -> mapped libraries with notes and build-id, GPUs, packages -> server, which keeps them for
//!        the end
//! ```
//!
//! Policy. What a process maps and opens may change while it is read, and may be made up: so it is
//! bounded, and each library is read by the mapping itself, not by its path. A short process is
//! never looked at. Tests: `tests/end_to_end/tests/observe_objects.rs`.

mod gpus;
mod java_packages;
mod look_times;
mod mapped_objects;
mod object_watch;
mod package_versions;
mod python_packages;

pub use object_watch::ObjectWatch;
