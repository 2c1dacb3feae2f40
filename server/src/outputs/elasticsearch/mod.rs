//! Elasticsearch and OpenSearch, over the bulk interface that both have.
//!
//! A document's `_id` is its event's id (with `-end` for an end), and every document is *created*:
//! if it is there already, the answer is a conflict, 409, and counts as done. So it is there once,
//! however often we send it. The date of a dated index is that of receipt by our clock: it is the
//! same when we send again, and a sender cannot choose it. (A data stream looks for the id only in
//! its newest backing index.)

mod bulk;
mod template;

use super::remote::{Document, Http, SendError, SendOutcome, Sink, read_secret, shown};
use crate::{
    config::{ElasticsearchConfig, IndexLayout},
    dates,
};
use anyhow::{Context, Result, anyhow, ensure};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};

/// See the module.
pub struct Elasticsearch {
    config: ElasticsearchConfig,
    nodes: Vec<Url>,
    http: Http,
}

impl Elasticsearch {
    /// Reads the configuration, without connecting.
    pub fn new(config: &ElasticsearchConfig) -> Result<Self> {
        ensure!(!config.urls.is_empty(), "urls is empty: name at least one node");
        let nodes = config.urls.iter().map(|text| {
            let mut url: Url = text.parse().with_context(|| format!("urls: {text}"))?;
            ensure!(matches!(url.scheme(), "http" | "https"), "urls: {text}: expected http or https");
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            Ok(url)
        });
        let nodes = nodes.collect::<Result<_>>()?;
        let http = Http::new(&config.ca_file, config.gzip)?;
        Ok(Elasticsearch { config: config.clone(), nodes, http })
    }

    /// A request to a node, with our credentials. They are read for each request, so that they can
    /// be exchanged.
    fn request(&self, node: usize, method: Method, path: &str) -> Result<RequestBuilder> {
        let url = self.nodes[node].join(path).with_context(|| format!("cannot make a URL of {path}"))?;
        let request = self.http.client.request(method, url);
        if !self.config.api_key_file.as_os_str().is_empty() {
            let key = read_secret(&self.config.api_key_file)?;
            return Ok(request.header(header::AUTHORIZATION, format!("ApiKey {key}")));
        }
        if !self.config.user.is_empty() {
            let password = read_secret(&self.config.password_file)?;
            return Ok(request.basic_auth(&self.config.user, Some(password)));
        }
        Ok(request)
    }
}

impl Sink for Elasticsearch {
    /// The index of the node in use.
    type Worker = usize;

    fn worker(&self, number: usize) -> usize {
        number % self.nodes.len()
    }

    fn renew(&self, node: &mut usize) {
        *node = (*node + 1) % self.nodes.len();
    }

    /// Checks that the node answers, and puts the template there.
    async fn check(&self, node: &mut usize) -> Result<()> {
        let node = *node;
        let request = if self.config.template {
            let path = format!("_index_template/{}", self.config.index);
            let body = template::of(&self.config)?;
            self.request(node, Method::PUT, &path)?
                .header(header::CONTENT_TYPE, "application/json")
                .body(body)
        } else {
            self.request(node, Method::GET, "")?
        };
        let (status, answer) = self.http.send(request).await?;
        ensure!(status.is_success(), "{}: {status}: {}", self.nodes[node], shown(&answer));
        Ok(())
    }

    async fn send(&self, node: &mut usize, documents: &[Document<'_>]) -> SendOutcome {
        let path = "_bulk?filter_path=errors,items.*.status,items.*.error";
        let request =
            self.request(*node, Method::POST, path)?.header(header::CONTENT_TYPE, "application/x-ndjson");
        let body = bulk::body(documents, |document| match self.config.layout {
            IndexLayout::Dated => format!("{}-{}", self.config.index, dates::day(document.received_ns())),
            IndexLayout::DataStream | IndexLayout::Single => self.config.index.clone(),
        })?;
        let (status, answer) = self.http.send(self.http.body(request, body)?).await?;
        let url = &self.nodes[*node];
        match status {
            status if status.is_success() => Ok(bulk::fates(&answer).with_context(|| format!("{url}"))?),
            StatusCode::PAYLOAD_TOO_LARGE => Err(SendError::Split(format!("{url}: {}", shown(&answer)))),
            // The node took nothing of the request: it has too much to do, or refuses our
            // credentials.
            status => Err(anyhow!("{url}: {status}: {}", shown(&answer)).into()),
        }
    }
}
