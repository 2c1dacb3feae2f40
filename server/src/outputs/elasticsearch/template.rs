//! The index template: which documents it is for, and how each key is indexed (`mapping.json`).

use crate::config::{ElasticsearchConfig, IndexLayout};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Above what Elasticsearch brings for names of the same beginning.
const PRIORITY: u32 = 300;

/// The body of a request that puts the template there.
pub fn of(config: &ElasticsearchConfig) -> Result<Vec<u8>> {
    let mappings: Value =
        serde_json::from_str(include_str!("mapping.json")).context("the mapping that is built in")?;
    let pattern = match config.layout {
        IndexLayout::Dated => format!("{}-*", config.index),
        IndexLayout::DataStream | IndexLayout::Single => config.index.clone(),
    };
    let mut template = json!({
        "index_patterns": [pattern],
        "priority": PRIORITY,
        "template": {
            // A number that a hostile client sent and that does not fit is left unindexed, not the document.
            "settings": { "index.mapping.ignore_malformed": true },
            "mappings": mappings,
        },
        "_meta": { "description": "documents of ogrt-server" },
    });
    if config.layout == IndexLayout::DataStream {
        template["data_stream"] = json!({});
    }
    serde_json::to_vec(&template).context("the template")
}
