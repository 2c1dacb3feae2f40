//! A build record together with the records of the builds that its inputs came from.

use crate::api_client::ApiClient;
use anyhow::Result;
use ogrt_proto::BuildJson;
use std::collections::BTreeMap;

/// A build record, and the records of the builds that its inputs came from.
pub struct BuildWithOrigins {
    pub build: BuildJson,
    /// The records by signature. A build that nobody registered is missing.
    pub origins: BTreeMap<String, BuildJson>,
}

/// Fetches the record of each build that the inputs name.
pub fn fetch_with_origins(server: &ApiClient, build: BuildJson) -> Result<BuildWithOrigins> {
    let mut origins = BTreeMap::new();
    for signature in build.inputs.iter().flat_map(|input| &input.signatures) {
        if origins.contains_key(signature) {
            continue;
        }
        if let Some(origin) =
            signature.parse().ok().map(|parsed| server.record(parsed)).transpose()?.flatten()
        {
            origins.insert(signature.clone(), origin);
        }
    }
    Ok(BuildWithOrigins { build, origins })
}
