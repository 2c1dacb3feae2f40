//! The HTTP client for receivers: one for all workers, with compressed bodies and bounded answers.

use crate::tls_client::client_config;
use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use reqwest::{Client, RequestBuilder, StatusCode};
use std::{fs, io::Write, path::Path, time::Duration};

/// Largest answer that is read; none that we ask for is larger.
const ANSWER_MAX: usize = 64 << 20;

/// How many bytes of an error's answer are shown.
const SHOWN_MAX: usize = 300;

/// An HTTP client.
pub struct Http {
    /// The client that makes requests.
    pub client: Client,
    gzip: bool,
}

impl Http {
    /// A client that trusts the certificates in `ca_file`, or the system's. Proxies of the
    /// environment are not used.
    pub fn new(ca_file: &Path, gzip: bool) -> Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(client_config(ca_file)?)
            .user_agent(concat!("ogrt-server/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Http { client, gzip })
    }

    /// Puts a body into a request, compressed if configured.
    pub fn body(&self, request: RequestBuilder, body: Vec<u8>) -> Result<RequestBuilder> {
        if !self.gzip {
            return Ok(request.body(body));
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        packed.write_all(&body).context("cannot compress a request")?;
        let packed = packed.finish().context("cannot compress a request")?;
        Ok(request.header("content-encoding", "gzip").body(packed))
    }

    /// Sends a request. Returns the answer's status and body.
    pub async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>)> {
        let mut answer = request.send().await.map_err(with_causes)?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(with_causes)? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_MAX {
                bail!("the answer is larger than {ANSWER_MAX} bytes");
            }
        }
        Ok((answer.status(), body))
    }
}

/// The text of an answer, cut so that it fits into a line of the log.
pub fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_MAX)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The error without its URL, which may hold a password.
fn with_causes(error: reqwest::Error) -> anyhow::Error {
    let address = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    anyhow::Error::new(error.without_url()).context(address)
}

/// Reads a secret that stands alone in a file.
pub fn read_secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let secret = text.trim();
    if secret.is_empty() || secret.chars().any(char::is_control) {
        bail!("{} must hold the secret on one line, without control characters", path.display());
    }
    Ok(secret.to_owned())
}
