//! The one place that talks to ogrt-server's HTTP API.
//!
//! A server may be away, slow, or somebody else's: each ends as one line that names the address. "Not there" is
//! believed only when the answer is a problem document (RFC 9457), which no stranger's 404 page is. Proxies of the
//! environment are not asked: the server stands inside the site. HTTP only, no TLS.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ogrt_note::Signature;
use ogrt_proto::{BuildJson, Installation};
use ogrt_wrap::deliver::connection::read_token;
use ogrt_wrap::environment::non_empty;
use prost::Message;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;
use std::{env, error::Error, path::PathBuf, time::Duration};
use tokio::runtime::Runtime;

const DEFAULT: &str = "http://127.0.0.1:7972";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pieces of an answer, not for the whole of it: a job may have many processes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Elements of a list that are asked for at once.
const PAGE: usize = 1000;
/// Most bytes of an answer.
const BODY_BYTES_MAX: usize = 1 << 30;

/// Where to ask.
pub struct ApiClient {
    base: Url,
    client: Client,
    runtime: Runtime,
}

/// An error as ogrt-server tells it; only what is shown.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
}

impl ApiClient {
    /// The server that OGRT_HTTP names.
    pub fn from_environment() -> Result<ApiClient> {
        let text = match env::var("OGRT_HTTP") {
            Ok(text) if !text.is_empty() => text,
            Ok(_) | Err(env::VarError::NotPresent) => DEFAULT.to_owned(),
            Err(error) => return Err(anyhow!("OGRT_HTTP: {error}")),
        };
        let base = Url::parse(&text).with_context(|| format!("OGRT_HTTP: {text}"))?;
        ensure!(
            base.scheme() == "http" && base.has_host(),
            "OGRT_HTTP: {text}: expected an address such as {DEFAULT}"
        );
        // See Cargo.toml; told before is told as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("ogrt/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .no_proxy()
            .build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(ApiClient { base, client, runtime })
    }

    /// The build record as the server's JSON text, or `None` when it knows no such build.
    pub fn build(&self, signature: Signature) -> Result<Option<Vec<u8>>> {
        self.get(&["v1", "builds", &signature.to_string()], &[])
    }

    /// The build record, or `None` when the server knows no such build.
    pub fn record(&self, signature: Signature) -> Result<Option<BuildJson>> {
        let Some(body) = self.build(signature)? else { return Ok(None) };
        serde_json::from_slice(&body)
            .map(Some)
            .with_context(|| format!("{}: not a build record", self.address()))
    }

    /// The job's document as the server's JSON text, or `None` when it knows no such job.
    pub fn job(&self, job_id: &str) -> Result<Option<Vec<u8>>> {
        ensure!(!matches!(job_id, "" | "." | ".."), "{job_id:?}: not a job id");
        self.get(&["v1", "jobs", job_id], &[])
    }

    /// Registers an installation, with the token of OGRT_TOKEN_FILE; it is durable when this returns.
    pub fn register(&self, installation: &Installation) -> Result<()> {
        let url = self.url(&["v1", "installations"]);
        let body = installation.encode_to_vec();
        let token_file = non_empty("OGRT_TOKEN_FILE").map(PathBuf::from);
        let token = token_file.as_deref().map(read_token).transpose()?;
        let request = |client: &Client| {
            let request = client.post(url).body(body);
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        };
        match self.wait(request)? {
            Some(_) => Ok(()),
            None => {
                bail!("{}: knows nothing of installations; is it older than this program?", self.address())
            }
        }
    }

    /// An answer as a whole, or `None` when nothing is known of what it asks about.
    pub fn answer_to(&self, path: &[&str], question: &[(&str, String)]) -> Result<Option<Value>> {
        let Some(body) = self.get(path, question)? else { return Ok(None) };
        serde_json::from_slice(&body).map(Some).with_context(|| self.address().to_owned())
    }

    /// The elements of a list that the server gives in pages, until there are `limit` of them.
    ///
    /// The answer is that of the last page, with all elements under `key`; `next` is there when there are more.
    pub fn list(
        &self,
        path: &[&str],
        question: &[(&str, String)],
        key: &str,
        limit: usize,
    ) -> Result<Option<Value>> {
        let mut elements = Vec::new();
        let mut cursor = None;
        loop {
            let mut page_question = question.to_vec();
            page_question.push(("limit", (limit - elements.len()).min(PAGE).to_string()));
            page_question.extend(cursor.map(|cursor| ("cursor", cursor)));
            let Some(mut page) = self.answer_to(path, &page_question)? else { return Ok(None) };
            let more = page.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
            let more = more.with_context(|| format!("{}: an answer without {key:?}", self.address()))?;
            elements.extend(more);
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || elements.len() >= limit {
                page[key] = Value::Array(elements);
                return Ok(Some(page));
            }
        }
    }

    /// The address, for lines that speak of it.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
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
        // Only an address without a host has no segments, and such a base was refused.
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
                    "no server there ({}); is ogrt-server running, and OGRT_HTTP right?",
                    root_cause(&error)
                )
            } else {
                anyhow!("no answer ({})", root_cause(&error))
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
            _ => bail!("answered {status}, but not as ogrt-server does; is OGRT_HTTP right?"),
        }
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| anyhow!("the answer broke off ({})", root_cause(&error)))?
    {
        ensure!(body.len() + chunk.len() <= BODY_BYTES_MAX, "an answer of more than {BODY_BYTES_MAX} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `Connection refused (os error 111)` out of a chain that repeats the address at every step.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
