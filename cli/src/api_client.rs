//! The one place that talks to ogrt-server's HTTP API.
//!
//! A server may be away, slow, or somebody else's: each ends as one line that names the address.
//! "Not there" is believed only when the answer is a problem document (RFC 9457), which another
//! server's 404 page is not. Proxies of the environment are not asked: the server stands inside the
//! site. With `https://` the server's certificate is checked against those of the system, or
//! against the file that SSL_CERT_FILE names.

use crate::spool_contents::what_waits;
use anyhow::{Context, Result, anyhow, bail, ensure};
use ogrt_note::Signature;
use ogrt_proto::{BuildJson, Installation};
use ogrt_wrap::deliver::connection::read_token;
use ogrt_wrap::environment::non_empty;
use prost::Message;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header::CONTENT_TYPE};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::Deserialize;
use serde_json::Value;
use std::{env, error::Error, fs::File, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::Runtime;

const DEFAULT: &str = "http://127.0.0.1:7972";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two pieces of an answer. A whole answer may take longer: a job may
/// have many processes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The number of list elements that one request asks for.
const PAGE: usize = 1000;
/// The size of the largest answer that is read.
const BODY_BYTES_MAX: usize = 1 << 30;

/// A client of one server's HTTP API.
pub struct ApiClient {
    base: Url,
    client: Client,
    runtime: Runtime,
}

/// What a server hears of the processes of its machine.
#[derive(Default)]
pub struct ProcessWatch {
    /// What its kernel tells of processes that end: "exit status", "exit time" or "no".
    pub follow: Option<String>,
    /// True where ogrt-observe tells it of programs that libogrt.so cannot see.
    pub observe: Option<bool>,
    /// True where ogrt-observe tells it exactly what processes have used.
    pub accounting: Option<bool>,
}

/// The fields of a problem document (RFC 9457) that are shown.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
}

