//! What depends on the machine where the configuration leaves it open: where data goes, which
//! socket can be made.

use super::{AccessConfig, Config, FileConfig, FileLayout, FileReaders, OutputConfig};
use std::path::{Path, PathBuf};

impl Config {
    /// Settles what depends on the machine: where data goes, which socket can be made, which output
    /// there is.
    pub fn choose_places(&mut self) {
        if self.data_dir.as_os_str().is_empty() {
            self.data_dir = default_data_dir();
        }
        if self.unix == Config::default().unix && !can_be_made(Path::new("/run/ogrt")) {
            self.unix = self.data_dir.join("ogrt.sock");
        }
        if self.outputs.is_empty() {
            let jobs = FileConfig {
                layout: FileLayout::Jobs,
                path: self.data_dir.join("out"),
                ..FileConfig::default()
            };
            self.outputs.insert("local".into(), OutputConfig::File(jobs));
        }
    }
}

impl Config {
    /// The bits that files and directories of the server do not have.
    pub fn umask(&self) -> u32 {
        match self.access.files {
            FileReaders::Owner => 0o077,
            FileReaders::Group => 0o027,
        }
    }

    /// The file of the tokens' digests.
    pub fn tokens_file(&self) -> PathBuf {
        self.access.tokens_file(&self.data_dir)
    }
}

impl AccessConfig {
    /// The file of the tokens' digests.
    pub fn tokens_file(&self, data_dir: &Path) -> PathBuf {
        if self.tokens_file.as_os_str().is_empty() {
            data_dir.join("tokens")
        } else {
            self.tokens_file.clone()
        }
    }
}

fn default_data_dir() -> PathBuf {
    let site = PathBuf::from("/var/lib/ogrt");
    if can_be_made(&site) {
        return site;
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ogrt-server")
}

/// May we write in this directory, or make it? Nothing is made here: that is for the start.
fn can_be_made(directory: &Path) -> bool {
    let nearest = directory.ancestors().find(|path| path.exists());
    nearest.is_some_and(|path| nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok())
}
