//! Keys that had another name before 1.0. A configuration with an old name is refused, and told the
//! new one.

use super::source::Source;

/// Tables with the old and the new name of a key in them; "" is the top level.
const RENAMED: &[(&str, &str, &str)] = &[
    ("", "log", "log_level"),
    ("", "stop_within", "stop_timeout"),
    ("receive", "tick", "poll_every"),
    ("receive", "idle_tick", "idle_poll_every"),
    ("receive", "message_max", "message_bytes_max"),
    ("receive", "pending_max", "pending_bytes_max"),
    ("queue", "full", "when_full"),
    ("registry", "ca", "ca_file"),
    ("registry", "cache", "cached_builds_max"),
    ("join", "forget", "wait_again_after"),
    ("jobs", "answer_max", "answer_processes_max"),
    ("uses", "images_max", "programs_max"),
    ("limit", "per_job", "events_per_second"),
    ("limit", "burst", "burst_events"),
    ("access", "tokens", "tokens_file"),
    ("tls", "certificate", "certificate_file"),
    ("tls", "key", "key_file"),
    ("tls", "client_authorities", "client_ca_file"),
];

/// Types of outputs that send over a network.
const SENDING: &[&str] = &["elasticsearch", "json_tcp", "splunk_hec", "kafka", "ogrt"];

/// Types of outputs with the old and the new name of a key of theirs.
const RENAMED_IN_OUTPUTS: &[(&[&str], &str, &str)] = &[
    (SENDING, "pause_max", "backoff_max"),
    (SENDING, "dead_letters_max", "dead_letters_bytes_max"),
    (&["kafka"], "make_partitions", "create_partitions"),
];

/// Each old name in the file with its line and its new name, on one line of text; `None` if there
/// is none.
pub fn old_names(source: &Source<'_>) -> Option<String> {
    let mut found = Vec::new();
    for key in source.keys() {
        let (name, table) = key.path.split_last()?;
        let new = match table {
            ["outputs", output] => {
                let kind = source.text_at(&["outputs", output, "type"]);
                let mut all = RENAMED_IN_OUTPUTS.iter();
                all.find(|(kinds, old, _)| old == name && kind.is_some_and(|kind| kinds.contains(&kind)))
                    .map(|(_, _, new)| *new)
            }
            _ => {
                let table = table.join(".");
                RENAMED.iter().find(|(of, old, _)| *of == table && old == name).map(|(_, _, new)| *new)
            }
        };
        if let Some(new) = new {
            let new = [table, &[new]].concat().join(".");
            found.push((key.line, format!("line {}: \"{}\" is called \"{new}\" now", key.line, key.name())));
        }
    }
    found.sort();
    let lines: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn told(text: &str) -> Option<String> {
        old_names(&Source::parse(text).unwrap())
    }

    #[test]
    fn every_new_name_is_a_key_and_no_old_one_is() {
        let text = Config::documented_with_examples();
        let source = Source::parse(&text).unwrap();
        let is_key = |path: &[&str]| source.keys().iter().any(|key| key.path == path);
        assert!(is_key(&["outputs", "null", "type"]), "{text}");
        let in_outputs = RENAMED_IN_OUTPUTS
            .iter()
            .flat_map(|(kinds, old, new)| kinds.iter().map(move |kind| (vec!["outputs", *kind], *old, *new)));
        let in_tables = RENAMED.iter().map(|(table, old, new)| {
            (table.split('.').filter(|table| !table.is_empty()).collect(), *old, *new)
        });
        for (table, old, new) in in_tables.chain(in_outputs) {
            assert!(is_key(&[&table[..], &[new]].concat()), "{table:?} has no {new}");
            assert!(!is_key(&[&table[..], &[old]].concat()), "{table:?} still has {old}");
        }
    }

    #[test]
    fn an_old_name_is_told_with_its_line_and_the_new_one() {
        assert_eq!(told("listen = \"\"\n[uses]\nprograms_max = 1\n"), None);
        for (text, expected) in [
            ("# old\nlog = \"info\"\n", "line 2: \"log\" is called \"log_level\" now"),
            ("[uses]\n\nimages_max = 1\n", "line 3: \"uses.images_max\" is called \"uses.programs_max\" now"),
            ("uses.images_max = 1\n", "line 1: \"uses.images_max\" is called \"uses.programs_max\" now"),
            (
                "[outputs.a]\npause_max = \"1s\"\ntype = \"kafka\"\nmake_partitions = 3\n",
                "line 2: \"outputs.a.pause_max\" is called \"outputs.a.backoff_max\" now; \
                 line 4: \"outputs.a.make_partitions\" is called \"outputs.a.create_partitions\" now",
            ),
        ] {
            assert_eq!(told(text).as_deref(), Some(expected), "{text}");
        }
        // An output of a type that never had the key does not have the new one either.
        assert_eq!(told("[outputs.a]\ntype = \"file\"\npause_max = \"1s\"\n"), None);
    }
}
