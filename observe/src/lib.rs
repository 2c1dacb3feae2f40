//! Processes watched from outside, by pidfd: who sent a datagram, and how a process ended.
//!
//! Policy. These are the questions to the kernel for which no safe crate has a call: each is one
//! small function, says why its `unsafe` is sound, and hands out owned descriptors and plain values
//! only. Nothing needs a privilege. What a kernel does not offer is found out by trying
//! ([`KernelOffer::find_out`]), never by its version.

mod datagram;
mod kernel_offer;
mod package_paths;
mod process;
pub mod python;

pub use datagram::{Credentials, Datagram, pass_pidfds, receive};
pub use kernel_offer::KernelOffer;
pub use package_paths::{Language, package_of_path};
pub use process::{exit_status, process_number};
