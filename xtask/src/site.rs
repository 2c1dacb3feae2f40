//! A site that has installed OGRT: the environment of every command there.

use crate::daemon::Daemon;
use anyhow::Result;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// The programs of a prefix, a server, and a spool.
#[derive(Clone, Debug)]
pub struct Site {
    variables: Vec<(&'static str, OsString)>,
    ogrt: PathBuf,
}

impl Site {
    /// A site with the programs in `prefix`, this server, and `spool` as its spool.
    pub fn new(prefix: &Path, server: &Daemon, spool: &Path) -> Result<Site> {
        let bin = prefix.join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([bin.clone()].into_iter().chain(env::split_paths(&path)))?;
        let variables = vec![
            ("PATH", path),
            ("OGRT_SERVER", server.unix.clone().into()),
            ("OGRT_HTTP", server.http.clone().into()),
            ("OGRT_SPOOL_DIR", spool.into()),
        ];
        Ok(Site { variables, ogrt: bin.join("ogrt") })
    }

    /// A command of that site: no other variable of OGRT is set.
    pub fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("OGRT_") || name == "LD_PRELOAD" {
                command.env_remove(name);
            }
        }
        command.current_dir(folder).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Path of an installed program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.ogrt.with_file_name(name)
    }

    /// The command `ogrt` of that site.
    pub fn ogrt(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.ogrt.to_string_lossy(), Path::new("/"));
        command.args(arguments);
        command
    }
}
