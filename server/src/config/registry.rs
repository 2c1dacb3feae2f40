//! `[registry]`: where builds are kept.

use super::{
    Time,
    table::{choice, table},
};

table! {
    /// The registry of builds.
    RegistryConfig {
        /// "embedded".
        backend: RegistryBackend = RegistryBackend::Embedded,
        /// Summaries of builds kept in memory.
        cache: usize = 131_072,
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
    }
}
