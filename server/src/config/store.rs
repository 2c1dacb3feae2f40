//! `[store]`: where what jobs ran is kept.

use super::{
    Time,
    registry::RegistryConfig,
    table::{choice, table},
};
use std::path::{Path, PathBuf};

table! {
    /// The store: where what jobs ran is kept (docs/cluster.md).
    StoreConfig {
        /// "embedded": in data_dir. "postgres": in a PostgreSQL database that several servers
        /// share. Each of them then answers for the events of all. It needs registry.backend =
        /// "postgres".
        backend: StoreBackend = StoreBackend::Embedded,
        /// Address of the PostgreSQL database, in the form of registry.url. Empty: that of
        /// registry.url, with registry.ca_file.
        url: String = String::new(),
        /// File with CA certificates (PEM) that the database's certificate is checked against.
        /// Empty: the CA certificates of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// Number of connections to the database for questions and writing.
        connections: usize = 4,
        /// How often events are written to the database. A question has them written at once.
        write_every: Time = Time::from_secs(1),
    }
}

choice! {
    /// The database that holds what jobs ran.
    StoreBackend {
        /// The server's own database in `data_dir`.
        Embedded = "embedded",
        /// A PostgreSQL database that several servers share.
        Postgres = "postgres",
    }
}

/// A PostgreSQL database that the configuration names.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseAddress<'a> {
    /// The table of the configuration that names it.
    pub table: &'static str,
    /// Its address.
    pub url: &'a str,
    /// Certificates that its own is checked against; empty: those of the system.
    pub ca_file: &'a Path,
}

impl RegistryConfig {
    /// The registry's database.
    pub fn database(&self) -> DatabaseAddress<'_> {
        DatabaseAddress { table: "registry", url: &self.url, ca_file: &self.ca_file }
    }
}

impl StoreConfig {
    /// The store's database, which is the registry's unless it is named.
    pub fn database<'a>(&'a self, registry: &'a RegistryConfig) -> DatabaseAddress<'a> {
        match self.url.is_empty() {
            true => registry.database(),
            false => DatabaseAddress { table: "store", url: &self.url, ca_file: &self.ca_file },
        }
    }
}
