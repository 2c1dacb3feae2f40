//! Splunk's HTTP Event Collector: documents are events, sent with a token and acknowledged by the
//! indexers.
//!
//! Splunk has no ids that would keep it from storing a document twice. With acknowledgements
//! (`acknowledge`, the default) nothing is lost, but after a failure a document may be there twice,
//! with the same `event_id` and `type`. Requests and answers have the form that Splunk's manual
//! describes in "Set up and use HTTP Event Collector".

use super::remote::{Document, Fate, Http, SendError, SendOutcome, Sink, read_secret, shown};
use crate::config::SplunkHecConfig;
use anyhow::{Context, Result, anyhow, ensure};
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::json;
use std::{collections::HashMap, io::Write, time::Duration};
use tokio::time::sleep;

/// How often we ask whether the indexers have a request.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Codes of answers that mean a fault in an event: invalid format, no event, blank event, error in
/// fields.
const CODES_OF_EVENTS: [u32; 4] = [6, 12, 13, 15];

/// See the module.
pub struct SplunkHec {
    config: SplunkHecConfig,
    url: Url,
    http: Http,
}

#[derive(Deserialize)]
struct HecAnswer {
    #[serde(default)]
    code: u32,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
}

#[derive(Deserialize)]
struct HecAcknowledgements {
    acks: HashMap<String, bool>,
}

impl SplunkHec {
    /// Reads the configuration, without connecting.
    pub fn new(config: &SplunkHecConfig) -> Result<Self> {
        let url: Url = config.url.parse().with_context(|| format!("url = \"{}\"", config.url))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "url = \"{}\": expected http or https", config.url);
        Ok(SplunkHec { config: config.clone(), url, http: Http::new(&config.ca_file, config.gzip)? })
    }

    fn request(&self, method: Method, path: &str, channel: &str) -> Result<RequestBuilder> {
        let url = self.url.join(path).with_context(|| format!("no path: {path}"))?;
        let token = read_secret(&self.config.token_file)?;
        let request = self.http.client.request(method, url);
        let request = request.header(header::AUTHORIZATION, format!("Splunk {token}"));
        Ok(request.header("x-splunk-request-channel", channel))
    }

    /// The body of a request: one object after the other, one for each document.
    fn body(&self, documents: &[Document<'_>]) -> Result<Vec<u8>> {
        let mut about = json!({ "source": self.config.source, "sourcetype": self.config.sourcetype });
        if !self.config.index.is_empty() {
            about["index"] = self.config.index.as_str().into();
        }
        let about = about.to_string();
        let mut body = Vec::new();
        for document in documents {
            let time_ms = document.time_ns().max(0) / 1_000_000;
            write!(body, r#"{{"time":{}.{:03},"#, time_ms / 1000, time_ms % 1000)?;
            body.extend_from_slice(&about.as_bytes()[1..about.len() - 1]);
            body.extend_from_slice(b",\"event\":");
            body.extend_from_slice(document.json());
            body.extend_from_slice(b"}\n");
        }
        Ok(body)
    }

    /// Waits until the indexers have the request; the caller bounds how long.
    async fn wait_for(&self, ack_id: u64, channel: &str) -> Result<()> {
        loop {
            let request =
                self.request(Method::POST, &format!("services/collector/ack?channel={channel}"), channel)?;
            let request = request.json(&json!({ "acks": [ack_id] }));
            let (status, answer) = self.http.send(request).await?;
            ensure!(
                status.is_success(),
                "{}: cannot ask for an acknowledgement: {status}: {}",
                self.url,
                shown(&answer)
            );
            let answer: HecAcknowledgements = serde_json::from_slice(&answer)
                .context("the answer about an acknowledgement is not that of Splunk")?;
            if answer.acks.get(&ack_id.to_string()) == Some(&true) {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
    }
}

impl Sink for SplunkHec {
    /// The channel, in which acknowledgements are counted.
    type Worker = String;

    fn worker(&self, _: usize) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn renew(&self, channel: &mut String) {
        *channel = self.worker(0);
    }

    async fn check(&self, channel: &mut String) -> Result<()> {
        let request = self.request(Method::GET, "services/collector/health", channel)?;
        let (status, answer) = self.http.send(request).await?;
        ensure!(status.is_success(), "{}: {status}: {}", self.url, shown(&answer));
        Ok(())
    }

    async fn send(&self, channel: &mut String, documents: &[Document<'_>]) -> SendOutcome {
        let request = self.request(Method::POST, "services/collector/event", channel)?;
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let (status, answer) = self.http.send(self.http.body(request, self.body(documents)?)?).await?;
        let said = format!("{}: {status}: {}", self.url, shown(&answer));
        let answer = serde_json::from_slice::<HecAnswer>(&answer);
        match (status, answer) {
            (StatusCode::OK, Ok(HecAnswer { ack_id: Some(ack_id), .. })) if self.config.acknowledge => {
                self.wait_for(ack_id, channel).await?;
            }
            (StatusCode::OK, Ok(_)) if self.config.acknowledge => {
                let why = "the token has no indexer acknowledgement: switch it on in Splunk, or set acknowledge = false";
                return Err(anyhow!("{said}: {why}").into());
            }
            (StatusCode::OK, Ok(_)) => {}
            (StatusCode::PAYLOAD_TOO_LARGE, _) => return Err(SendError::Split(said)),
            (StatusCode::BAD_REQUEST, Ok(HecAnswer { code, .. })) if CODES_OF_EVENTS.contains(&code) => {
                return Err(SendError::Split(said));
            }
            _ => return Err(anyhow!(said).into()),
        }
        Ok(vec![Fate::Done; documents.len()])
    }
}
