//! Documents name only paths and commands that exist.

use crate::project::{fail_if_any, root, with_extension};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The documents that people read: those of the project's folder and of `docs/`, and the READMEs of
/// its rooms.
pub fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = with_extension("md");
    documents.retain(|(path, _)| {
        path.components().count() == 1 || path.starts_with("docs") || path.ends_with("README.md")
    });
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        assert!(documents.iter().any(|(path, _)| path == Path::new(name)), "no {name}");
    }
    documents
}

/// What stands between backquotes on a line, and each line of a fenced or indented block as a
/// whole.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push((index + 1, line.trim().to_owned()));
        }
        if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (index + 1, code.to_owned())));
        }
    }
    found
}

/// Looks like a path of this project: plain characters, and its first part is something in the
/// project's folder.
fn is_path(word: &str, top: &BTreeSet<String>) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./+".contains(c));
    let first = word.split('/').next().unwrap_or_default();
    plain && top.contains(first) && (word.contains('/') || first.contains('.'))
}

#[test]
fn every_path_in_a_document_exists() {
    let top: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut offenders = Vec::new();
    let mut checked = 0;
    for (document, text) in documents() {
        for (line, code) in code(&text) {
            for word in code.split_whitespace().filter(|word| is_path(word, &top)) {
                checked += 1;
                // `target` is cargo's: named, and not there in a fresh clone.
                if !word.starts_with("target/") && !root().join(word).exists() {
                    offenders.push(format!("{}:{line}: {word}", document.display()));
                }
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") {
                checked += 1;
                if !root().join(&document).with_file_name(path).exists() {
                    offenders.push(format!("{}: link to {path}", document.display()));
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} paths found: the search itself is broken");
    fail_if_any("paths named in documents", &offenders);
}

#[test]
fn every_command_in_a_document_exists() {
    let mut offenders = Vec::new();
    let mut checked = BTreeSet::new();
    for (document, text) in documents() {
        for (line, code) in code(&text) {
            if let Some((command, complaint)) = check(&words(&code)) {
                checked.insert(command);
                offenders
                    .extend(complaint.map(|what| format!("{}:{line}: {code}: {what}", document.display())));
            }
        }
    }
    for command in ["cargo xtask demo", "ogrt job", "ogrt verify-attestation", "ogrt-server"] {
        assert!(checked.contains(command), "{command} is in no document: the search itself is broken");
    }
    fail_if_any("commands named in documents", &offenders);
}

/// The words of the first command on a line: without a prompt, variables before it, pipes and
/// comments behind it.
fn words(code: &str) -> Vec<&str> {
    let words = code.split_whitespace();
    let is_variable = |word: &&str| {
        *word == "$"
            || word.split('=').next().is_some_and(|name| {
                word.contains('=') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            })
    };
    let words = words.skip_while(is_variable);
    words
        .take_while(|word| !matches!(*word, "|" | "||" | "&&" | ";" | "&" | "#" | ">" | ">>" | "<"))
        .collect()
}

/// The command that the words name, and what is wrong with them. `None` when they are no command of
/// ours.
fn check(words: &[&str]) -> Option<(String, Option<String>)> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let (command, source, options) = match *words {
        ["cargo", "xtask", chore, ref options @ ..] if is_word(chore) => {
            let help = Command::new(env!("CARGO_BIN_EXE_xtask")).args([chore, "--help"]).output().unwrap();
            let help = help.status.success().then(|| String::from_utf8(help.stdout).unwrap());
            (format!("cargo xtask {chore}"), help, options)
        }
        // Each command is one file, each option a field in it.
        ["ogrt", command, ref options @ ..] if is_word(command) => {
            let file = format!("cli/src/commands/{}.rs", command.replace('-', "_"));
            (format!("ogrt {command}"), fs::read_to_string(root().join(file)).ok(), options)
        }
        ["ogrt-server", ref options @ ..] => {
            ("ogrt-server".to_owned(), fs::read_to_string(root().join("server/src/main.rs")).ok(), options)
        }
        _ => return None,
    };
    let complaint = match source {
        None => Some("no such command".to_owned()),
        Some(source) => flags(options)
            .find(|flag| !source.contains(*flag) && !source.contains(&format!("{}:", field(flag))))
            .map(|flag| format!("no option {flag}")),
    };
    Some((command, complaint))
}

/// The name of an option's field.
fn field(flag: &str) -> String {
    flag.trim_start_matches('-').replace('-', "_")
}

/// The long options before `--`.
fn flags<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let own = words.iter().take_while(|word| **word != "--");
    own.filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap_or(word))
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let complaint = |code: &str| check(&words(code)).map(|(_, complaint)| complaint);
    assert_eq!(complaint("$ OGRT_HTTP=http://a ogrt query --json SIGNATURE | jq --raw-output ."), Some(None));
    assert_eq!(complaint("ogrt verify-attestations f"), Some(Some("no such command".into())));
    assert_eq!(complaint("ogrt verify-attestation --keys f"), Some(Some("no option --keys".into())));
    assert_eq!(complaint("ogrt run -- program --nothing"), Some(None));
    assert_eq!(complaint("cargo xtask dance"), Some(Some("no such command".into())));
    assert_eq!(complaint("gcc --nothing"), None);
}
