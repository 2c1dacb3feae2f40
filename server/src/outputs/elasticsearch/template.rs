//! The index template: which indices it is for, and how each key is indexed (`mapping.json`).

use crate::config::{ElasticsearchConfig, IndexLayout};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Higher than the priorities of Elasticsearch's own templates, whose patterns may match, too.
const PRIORITY: u32 = 300;

/// The body of the request that creates the template.
pub fn of(config: &ElasticsearchConfig) -> Result<Vec<u8>> {
    let mappings: Value =
        serde_json::from_str(include_str!("mapping.json")).context("the built-in mapping is not JSON")?;
    let pattern = match config.layout {
        IndexLayout::Dated => format!("{}-*", config.index),
        IndexLayout::DataStream | IndexLayout::Single => config.index.clone(),
    };
    let mut template = json!({
        "index_patterns": [pattern],
        "priority": PRIORITY,
        "template": {
            // If a hostile client sends a number that does not fit, that field alone is not
            // indexed.
            "settings": { "index.mapping.ignore_malformed": true },
            "mappings": mappings,
        },
        "_meta": { "description": "documents of ogrt-server" },
    });
    if config.layout == IndexLayout::DataStream {
        template["data_stream"] = json!({});
    }
    serde_json::to_vec(&template).context("cannot write the index template as JSON")
}
