//! The backends of the registry, each of which every test of the registry runs on.

use crate::{daemon::Daemon, database::Database};
use std::path::Path;

/// A backend, and the database that goes with it.
pub struct Backend {
    database: Option<Database>,
    /// What jobs ran is in that database as well.
    shares_jobs: bool,
}

impl Backend {
    /// Those that can run here.
    pub fn all() -> Vec<Backend> {
        let mut all = vec![Backend::embedded()];
        all.extend(Backend::postgres());
        all
    }

    /// The server's own database.
    pub fn embedded() -> Backend {
        Backend { database: None, shares_jobs: false }
    }

    /// A database of its own in PostgreSQL; `None`, and a line, where there is no PostgreSQL.
    pub fn postgres() -> Option<Backend> {
        Some(Backend { database: Some(Database::new()?), shares_jobs: false })
    }

    /// The same, and what jobs ran is in that database as well.
    pub fn cluster() -> Option<Backend> {
        Some(Backend { database: Some(Database::new()?), shares_jobs: true })
    }

    /// The configuration of a cluster on this database.
    pub fn cluster_on(database: &Database) -> String {
        format!(
            "[store]\nbackend = \"postgres\"\n[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n",
            database.url()
        )
    }

    /// The same with a database of its own.
    pub fn another(&self) -> Backend {
        match &self.database {
            Some(_) if self.shares_jobs => Backend::cluster().expect("there was one"),
            Some(_) => Backend::postgres().expect("there was one"),
            None => Backend::embedded(),
        }
    }

    /// Is it PostgreSQL?
    pub fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// The database in PostgreSQL.
    pub fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// What the configuration says of it: the table `registry`, last so that more keys may follow.
    pub fn configuration(&self) -> String {
        match &self.database {
            Some(database) if self.shares_jobs => Backend::cluster_on(database),
            Some(database) => {
                format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url())
            }
            None => "[registry]\n".into(),
        }
    }

    /// Damages the summaries of all builds. With the embedded backend the server must not run
    /// meanwhile.
    pub fn damage_summaries(&self, data_dir: &Path) {
        if let Some(database) = &self.database {
            database.execute("UPDATE builds SET brief = '\\xff'");
            return;
        }
        let store = fjall::Database::builder(data_dir.join("store")).open().unwrap();
        let builds = store.keyspace("build_of", Default::default).unwrap();
        for build in builds.iter() {
            let (signature, value) = build.into_inner().unwrap();
            builds.insert(signature, [&value[..8], &[0xFF]].concat()).unwrap();
        }
    }

    /// A server with it.
    pub fn start(&self, more: &str) -> Daemon {
        Daemon::start(&(more.to_owned() + &self.configuration()))
    }
}

/// Declares tests that run on every backend.
macro_rules! on_every_backend {
    ($(fn $name:ident($backend:ident) $body:block)*) => {
        $(fn $name($backend: &$crate::backend::Backend) $body)*

        mod embedded {
            $(#[test] fn $name() { super::$name(&$crate::backend::Backend::embedded()); })*
        }

        mod postgres {
            $(#[test] fn $name() {
                if let Some(backend) = $crate::backend::Backend::postgres() {
                    super::$name(&backend);
                }
            })*
        }
    };
}
pub(crate) use on_every_backend;

/// Declares tests that run on every store of what jobs ran.
macro_rules! on_every_store {
    ($(fn $name:ident($backend:ident) $body:block)*) => {
        $(fn $name($backend: &$crate::backend::Backend) $body)*

        mod embedded {
            $(#[test] fn $name() { super::$name(&$crate::backend::Backend::embedded()); })*
        }

        mod cluster {
            $(#[test] fn $name() {
                if let Some(backend) = $crate::backend::Backend::cluster() {
                    super::$name(&backend);
                }
            })*
        }
    };
}
pub(crate) use on_every_store;