impl ApiClient {
    /// Makes a client of the server that OGRT_HTTP names.
    pub fn from_environment() -> Result<ApiClient> {
        let text = match env::var("OGRT_HTTP") {
            Ok(text) if !text.is_empty() => text,
            Ok(_) | Err(env::VarError::NotPresent) => DEFAULT.to_owned(),
            Err(error) => return Err(anyhow!("OGRT_HTTP: {error}")),
        };
        // `host:port` alone means http.
        let port = text.rsplit_once(':').map(|(_, port)| port.trim_end_matches('/'));
        let is_bare = !text.contains("://") && port.is_some_and(|port| port.parse::<u16>().is_ok());
        let url = if is_bare { format!("http://{text}") } else { text.clone() };
        let base = Url::parse(&url)
            .with_context(|| format!("OGRT_HTTP: {text}: expected an address such as {DEFAULT}"))?;
        ensure!(
            ["http", "https"].contains(&base.scheme()) && base.has_host() && !text.starts_with("unix:"),
            "OGRT_HTTP: {text}: expected an address such as {DEFAULT}"
        );
        let tls = trusting(base.scheme() == "https").with_context(|| format!("OGRT_HTTP: {text}"))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("ogrt/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .no_proxy()
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(ApiClient { base, client, runtime })
    }

    /// Fetches a build record as the server's JSON text; `None` where the server has no such
    /// record.
    pub fn build(&self, signature: Signature) -> Result<Option<Vec<u8>>> {
        self.get(&["v1", "builds", &signature.to_string()], &[])
    }

    /// Fetches and parses a build record; `None` where the server has no such record.
    pub fn record(&self, signature: Signature) -> Result<Option<BuildJson>> {
        let Some(body) = self.build(signature)? else { return Ok(None) };
        serde_json::from_slice(&body)
            .map(Some)
            .with_context(|| format!("{}: the answer is not a build record", self.address()))
    }

    /// Fetches a page of a job's document as the server's JSON text; `None` where the server has no
    /// such job. Without a cluster, those of all clusters.
    pub fn job(
        &self,
        cluster: Option<&str>,
        job_id: &str,
        page: &[(&str, String)],
    ) -> Result<Option<Vec<u8>>> {
        // An address has no place for a part that is empty, nor for the names of directories.
        let job_id = match job_id {
            "" => bail!("{job_id:?}: not a job id"),
            "." => "%2E",
            ".." => "%2E.",
            job_id => job_id,
        };
        let mut question = page.to_vec();
        question.extend(cluster.map(|cluster| ("cluster", cluster.to_owned())));
        self.get(&["v1", "jobs", job_id], &question)
    }

    /// Registers an installation, with the token of OGRT_TOKEN_FILE. It is durable when this
    /// returns.
    pub fn register(&self, installation: &Installation) -> Result<()> {
        let body = installation.encode_to_vec();
        match self.post("installations", body, "application/octet-stream")? {
            Some(_) => Ok(()),
            None => {
                bail!("{}: the server takes no installations; it may be older than ogrt", self.address())
            }
        }
    }

    /// Teaches the server files of packages, with the token of OGRT_TOKEN_FILE. Returns how many
    /// were new, changed and known.
    pub fn learn(&self, packages: &Value) -> Result<Value> {
        let body = serde_json::to_vec(packages)?;
        let Some(answer) = self.post("learned", body, "application/json")? else {
            bail!("{}: the server learns no files; it may be older than ogrt", self.address());
        };
        serde_json::from_slice(&answer).with_context(|| self.address().to_owned())
    }

    /// Sends sketches of programs that ran, with the token of OGRT_TOKEN_FILE. Returns how many
    /// were new and known.
    pub fn observe(&self, sketches: &Value) -> Result<Value> {
        let body = serde_json::to_vec(sketches)?;
        let Some(answer) = self.post("sketches", body, "application/json")? else {
            bail!("{}: the server takes no sketches; it may be older than ogrt", self.address());
        };
        serde_json::from_slice(&answer).with_context(|| self.address().to_owned())
    }

    fn post(&self, what: &str, body: Vec<u8>, content_type: &str) -> Result<Option<Vec<u8>>> {
        let url = self.url(&["v1", what]);
        let token_file = non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let token = token_file.as_deref().map(read_token).transpose()?;
        self.wait(|client: &Client| {
            let request = client.post(url).header(CONTENT_TYPE, content_type).body(body);
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        })
    }

    /// Fetches an answer that has one page; `None` where the server knows nothing of its subject.
    pub fn answer_to(&self, path: &[&str], question: &[(&str, String)]) -> Result<Option<Value>> {
        let Some(body) = self.get(path, question)? else { return Ok(None) };
        serde_json::from_slice(&body).map(Some).with_context(|| self.address().to_owned())
    }

    /// Fetches a list page by page, until it has `limit` elements.
    ///
    /// The result is the last page with all elements under `key`. It has a `next` where the server
    /// has more elements, and is truncated or rounded where one of the pages is.
    pub fn list(
        &self,
        path: &[&str],
        question: &[(&str, String)],
        key: &str,
        limit: usize,
    ) -> Result<Option<Value>> {
        let mut elements = Vec::new();
        let mut cursor = None;
        let mut marks = ["truncated", "rounded"].map(|mark| (mark, false));
        loop {
            let mut page_question = question.to_vec();
            page_question.push(("limit", (limit - elements.len()).min(PAGE).to_string()));
            page_question.extend(cursor.map(|cursor| ("cursor", cursor)));
            let Some(mut page) = self.answer_to(path, &page_question)? else { return Ok(None) };
            let more = page.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
            let more = more.with_context(|| format!("{}: the answer has no list {key:?}", self.address()))?;
            elements.extend(more);
            marks.iter_mut().for_each(|(mark, is_set)| *is_set |= page[*mark] == true);
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || elements.len() >= limit {
                page[key] = Value::Array(elements);
                marks.iter().filter(|(_, is_set)| *is_set).for_each(|(mark, _)| page[*mark] = true.into());
                return Ok(Some(page));
            }
        }
    }

    /// The server's address, for messages.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The line that says that a build is not registered.
    pub fn not_registered(&self, signature: Signature) -> String {
        format!("{signature}: not registered at {}; {}", self.address(), what_waits())
    }

    /// Asks what the server hears of processes; nothing where no server answers.
    pub fn process_watch(&self) -> ProcessWatch {
        // A server whose output fails answers with another status, and says it all the same.
        let health: Option<Value> = self.runtime.block_on(async {
            let response = self.client.get(self.url(&["healthz"])).send().await.ok()?;
            serde_json::from_slice(&body(response).await.ok()?).ok()
        });
        let health = health.unwrap_or_default();
        ProcessWatch {
            follow: health["follow"].as_str().map(str::to_owned),
            observe: health["observe"].as_bool(),
            accounting: health["accounting"].as_bool(),
        }
    }

    fn get(&self, segments: &[&str], question: &[(&str, String)]) -> Result<Option<Vec<u8>>> {
        let mut url = self.url(segments);
        if !question.is_empty() {
            url.query_pairs_mut().extend_pairs(question);
        }
        self.wait(|client| client.get(url))
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address without a host has no path segments, and such a base was refused.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn wait(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Option<Vec<u8>>> {
        self.runtime.block_on(self.answer(request)).with_context(|| self.address().to_owned())
    }

    async fn answer(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Option<Vec<u8>>> {
        let response = request(&self.client).send().await.map_err(|error| {
            if error.is_connect() {
                anyhow!(
                    "no server there ({}); check that ogrt-server runs and that OGRT_HTTP is its HTTP address",
                    root_cause(&error)
                )
            } else {
                anyhow!("no answer ({}); try again, or look into the server's log", root_cause(&error))
            }
        })?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let is_problem = content_type.is_some_and(|kind| kind.starts_with("application/problem+json"));
        let body = body(response).await?;
        if status.is_success() && is_json && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
            return Ok(Some(body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(_) if is_problem && status == StatusCode::NOT_FOUND => Ok(None),
            Ok(problem) if is_problem && problem.detail.is_empty() => bail!("{}", problem.title),
            Ok(problem) if is_problem => bail!("{}: {}", problem.title, problem.detail),
            _ => bail!(
                "answered {status}, but not as ogrt-server does; check that OGRT_HTTP is ogrt-server's HTTP address"
            ),
        }
    }
}

/// TLS that trusts what this machine trusts, if it is needed; else it trusts nobody.
fn trusting(is_needed: bool) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        // Where that cannot be read, the system's would be taken without a word.
        if let Some(file) = env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
            File::open(&file).with_context(|| format!("SSL_CERT_FILE: {}", file.display()))?;
        }
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        ensure!(
            !roots.is_empty(),
            "this machine has no CA certificates: name a file with that of the server's CA in SSL_CERT_FILE"
        );
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn body(mut response: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| anyhow!("the answer ended early ({}); try again", root_cause(&error)))?
    {
        ensure!(
            body.len() + chunk.len() <= BODY_BYTES_MAX,
            "the answer is larger than {BODY_BYTES_MAX} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause, such as `Connection refused (os error 111)`: every step above it repeats
/// the address.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
