//! The delivery of a record to the server, and the spool where it waits if the server cannot be
//! reached.

pub mod connection;
pub mod deliver_or_spool;
pub mod lost_records;
pub mod server_rest;
pub mod spool;
