//! The house rules that a machine can check: files, names, and that the documents speak of what is there.
//!
//! These read every source file and document of the project. A failure names the file and the line.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const LINES_MAX: usize = 600;
const GENERATED: &str = "proto/src/messages.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files of the project, relative to its folder. What cargo marks as a cache is none of it.
fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if path.is_symlink() || matches!(name.to_str(), Some(".git" | "target" | "__pycache__")) {
                continue;
            }
            if path.is_dir() {
                if !path.join("CACHEDIR.TAG").exists() {
                    walk(&path, found);
                }
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    assert!(found.iter().any(|path| path == Path::new("xtask/tests/tidy.rs")), "{} files", found.len());
    found.sort();
    found
}

fn with_extension(extension: &str) -> Vec<(PathBuf, String)> {
    let files = files().into_iter().filter(|path| path.extension() == Some(OsStr::new(extension)));
    files.map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap())).collect()
}

fn fail_if_any(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn a_source_file_opens_with_its_idea_and_holds_one() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        if path == Path::new(GENERATED) {
            continue;
        }
        if !text.starts_with("//!") {
            offenders.push(format!("{}: does not open with //!", path.display()));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            offenders.push(format!("{}: {lines} lines", path.display()));
        }
    }
    fail_if_any(&format!("each source file opens with //! and has at most {LINES_MAX} lines"), &offenders);
}

#[test]
fn a_file_is_named_for_the_question_it_answers() {
    let saying_nothing = ["utils", "util", "helpers", "helper", "common", "misc", "manager"];
    let offenders: Vec<_> = files()
        .iter()
        .filter(|path| {
            path.iter().any(|part| {
                let stem = Path::new(part).file_stem().unwrap_or(part);
                saying_nothing.iter().any(|name| stem == *name)
            })
        })
        .map(|path| path.display().to_string())
        .collect();
    fail_if_any("names that say nothing", &offenders);
}

#[test]
fn unsafe_code_is_in_preload_alone() {
    // Put together here, so that this file does not hold what it looks for.
    let word = ["un", "safe"].concat();
    let forms = [" {", " fn", " impl", " extern", "("].map(|after| format!("{word}{after}"));
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        if path.starts_with("preload") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forms.iter().any(|form| code.contains(form)) {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    fail_if_any("unsafe code is only in preload", &offenders);
}

#[test]
fn every_member_keeps_the_workspaces_lints() {
    let offenders: Vec<_> = with_extension("toml")
        .into_iter()
        .filter(|(path, text)| path.ends_with("Cargo.toml") && text.contains("version.workspace = true"))
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    fail_if_any("[lints] workspace = true", &offenders);
}

/// The documents that people read: those of the project's folder and of `docs/`, and the READMEs of its rooms.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = with_extension("md");
    documents.retain(|(path, _)| {
        path.components().count() == 1 || path.starts_with("docs") || path.ends_with("README.md")
    });
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        assert!(documents.iter().any(|(path, _)| path == Path::new(name)), "no {name}");
    }
    documents
}

/// What stands between backquotes on a line, and each line of a fenced block as a whole.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((index + 1, line.trim().to_owned()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|code| (index + 1, code.to_owned())));
        }
    }
    found
}

/// Looks like a path of this project: plain characters, and its first part is something in the project's folder.
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
    let help = |chore: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args([chore, "--help"]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let mut offenders = Vec::new();
    let mut checked = 0;
    for (document, text) in documents() {
        for (line, code) in code(&text) {
            let words: Vec<&str> = code.trim_start_matches("$ ").split_whitespace().collect();
            let complaint = match words[..] {
                ["cargo", "xtask", chore, ref options @ ..] => match help(chore) {
                    None => Some(format!("no chore {chore}")),
                    Some(help) => flags(options).find(|flag| !help.contains(*flag)).map(str::to_owned),
                },
                ["ogrt", command, ref options @ ..]
                    if command.starts_with(|c: char| c.is_ascii_lowercase())
                        && command.chars().all(|c| c.is_ascii_lowercase() || c == '-') =>
                {
                    // Each command is one file (cli/src/main.rs), each option a field in it.
                    let file = format!("cli/src/commands/{}.rs", command.replace('-', "_"));
                    match fs::read_to_string(root().join(file)) {
                        Err(_) => Some(format!("no command {command}")),
                        Ok(source) => flags(options)
                            .find(|flag| !source.contains(&format!("{}:", flag[2..].replace('-', "_"))))
                            .map(str::to_owned),
                    }
                }
                _ => continue,
            };
            checked += 1;
            offenders.extend(complaint.map(|what| format!("{}:{line}: {code}: {what}", document.display())));
        }
    }
    assert!(checked > 8, "only {checked} commands found: the search itself is broken");
    fail_if_any("commands named in documents", &offenders);
}

/// The long options before `--`.
fn flags<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let own = words.iter().take_while(|word| **word != "--");
    own.filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap_or(word))
}
