//! `[names]`: the site's own names of software.

use super::{ConfigError, naming_rules::NamingRules, table::table};
use std::path::PathBuf;

table! {
    /// Names: what programs and libraries are called that nobody registered. docs/learn.md has the
    /// form of the files.
    NamesConfig {
        /// File with rules: patterns of paths, each with the name of the software. They come before
        /// what `ogrt learn` has told. The file is read again on SIGHUP. Empty: none.
        rules: PathBuf = PathBuf::new(),
        /// The same, for programs that neither a rule nor `ogrt learn` explains. "hpc.toml" in
        /// PREFIX/share/ogrt/rules knows well-known programs by the names of their files. Empty:
        /// none.
        fallback_rules: PathBuf = PathBuf::new(),
    }
}

impl NamesConfig {
    /// Reads both files: the rules, and the fallback rules.
    pub fn read_rules(&self) -> Result<[NamingRules; 2], ConfigError> {
        let read = |path: &PathBuf| match path.as_os_str().is_empty() {
            true => Ok(NamingRules::default()),
            false => NamingRules::read(path),
        };
        Ok([read(&self.rules)?, read(&self.fallback_rules)?])
    }
}
