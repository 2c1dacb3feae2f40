//! `[registry]`: where builds are kept.

use super::{
    Size, Time,
    table::{choice, table},
};
use std::{path::PathBuf, time::Duration};

table! {
    /// The registry of builds.
    RegistryConfig {
        /// "embedded", or "postgres".
        backend: RegistryBackend = RegistryBackend::Embedded,
        /// Of the PostgreSQL database: "postgresql://user@host/database", or "host=/run/postgresql dbname=ogrt".
        /// With sslmode=require the connection is encrypted, and the server's certificate checked.
        url: String = String::new(),
        /// Certificates that the database's is checked against (PEM). Empty: those of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// Most bytes of registrations that wait for a PostgreSQL database; beyond them new ones are refused.
        waiting_bytes_max: Size = Size(1 << 30),
        /// Summaries of builds kept in memory.
        cached_builds_max: usize = 131_072,
        /// Builds go when they are older than this; "0s": never. See keep_used.
        keep: Time = Time::from_secs(0),
        /// The oldest builds go when there are more than this; 0: never.
        builds_max: usize = 0,
        /// A build that somebody ran within this time stays, and so does what it contains.
        keep_used: Time = Time::from_secs(400 * 86_400),
        /// How often it is looked for builds that may go.
        look_every: Time = Time::from_secs(3600),
    }
}

choice! {
    /// What keeps the registry.
    RegistryBackend {
        /// The database in `data_dir`.
        Embedded = "embedded",
        /// A PostgreSQL database, which several servers may share.
        Postgres = "postgres",
    }
}

impl RegistryBackend {
    /// How long it is believed that a signature is not registered: others may share the registry.
    pub fn unknown_for(self) -> Option<Duration> {
        match self {
            RegistryBackend::Embedded => None,
            RegistryBackend::Postgres => Some(Duration::from_secs(5)),
        }
    }
}
