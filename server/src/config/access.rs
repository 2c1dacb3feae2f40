//! `[access]`: who may register builds.

use super::table::{choice, table};
use std::path::PathBuf;

table! {
    /// Access: who may register builds, and installations of package managers. Events of processes
    /// need no permission.
    AccessConfig {
        /// "anyone": everybody who can reach the server. "token": whoever has a token with the
        /// scope "register" or "relay". The wrappers read theirs from the file that OGRT_TOKEN_FILE
        /// names; over HTTP it is sent as "Authorization: Bearer TOKEN".
        register: MayRegister = MayRegister::Anyone,
        /// File with the SHA-256 digests of tokens, one per line. `ogrt-server token add NAME`
        /// makes a token. Empty: the file "tokens" in data_dir.
        tokens_file: PathBuf = PathBuf::new(),
        /// Who of this machine may read the files that the server makes, whatever the umask.
        /// "owner": its own user alone. "group": its group too, for example a program that ships
        /// the outputs. Sockets are open to all.
        files: FileReaders = FileReaders::Owner,
    }
}

choice! {
    /// Who may read the server's files.
    FileReaders {
        /// Its own user alone.
        Owner = "owner",
        /// Its group too.
        Group = "group",
    }
}

choice! {
    /// Who may register builds.
    MayRegister {
        /// Everybody who can reach the server.
        Anyone = "anyone",
        /// Whoever has a token that permits it.
        Token = "token",
    }
}
