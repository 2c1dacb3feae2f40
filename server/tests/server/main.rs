//! The server as its users meet it: the real program, real sockets, real files.

mod backend;
mod clusters;
mod configuration;
mod crash;
mod daemon;
mod database;
mod durable;
mod follow;
mod hostile;
mod installations;
mod join;
mod operate;
mod outputs;
mod postgres;
mod process_events;
mod receive;
mod registry;
mod rotation;
mod security;
mod sending;
mod shared_registry;
mod siege;
mod steering;
mod twice;
mod uses;
