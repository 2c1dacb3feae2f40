//! Where the server can be reached, for the log and for who waits until it can be.

use anyhow::{Context, Result};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tracing::info;

/// See the module.
pub struct Addresses {
    pub udp: SocketAddr,
    pub tcp: SocketAddr,
    pub http: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub unix: PathBuf,
}

impl Addresses {
    /// Writes them into the log, and into a file for who waits for it: that appears whole, or not
    /// at all.
    pub fn announce(&self, ready_file: Option<&Path>) -> Result<()> {
        let Addresses { udp, tcp, http, tls, https, unix } = self;
        info!(
            "ready: UDP {udp}, TCP {tcp}, HTTP {http}, Unix {}",
            if unix.as_os_str().is_empty() { "none".into() } else { unix.display().to_string() }
        );
        for (what, address) in [("TCP", tls), ("HTTP", https)] {
            if let Some(address) = address {
                info!("ready: {what} with TLS {address}");
            }
        }
        let Some(path) = ready_file else { return Ok(()) };
        let text = json!({
            "udp": udp.to_string(),
            "tcp": tcp.to_string(),
            "unix": unix.display().to_string(),
            "http": http.to_string(),
            "tls": tls.map(|address| address.to_string()),
            "https": https.map(|address| address.to_string()),
        });
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, format!("{text}\n"))
            .and_then(|()| std::fs::rename(&fresh, path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
