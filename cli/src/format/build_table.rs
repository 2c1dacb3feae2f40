//! `ogrt query` for people: who, when, where, with what, from what.

use crate::format::sheet::Sheet;
use ogrt_answers::utc;
use ogrt_proto::{BuildJson, KERNEL, MetadataJson, ToolJson};

/// One build record.
pub fn text(build: &BuildJson) -> String {
    let mut sheet = Sheet::new();
    sheet.line("signature", build.signature.clone());
    add_metadata(&mut sheet, &MetadataJson { time: None, ..build.metadata.clone() });
    sheet.line("linked", utc::from_nanoseconds(build.time_ns));
    sheet.line("duration", format!("{:.1} ms", build.duration_ns as f64 / 1e6));
    sheet.line("host", build.hostname.clone());
    sheet.line("user", user(build));
    sheet.line("claimed user", claimed_user(build));
    sheet.line("registered by", registered_by(build));
    sheet.line("directory", build.working_directory.clone());
    sheet.line("driver", build.driver.as_ref().map(tool));
    sheet.line("driver command", build.driver_command.join(" "));
    sheet.line("linker", build.linker.as_ref().map(tool));
    sheet.line("linker command", build.linker_command.join(" "));
    for compiler in &build.compilers {
        sheet.line("compiled by", format!("{} ({} inputs)", compiler.producer, compiler.inputs));
    }
    sheet.line("modules", build.loaded_modules.join(" "));
    for (key, value) in &build.extra {
        sheet.line(key, value.clone());
    }
    sheet.line("git commit", build.git_commit.clone());
    if let Some(output) = &build.output {
        sheet.line("output", format!("{} ({}, {} bytes)", output.path, output.kind, output.size));
        sheet.line("sha256", output.sha256.clone());
        sheet.line("build-id", output.build_id.clone());
        sheet.line("machine", output.machine.clone());
    }
    sheet.line("reproducible", build.reproducible.then(|| "yes".to_owned()));
    if !build.marked {
        let reason = build.unmarked_reason.as_deref().unwrap_or("the reason is not known");
        sheet.line("note", format!("none: {reason}"));
    }
    sheet.line("recorded by", build.client.clone());
    sheet.text() + &inputs(build)
}

/// Adds the lines that a note and a record have in common.
pub fn add_metadata(sheet: &mut Sheet, metadata: &MetadataJson) {
    sheet.line("name", metadata.name.clone());
    sheet.line("version", metadata.version.clone());
    sheet.line("version suffix", metadata.version_suffix.clone());
    sheet.line("toolchain", metadata.toolchain.clone());
    sheet.line("package manager", metadata.package_manager.clone());
    sheet.line("package", metadata.package_id.clone());
    sheet.line("module", metadata.module.clone());
    sheet.line("builder", metadata.builder.clone());
    sheet.line("built", metadata.time.map(utc::from_seconds));
    sheet.line("compiler", metadata.compiler.clone());
}

/// The user's name and uid, as far as they are known, and that the record only claims them.
pub fn user(build: &BuildJson) -> Option<String> {
    let user = named(build.username.as_deref(), build.uid)?;
    Some(if build.identity == KERNEL { user } else { format!("{user} (claimed)") })
}

/// The user that the record claims, where the kernel told of another.
fn claimed_user(build: &BuildJson) -> Option<String> {
    named(build.claimed_username.as_deref(), build.claimed_uid)
}

fn named(name: Option<&str>, uid: Option<u32>) -> Option<String> {
    match (name, uid) {
        (Some(name), Some(uid)) => Some(format!("{name} (uid {uid})")),
        (Some(name), None) => Some(name.to_owned()),
        (None, uid) => uid.map(|uid| format!("uid {uid}")),
    }
}

/// Who registered it, and the relays that it came through.
fn registered_by(build: &BuildJson) -> Option<String> {
    let with = match build.registered_with.as_deref() {
        Some(with @ ("token" | "certificate")) => format!("{with} "),
        _ => String::new(),
    };
    let by = build.registered_by.as_ref().map(|by| format!("{with}{by}"));
    match (by, &build.via) {
        (Some(by), Some(via)) => Some(format!("{by}, via {via}")),
        (None, Some(via)) => Some(format!("via {via}")),
        (by, None) => by,
    }
}

fn tool(tool: &ToolJson) -> String {
    if tool.version.is_empty() { tool.path.clone() } else { format!("{} ({})", tool.path, tool.version) }
}

/// The kind, digest and path of each input, and the builds that it came from.
fn inputs(build: &BuildJson) -> String {
    if build.inputs.is_empty() {
        return String::new();
    }
    let mut sheet = Sheet::new();
    for input in &build.inputs {
        let digest = if input.sha256.is_empty() { "unread" } else { &input.sha256 };
        let origin = match input.signatures.as_slice() {
            [] => input.path.clone(),
            builds => format!("{} <- {}", input.path, builds.join(" ")),
        };
        sheet.columns([input.kind.clone(), digest.to_owned(), origin]);
    }
    format!("\n{}{}", Sheet::heading(&format!("{} inputs", build.inputs.len())), sheet.text())
}
