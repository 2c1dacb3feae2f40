//! What an unregistered file is, in a few words: the software, and how far that is known.

use crate::json_field::text;
use serde_json::Value;

/// The name of a file that the server explains, such as `coreutils 9.1-1 (dpkg)`; empty where it
/// does not.
pub fn learned_name(file: &Value) -> String {
    let software = ["software", "version"].map(|key| text(file, key)).join(" ");
    let by = match (text(file, "packager"), file["content"].as_str()) {
        (_, _) if software.trim().is_empty() => return String::new(),
        (by, None) => by,
        (by, Some(content)) => format!("{by}, by build-id alone, content {content}"),
    };
    format!("{} ({by})", software.trim())
}

/// What a file resembles, such as `resembles LAMMPS 2023.08 (0.61)`; empty where it resembles
/// nothing.
pub fn resemblance(resembles: &Value) -> String {
    let software = ["software", "version"].map(|key| text(resembles, key)).join(" ");
    match software.trim() {
        "" => String::new(),
        software => format!("resembles {software} ({:.2})", resembles["score"].as_f64().unwrap_or(0.0)),
    }
}

/// The name of a program that nobody registered, or else what it resembles.
pub fn name_or_resemblance(program: &Value) -> String {
    let name = learned_name(program);
    if name.is_empty() { resemblance(&program["resembles"]) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_says_how_far_it_is_known() {
        let mut file = json!({ "software": "coreutils", "version": "9.1-1", "packager": "dpkg" });
        assert_eq!(learned_name(&file), "coreutils 9.1-1 (dpkg)");
        file["content"] = "not checked".into();
        assert_eq!(learned_name(&file), "coreutils 9.1-1 (dpkg, by build-id alone, content not checked)");
        assert_eq!(learned_name(&json!({ "software": "VASP", "packager": "rule" })), "VASP (rule)");
        assert_eq!(learned_name(&json!({ "binpath": "/a" })), "");
    }
}
