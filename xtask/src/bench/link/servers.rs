//! Servers that do not register a link.

use crate::daemon::{Daemon, Ports};
use anyhow::{Context, Result};
use std::{net::TcpListener, path::Path};

/// Their addresses, for OGRT_SERVER. The servers end when this is dropped.
pub struct BadServers {
    /// An address where nobody listens: the connection is refused at once.
    pub absent: String,
    /// A listener that accepts connections and never answers.
    pub hanging: String,
    /// An ogrt-server that wants a token, which the links do not have.
    pub refusing: String,
    _hangs: TcpListener,
    _refuses: Daemon,
}

impl BadServers {
    /// Starts them, with their files in `folder`.
    pub fn start(prefix: &Path, folder: &Path) -> Result<BadServers> {
        let hangs = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
        let hanging = hangs.local_addr().context("no free port on 127.0.0.1")?.to_string();
        let refuses = Daemon::start_with(
            &prefix.join("bin/ogrt-server"),
            &folder.join("refusing"),
            &Ports::default(),
            "[access]\nregister = \"token\"\n",
        )?;
        let refusing = refuses.tcp.clone();
        Ok(BadServers { absent: "127.0.0.1:1".into(), hanging, refusing, _hangs: hangs, _refuses: refuses })
    }
}
