//! What a linker script names: the files that it links in, and directories to look in (ld manual,
//! "File Commands").

use crate::elf_head::OpenedFile;
use std::path::Path;

/// Scripts including scripts deeper than this are not followed.
const INCLUDES_MAX: usize = 8;

/// The longest script that is read. Longer ones do not name libraries.
const SCRIPT_BYTES_MAX: u64 = 256 * 1024;

/// What a script names, in the order of the script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptNames {
    /// The files in INPUT, GROUP and STARTUP, and in AS_NEEDED inside them.
    pub files: Vec<String>,
    /// The directories of SEARCH_DIR.
    pub dirs: Vec<String>,
    /// The scripts of INCLUDE.
    pub includes: Vec<String>,
    /// The first of OUTPUT_FORMAT. A script for another format is passed over where libraries are
    /// looked for.
    pub output_format: Option<String>,
}

impl ScriptNames {
    /// Reads the script at `path`, and what it includes as far as it lies beside it or where
    /// relative paths start. `None` for a file that is not a script.
    pub fn read(path: &Path) -> Option<ScriptNames> {
        ScriptNames::read_nested(path, 0)
    }

    /// The same for the script at `path` that was opened.
    pub fn of_file(path: &Path, opened: &OpenedFile) -> Option<ScriptNames> {
        match opened.whole() {
            Some(text) => ScriptNames::with_included(path, std::str::from_utf8(text).ok()?, 0),
            None => ScriptNames::read(path),
        }
    }

    fn read_nested(path: &Path, depth: usize) -> Option<ScriptNames> {
        let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= SCRIPT_BYTES_MAX);
        let text = small.then(|| std::fs::read(path).ok()).flatten()?;
        ScriptNames::with_included(path, std::str::from_utf8(&text).ok()?, depth)
    }

    fn with_included(path: &Path, text: &str, depth: usize) -> Option<ScriptNames> {
        let mut names = ScriptNames::of(text);
        if depth < INCLUDES_MAX {
            for name in &names.includes.clone() {
                let beside = path.parent().unwrap_or(Path::new("")).join(name);
                let nested = ScriptNames::read_nested(Path::new(name), depth + 1);
                let nested = nested.or_else(|| ScriptNames::read_nested(&beside, depth + 1));
                names.files.extend(nested.iter().flat_map(|nested| nested.files.clone()));
                names.dirs.extend(nested.iter().flat_map(|nested| nested.dirs.clone()));
            }
        }
        Some(names)
    }

    /// Reads a script's text.
    pub fn of(text: &str) -> ScriptNames {
        let mut names = ScriptNames::default();
        let mut command = "";
        let mut depth = 0usize;
        let plain = without_comments(text);
        let mut words = words(&plain).into_iter();
        while let Some(word) = words.next() {
            match word {
                "(" => depth += 1,
                ")" => {
                    depth = depth.saturating_sub(1);
                    command = if depth == 0 { "" } else { command };
                }
                "INCLUDE" => names.includes.extend(words.next().map(str::to_owned)),
                _ if depth == 0 => command = word,
                "AS_NEEDED" => {}
                word => match command {
                    "INPUT" | "GROUP" | "STARTUP" => names.files.push(word.to_owned()),
                    "SEARCH_DIR" => names.dirs.push(word.to_owned()),
                    "OUTPUT_FORMAT" => {
                        names.output_format.get_or_insert_with(|| word.to_owned());
                    }
                    _ => {}
                },
            }
        }
        names
    }
}

fn without_comments(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        plain.push_str(&rest[..at]);
        plain.push(' ');
        rest = rest[at..].find("*/").map_or("", |end| &rest[at + end + 2..]);
    }
    plain.push_str(rest);
    plain
}

/// Names, in quotes where they hold more than letters, and parentheses. Braces stand for
/// themselves, so that what is in a SECTIONS command is no command.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !c.is_whitespace() && c != ',' && c != ';') {
        rest = &rest[at..];
        let len = match rest.as_bytes()[0] {
            b'"' => {
                let end = rest[1..].find('"').unwrap_or(rest.len() - 1);
                words.push(&rest[1..1 + end]);
                rest = &rest[(end + 2).min(rest.len())..];
                continue;
            }
            b'(' | b'{' => {
                words.push("(");
                rest = &rest[1..];
                continue;
            }
            b')' | b'}' => {
                words.push(")");
                rest = &rest[1..];
                continue;
            }
            _ => rest.find(|c: char| c.is_whitespace() || "(){},;\"".contains(c)).unwrap_or(rest.len()),
        };
        words.push(&rest[..len]);
        rest = &rest[len..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<String> {
        ScriptNames::of(text).files
    }

    #[test]
    fn glibcs_script_is_followed() {
        let script = "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/libc.so.6 \
                      /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )";
        let expected = ["/lib/libc.so.6", "/usr/lib/libc_nonshared.a", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(files(script), expected);
        assert_eq!(ScriptNames::of(script).output_format.as_deref(), Some("elf64-x86-64"));
        assert_eq!(files("INPUT(-lfoo, \"b c.o\")"), ["-lfoo", "b c.o"]);
        assert_eq!(files("SECTIONS { .text : { *(.text) } INPUT : { *(.x) } }"), [""; 0]);
        assert_eq!(
            files("STARTUP(s.o) INPUT(\na.o\n)\nSECTIONS { . = 0; }\nGROUP(g.a)"),
            ["s.o", "a.o", "g.a"]
        );
        assert_eq!(files("INPUT(a.o) SECTIONS {"), ["a.o"]);
        assert_eq!(files("\"INPUT"), [""; 0]);
    }

    #[test]
    fn directories_are_read() {
        let script = "SEARCH_DIR(lib) SEARCH_DIR(\"=/usr/local/lib\"); SEARCH_DIR(\"=/lib64\");";
        assert_eq!(ScriptNames::of(script).dirs, ["lib", "=/usr/local/lib", "=/lib64"]);
    }

    #[test]
    fn included_scripts_count() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer.ld"), dir.path().join("inner.ld"));
        std::fs::write(&outer, "INCLUDE inner.ld\nINPUT(a.o)").unwrap();
        std::fs::write(&inner, "INPUT(b.o) SEARCH_DIR(d) INCLUDE outer.ld").unwrap();
        let names = ScriptNames::read(&outer).unwrap();
        assert!(names.files.contains(&"b.o".to_owned()) && names.dirs.contains(&"d".to_owned()));
    }
}
