//! `[access]`: who may register builds.

use super::table::{choice, table};
use std::path::PathBuf;

table! {
    /// Who may register builds, and what package managers installed. Events of processes need no permission.
    AccessConfig {
        /// "anyone" who reaches the server, or who has a "token": in the Hello of a stream (OGRT_TOKEN_FILE of the
        /// wrappers), over HTTP as "Authorization: Bearer".
        register: MayRegister = MayRegister::Anyone,
        /// The digests of the tokens, one a line; `ogrt-server token add NAME` makes one. Empty: "tokens" in data_dir.
        tokens_file: PathBuf = PathBuf::new(),
    }
}

choice! {
    /// Who may register builds.
    MayRegister {
        /// Who reaches the server.
        Anyone = "anyone",
        /// Who has a token.
        Token = "token",
    }
}
