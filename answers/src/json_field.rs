//! Values out of the server's JSON, as tables show them. A missing value is empty.

use crate::utc;
use ogrt_proto::KERNEL;
use serde_json::Value;

/// The text or number under `key`.
pub fn text(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The number under `key`; 0 where there is none.
pub fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or(0)
}

/// The point in time (nanoseconds of Unix time) under `key`.
pub fn time(object: &Value, key: &str) -> String {
    object[key].as_i64().filter(|ns| *ns > 0).map(utc::from_nanoseconds).unwrap_or_default()
}

/// The texts in the list under `key`, with spaces between them.
pub fn words(object: &Value, key: &str) -> String {
    let words = object[key].as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// The job's id, with its cluster in front where it is known: as `ogrt job` takes it.
pub fn job_name(object: &Value) -> String {
    let cluster = text(object, "cluster");
    let job_id = text(object, "job_id");
    if cluster.is_empty() { job_id } else { format!("{cluster}/{job_id}") }
}

/// The name, version and version suffix of a build.
pub fn software(build: &Value) -> String {
    let parts = ["name", "version", "version_suffix"].map(|key| text(build, key));
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
}

/// The warning about an answer that lacks what its server received last.
pub fn behind(answer: &Value) -> String {
    let until = time(answer, "counted_until_ns");
    format!("the server is behind: what it received after {until} is not in this answer; ask again later")
}

/// How a process ended, where that is known and was not an exit with status 0.
pub fn ending(process: &Value) -> String {
    let end = &process["end"];
    match end["ended_by"].as_str() {
        Some("exit") if number(end, "exit_status") == 0 => String::new(),
        Some("exit") => format!("exit {}", number(end, "exit_status")),
        Some("signal") if end["oom_killed"] == true => {
            format!("signal {}, out of memory", number(end, "signal"))
        }
        Some("signal") if end["core_dumped"] == true => format!("signal {}, core", number(end, "signal")),
        Some("signal") => format!("signal {}", number(end, "signal")),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

/// The user of a build or process: the name, or the uid where no name is known. One that is not
/// proved is said to be claimed.
pub fn user(object: &Value) -> String {
    let name = text(object, "username");
    let user = if name.is_empty() { text(object, "uid") } else { name };
    if user.is_empty() || object["identity"] == KERNEL { user } else { format!("{user} (claimed)") }
}
