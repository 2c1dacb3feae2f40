//! `ogrt export --format cyclonedx`: CycloneDX 1.6 as JSON.
//!
//! Source: cyclonedx.org/docs/1.6/json. The output is what the BOM is about, its inputs are the
//! components. The serial number is the build's signature: the same build gives the same BOM.

use crate::{
    build_with_origins::BuildWithOrigins,
    format::purl::{self, base_name},
};
use ogrt_answers::utc;
use ogrt_proto::{FileJson, MetadataJson};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The BOM.
pub fn text(with_origins: &BuildWithOrigins) -> serde_json::Result<String> {
    let build = &with_origins.build;
    let output = build.output.clone().unwrap_or_default();
    let mut about = component(&output, Some(&build.metadata), "output".into());
    let facts = [
        ("ogrt:signature", Some(build.signature.clone())),
        ("ogrt:host", Some(build.hostname.clone())),
        ("ogrt:user", build.username.clone().or(build.uid.map(|uid| uid.to_string()))),
        ("ogrt:linker", build.linker.as_ref().map(|tool| format!("{} {}", tool.path, tool.version))),
        ("ogrt:driver", build.driver.as_ref().map(|tool| format!("{} {}", tool.path, tool.version))),
        ("ogrt:driver-command", Some(build.driver_command.join(" "))),
        ("ogrt:linker-command", Some(build.linker_command.join(" "))),
    ];
    let mut properties: Vec<Value> = facts
        .into_iter()
        .filter_map(|(name, value)| Some(property(name, value.filter(|value| !value.is_empty())?)))
        .collect();
    properties.extend(build.compilers.iter().map(|c| property("ogrt:compiler", c.producer.clone())));
    about["properties"] = properties.into();

    let mut components = Vec::new();
    let mut references = BTreeSet::new();
    for (index, input) in build.inputs.iter().enumerate() {
        let origin = input.signatures.iter().find_map(|signature| with_origins.origins.get(signature));
        let reference = format!("input-{index}");
        let mut component = component(input, origin.map(|build| &build.metadata), reference.clone());
        let mut properties = vec![property("ogrt:kind", input.kind.clone())];
        properties.extend(input.signatures.iter().map(|text| property("ogrt:signature", text.clone())));
        component["properties"] = properties.into();
        components.push(component);
        references.insert(reference);
    }
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", build.signature),
        "version": 1,
        "metadata": {
            "timestamp": utc::from_nanoseconds(build.time_ns),
            "lifecycles": [{ "phase": "build" }],
            "tools": { "components": [{
                "type": "application", "name": "ogrt", "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": about,
        },
        "components": components,
        "dependencies": [{ "ref": "output", "dependsOn": references }],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn component(file: &FileJson, metadata: Option<&MetadataJson>, reference: String) -> Value {
    let name = metadata.and_then(|metadata| metadata.name.clone());
    let mut component = json!({
        "type": match file.kind.as_str() {
            "executable" => "application",
            "shared_library" | "archive" => "library",
            _ => "file",
        },
        "bom-ref": reference,
        "name": name.unwrap_or_else(|| base_name(&file.path).to_owned()),
        "purl": purl::of(file, metadata),
        "evidence": { "occurrences": [{ "location": file.path }] },
    });
    if let Some(version) = metadata.and_then(|metadata| metadata.version.clone()) {
        component["version"] = version.into();
    }
    if !file.sha256.is_empty() {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": file.sha256 }]);
    }
    if let Some(gitoid) = &file.gitoid {
        component["omniborId"] = json!([format!("gitoid:blob:sha256:{gitoid}")]);
    }
    component
}

fn property(name: &str, value: String) -> Value {
    json!({ "name": name, "value": value })
}
