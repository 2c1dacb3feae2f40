//! `[registry]`: where builds are kept.

use super::{
    Size, Time,
    table::{choice, table},
};
use std::{path::PathBuf, time::Duration};

table! {
    /// The registry: where build records are kept, and when they are deleted.
    RegistryConfig {
        /// "embedded": in data_dir. "postgres": in a PostgreSQL database, which several servers can
        /// share.
        backend: RegistryBackend = RegistryBackend::Embedded,
        /// Address of the PostgreSQL database, such as "postgresql://user@host/database" or
        /// "host=/run/postgresql dbname=ogrt". With sslmode=require the connection is encrypted,
        /// and the database's certificate is checked. Needed for backend = "postgres".
        url: String = String::new(),
        /// File with CA certificates (PEM) that the database's certificate is checked against.
        /// Empty: the CA certificates of the system.
        ca_file: PathBuf = PathBuf::new(),
        /// When a client hears that its build record is safe, with backend = "postgres". "disk":
        /// when it is on this server's disk, also while the database is away. "commit": when it is
        /// in the database, so nothing is lost with this server's disk. While the database is away,
        /// clients keep their records. Several servers on one database need "commit".
        acknowledge: Acknowledge = Acknowledge::Disk,
        /// Disk space for build records that wait until PostgreSQL takes them. When it is used up,
        /// new build records are refused.
        waiting_bytes_max: Size = Size(1 << 30),
        /// Number of builds kept in memory, about 400 bytes each. If more different builds run in a
        /// day, each of the others costs a look into the registry.
        cached_builds_max: usize = 131_072,
        /// Age at which builds are deleted. "0s": no build is deleted because of its age. Builds in
        /// use stay, see keep_used.
        keep: Time = Time::from_secs(0),
        /// Number of builds above which the oldest are deleted. 0: any number is kept. Builds in
        /// use stay, see keep_used.
        builds_max: usize = 0,
        /// A build that somebody ran within this time is not deleted, and neither is any build that
        /// it contains.
        keep_used: Time = Time::from_secs(400 * 86_400),
        /// How often to look for builds to delete.
        look_every: Time = Time::from_secs(3600),
    }
}

choice! {
    /// The database that holds the builds.
    RegistryBackend {
        /// The server's own database in `data_dir`.
        Embedded = "embedded",
        /// A PostgreSQL database, which several servers can share.
        Postgres = "postgres",
    }
}

choice! {
    /// The moment when a registration is acknowledged.
    Acknowledge {
        /// It is on the server's own disk.
        Disk = "disk",
        /// It is in the registry's database.
        Commit = "commit",
    }
}

impl RegistryBackend {
    /// How long the server believes that a signature is not registered; `None` where no other
    /// server can register it.
    pub fn unknown_for(self) -> Option<Duration> {
        match self {
            RegistryBackend::Embedded => None,
            RegistryBackend::Postgres => Some(Duration::from_secs(5)),
        }
    }
}
