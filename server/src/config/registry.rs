//! `[registry]`: where builds are kept.

use super::table::{choice, table};

table! {
    /// The registry of builds.
    RegistryConfig {
        /// "embedded".
        backend: RegistryBackend = RegistryBackend::Embedded,
        /// Summaries of builds kept in memory.
        cache: usize = 131_072,
    }
}

choice! {
    /// What keeps the registry.
    RegistryBackend {
        /// The database in `data_dir`.
        Embedded = "embedded",
    }
}
