//! The environment variables that steer the wrappers, read once.

use crate::deliver::connection::Server;
use crate::environment::{self, is_on, non_empty};
use std::path::PathBuf;

/// What the user and the site have set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `OGRT_DISABLE=1`: links are neither marked nor registered.
    pub disabled: bool,
    /// `OGRT_STRICT=1`: a link that cannot be marked or registered fails.
    pub strict: bool,
    /// `OGRT_REPRODUCIBLE=1`, or SOURCE_DATE_EPOCH is set: equal links give equal bytes.
    pub reproducible: bool,
    /// `OGRT_STATIC=1`: static programs tell of themselves when they run.
    pub static_programs: bool,
    /// `OGRT_SAVE_LINK`: the directory in which links are saved for a report.
    pub save_link: Option<PathBuf>,
    /// `OGRT_REAL_LD`: the real linker, by its name or path.
    pub real_linker: Option<PathBuf>,
    /// `OGRT_SERVER`: the server that gets the records.
    pub server: Server,
    /// `OGRT_TOKEN_FILE`: the file with the token for the server.
    pub token_file: Option<PathBuf>,
}

impl Settings {
    /// Reads the environment.
    pub fn from_environment() -> Settings {
        Settings {
            disabled: is_on("OGRT_DISABLE"),
            strict: is_on("OGRT_STRICT"),
            reproducible: is_on("OGRT_REPRODUCIBLE") || environment::var("SOURCE_DATE_EPOCH").is_some(),
            static_programs: is_on("OGRT_STATIC"),
            save_link: non_empty("OGRT_SAVE_LINK").map(PathBuf::from),
            real_linker: non_empty("OGRT_REAL_LD").map(PathBuf::from),
            server: Server::from_environment(),
            token_file: non_empty("OGRT_TOKEN_FILE").map(PathBuf::from),
        }
    }
}
