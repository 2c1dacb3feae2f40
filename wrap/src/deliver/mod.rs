//! The way of a record to the server, and the spool where it waits when there is no way.

pub mod connection;
pub mod deliver_or_spool;
pub mod server_rest;
pub mod spool;
