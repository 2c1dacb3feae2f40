//! The backends of the registry, each of which every test of the registry runs on.

use crate::daemon::Daemon;

/// A backend, and the database that goes with it.
pub struct Backend;

impl Backend {
    /// Those that can run here.
    pub fn all() -> Vec<Backend> {
        vec![Backend::embedded()]
    }

    /// The server's own database.
    pub fn embedded() -> Backend {
        Backend
    }

    /// The same with a database of its own.
    pub fn another(&self) -> Backend {
        Backend
    }

    /// Is it PostgreSQL?
    pub fn is_postgres(&self) -> bool {
        false
    }

    /// What the configuration says of it: the table `registry`, last so that more keys may follow.
    pub fn configuration(&self) -> String {
        "[registry]\n".into()
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
    };
}
pub(crate) use on_every_backend;
