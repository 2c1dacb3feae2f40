//! `ogrt export --format slsa`: an in-toto Statement v1 with SLSA provenance v1.
//!
//! Sources: in-toto/attestation `spec/v1/statement.md` and `digest_set.md`,
//! slsa.dev/spec/v1.0/provenance. The subject's name and each dependency's `uri` are purls: a
//! library has the same one where it was built and where it went in, and GUAC joins by that. Tools
//! are the builder's own dependencies, since nobody took their digests.

use crate::{
    build_with_origins::BuildWithOrigins,
    format::purl::{self, base_name},
};
use ogrt_answers::utc;
use ogrt_proto::{FileJson, ToolJson};
use serde_json::{Map, Value, json};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// The build type. docs/exports.md says what its `externalParameters` mean.
const BUILD_TYPE: &str = "urn:ogrt:link:v1";

/// The statement.
pub fn text(with_origins: &BuildWithOrigins) -> serde_json::Result<String> {
    let build = &with_origins.build;
    let output = build.output.clone().unwrap_or_default();
    let version = build.client.split_once(' ').map_or(("ogrt-ld", ""), |(name, version)| (name, version));
    let dependencies: Vec<Value> = build.inputs.iter().map(|input| dependency(with_origins, input)).collect();
    let tools: Vec<Value> = [&build.driver, &build.linker].into_iter().flatten().map(tool).collect();
    let statement = json!({
        "_type": STATEMENT,
        "subject": [{ "name": purl::of(&output, Some(&build.metadata)), "digest": digest(&output) }],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "workingDirectory": build.working_directory,
                    "driverCommand": build.driver_command,
                    "linkerCommand": build.linker_command,
                    "package": build.metadata,
                },
                "internalParameters": {
                    "signature": build.signature,
                    "user": build.username.clone().or(build.uid.map(|uid| uid.to_string())),
                    "loadedModules": build.loaded_modules,
                    "compilers": build.compilers,
                    "gitCommit": build.git_commit,
                    "reproducible": build.reproducible,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": format!("urn:ogrt:host:{}", build.hostname),
                    "version": { version.0: version.1 },
                    "builderDependencies": tools,
                },
                "metadata": {
                    "invocationId": format!("urn:uuid:{}", build.signature),
                    "startedOn": utc::from_nanoseconds(build.time_ns),
                    "finishedOn": utc::from_nanoseconds(
                        build.time_ns.saturating_add(i64::try_from(build.duration_ns).unwrap_or(0))
                    ),
                },
            },
        },
    });
    Ok(serde_json::to_string_pretty(&statement)? + "\n")
}

/// An input as a ResourceDescriptor.
fn dependency(with_origins: &BuildWithOrigins, input: &FileJson) -> Value {
    let origin = input.signatures.iter().find_map(|signature| with_origins.origins.get(signature));
    let mut annotations = Map::new();
    annotations.insert("path".into(), input.path.clone().into());
    annotations.insert("kind".into(), input.kind.clone().into());
    if !input.signatures.is_empty() {
        annotations.insert("signatures".into(), input.signatures.clone().into());
    }
    let mut descriptor = json!({
        "name": base_name(&input.path),
        "uri": purl::of(input, origin.map(|build| &build.metadata)),
        "annotations": annotations,
    });
    if !input.sha256.is_empty() {
        descriptor["digest"] = digest(input);
    }
    descriptor
}

fn digest(file: &FileJson) -> Value {
    let mut digest = json!({ "sha256": file.sha256 });
    if let Some(gitoid) = &file.gitoid {
        digest["gitBlob"] = gitoid.clone().into();
    }
    digest
}

fn tool(tool: &ToolJson) -> Value {
    json!({
        "name": base_name(&tool.path),
        "uri": format!("file://{}", tool.path),
        "annotations": { "version": tool.version },
    })
}
