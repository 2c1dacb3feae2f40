//! Processes watched from outside: who sent a datagram, how a process ended, what it runs.
//!
//! The server asks the kernel by the functions of [`datagram`](receive) and [`process`](exit_status):
//! questions for which no safe crate has a call, and no privilege is needed. [`Observer`] is the
//! program `ogrt-observe`, which root runs beside the server.
//!
//! Policy. Each use of `unsafe` is one small function, says why it is sound, and hands out owned
//! descriptors and plain values only. What a kernel does not offer is found out by trying
//! ([`KernelOffer::find_out`]), never by its version. Of a process's environment only the variables
//! of its job are kept.

mod capabilities;
mod clock;
mod complaints;
mod cpu_share;
mod datagram;
mod ends;
mod exec_events;
mod file_facts;
mod job_variables;
mod kernel_offer;
mod netlink;
mod objects;
mod observer;
mod oom_log;
mod package_paths;
mod process;
mod process_connector;
mod process_directory;
mod process_stat;
mod program_file;
pub mod python;
mod scheduling;
mod selection;
mod server_link;
mod starts;
mod task_statistics;

pub use datagram::{Credentials, Datagram, pass_pidfds, receive};
pub use job_variables::JOB_ID_VARIABLES;
pub use kernel_offer::KernelOffer;
pub use netlink::Told;
pub use observer::{Observer, ObserverConfig};
pub use package_paths::{Language, package_of_path};
pub use process::{exit_status, process_id, process_number};
pub use process_connector::{FORK, ProcessConnector, ProcessEvent};
pub use process_directory::FIRST_PID_NAMESPACE;
pub use process_stat::{ProcessStat, TICK_NS};
pub use selection::{ParseUserRangesError, Selection, UserRanges};
