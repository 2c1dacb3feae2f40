//! `ogrt export --format spdx`: SPDX 2.3 as JSON.
//!
//! Source: spdx.github.io/spdx-spec/v2.3. The output and its inputs are packages, not files: a file
//! must have a SHA-1 there, and a record has SHA-256. How an input went in is told by its
//! relationship.

use crate::{
    build_with_origins::BuildWithOrigins,
    format::purl::{self, base_name},
};
use ogrt_answers::utc;
use ogrt_proto::{FileJson, MetadataJson};
use serde_json::{Value, json};
use std::time::SystemTime;

const OUTPUT: &str = "SPDXRef-Output";

/// The document.
pub fn text(with_origins: &BuildWithOrigins) -> serde_json::Result<String> {
    let build = &with_origins.build;
    let output = build.output.clone().unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut packages = vec![package(OUTPUT, &output, Some(&build.metadata))];
    packages[0]["builtDate"] = utc::from_nanoseconds(build.time_ns).into();
    packages[0]["comment"] = format!("OGRT signature {}", build.signature).into();
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", OUTPUT)];
    for (index, input) in build.inputs.iter().enumerate() {
        let id = format!("SPDXRef-Input-{index}");
        let origin = input.signatures.iter().find_map(|signature| with_origins.origins.get(signature));
        packages.push(package(&id, input, origin.map(|build| &build.metadata)));
        let how = match input.kind.as_str() {
            "shared_library" => "DYNAMIC_LINK",
            "archive" => "STATIC_LINK",
            _ => "GENERATED_FROM",
        };
        relationships.push(relationship(OUTPUT, how, &id));
    }
    for (role, tool) in [("Driver", &build.driver), ("Linker", &build.linker)] {
        let Some(tool) = tool else { continue };
        let id = format!("SPDXRef-{role}");
        let file = FileJson { path: tool.path.clone(), ..FileJson::default() };
        let mut package = package(&id, &file, None);
        package["comment"] = tool.version.clone().into();
        packages.push(package);
        relationships.push(relationship(&id, "BUILD_TOOL_OF", OUTPUT));
    }
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": base_name(&output.path),
        "documentNamespace": format!("urn:uuid:{}", build.signature),
        "creationInfo": {
            "created": utc::from_seconds(i64::try_from(now).unwrap_or(i64::MAX)),
            "creators": [format!("Tool: ogrt-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn package(id: &str, file: &FileJson, metadata: Option<&MetadataJson>) -> Value {
    let name = metadata.and_then(|metadata| metadata.name.clone());
    let mut package = json!({
        "SPDXID": id,
        "name": name.unwrap_or_else(|| base_name(&file.path).to_owned()),
        "packageFileName": file.path,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": match file.kind.as_str() {
            "executable" => "APPLICATION",
            "shared_library" | "archive" => "LIBRARY",
            _ => "FILE",
        },
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl::of(file, metadata),
        }],
    });
    if let Some(version) = metadata.and_then(|metadata| metadata.version.clone()) {
        package["versionInfo"] = version.into();
    }
    if !file.sha256.is_empty() {
        package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": file.sha256 }]);
    }
    if let Some(gitoid) = &file.gitoid
        && let Some(references) = package["externalRefs"].as_array_mut()
    {
        references.push(json!({
            "referenceCategory": "PERSISTENT-ID",
            "referenceType": "gitoid",
            "referenceLocator": format!("gitoid:blob:sha256:{gitoid}"),
        }));
    }
    package
}

fn relationship(from: &str, how: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": how, "relatedSpdxElement": to })
}
