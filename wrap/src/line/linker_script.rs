//! A linker script, read as far as it says whether a note may be put into the output.
//!
//! A script with SECTIONS takes the place of the linker's own layout. A section of ours that it
//! does not name would be put wherever the linker finds room, and images of kernels, boot loaders
//! and firmware would change in silence. So we look for OUTPUT_FORMAT, and for the first input
//! pattern that takes `.note.ogrt` (ld manual, "Input Section Description"). Everything else in a
//! script is skipped.

use crate::line::link_line::LinkLine;
use crate::line::our_note;
use crate::line::resolve_inputs::searched_dirs;
use std::path::{Path, PathBuf};

/// The longest script that is read.
const BYTES_MAX: u64 = 1024 * 1024;

/// Scripts included in each other deeper than this are not followed.
const DEPTH_MAX: usize = 8;

/// The beginnings of names that ld reads as functions around a pattern, not as a file's name.
const FUNCTIONS: [&str; 5] = ["KEEP", "SORT", "EXCLUDE_FILE", "REVERSE", "INPUT_SECTION_FLAGS"];

/// What a link's scripts say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkerScript {
    /// The first OUTPUT_FORMAT.
    pub output_format: Option<String>,
    /// The script takes the place of the linker's own layout.
    pub replaces_layout: bool,
    /// What the script does with a section `.note.ogrt`.
    pub note: NoteRule,
    /// The script has an output section `.interp`, so it lays out programs for a dynamic loader.
    pub has_interpreter: bool,
}

/// What a script does with a section `.note.ogrt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoteRule {
    /// No pattern takes it.
    #[default]
    Unnamed,
    /// A pattern takes it into an output section.
    Kept,
    /// A pattern in /DISCARD/ takes it.
    Discarded,
}

impl LinkerScript {
    /// Reads the scripts that a line names by option, and inputs whose names are not those of
    /// objects or libraries. `None` if there is none.
    pub fn of(line: &LinkLine) -> Option<LinkerScript> {
        let by_input = line.implicit_scripts();
        if line.linker_scripts.is_empty() && by_input.is_empty() {
            return None;
        }
        let dirs = searched_dirs(line);
        let mut found = LinkerScript::default();
        let mut is_read = false;
        for (path, by_option) in line
            .linker_scripts
            .iter()
            .map(|path| (path, true))
            .chain(by_input.iter().map(|path| (path, false)))
        {
            let mut tokens = Vec::new();
            if read_tokens(path, &dirs, 0, &mut tokens).is_some() {
                is_read = true;
                found.add(&tokens, by_option);
            }
        }
        is_read.then_some(found)
    }

    #[cfg(test)]
    fn parse(text: &str) -> LinkerScript {
        let mut script = LinkerScript::default();
        script.add(&tokens(text), true);
        script
    }

    /// Adds what the words of one script say. Without an option, a script only adds to the layout.
    fn add(&mut self, tokens: &[String], by_option: bool) {
        let mut reader = Reader::default();
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1).map(String::as_str).unwrap_or_default();
            reader.read(token, next);
        }
        self.output_format = self.output_format.take().or(reader.output_format);
        self.replaces_layout |= by_option && reader.has_sections && !reader.inserts;
        if self.note == NoteRule::Unnamed {
            self.note = reader.note;
        }
        self.has_interpreter |= reader.has_interpreter;
    }
}

/// A walk over a script's words.
#[derive(Default)]
struct Reader<'a> {
    /// The names of the blocks that are open: SECTIONS, the output section.
    blocks: Vec<&'a str>,
    /// The words before the parentheses that are open.
    callers: Vec<&'a str>,
    /// The first word of the statement in SECTIONS.
    first: Option<&'a str>,
    last: &'a str,
    /// An output section has just ended: `>REGION AT>REGION :SEGMENT =FILL` may follow.
    section_ended: bool,
    /// The next word belongs to what follows an output section.
    skips: bool,
    output_format: Option<String>,
    has_sections: bool,
    inserts: bool,
    note: NoteRule,
    has_interpreter: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self, token: &'a str, next: &str) {
        if std::mem::take(&mut self.skips) && !matches!(token, "{" | "}") {
            return;
        }
        if self.section_ended {
            match token {
                ">" | ":" | "=" => {
                    self.skips = true;
                    return;
                }
                "AT" | "," => return,
                _ => self.section_ended = false,
            }
        }
        match token {
            "{" => self.open(),
            "}" => {
                self.blocks.pop();
                self.section_ended = self.blocks.len() == 1;
                self.first = None;
            }
            "(" => self.callers.push(self.last),
            ")" => drop(self.callers.pop()),
            ";" => self.first = None,
            word => self.word(word, next),
        }
        self.last = token;
    }

    fn open(&mut self) {
        let name = match self.blocks.len() {
            1 => self.first.take().unwrap_or_default(),
            _ => self.last,
        };
        self.has_sections |= self.blocks.is_empty() && name == "SECTIONS";
        self.has_interpreter |= self.blocks.first() == Some(&"SECTIONS") && name == ".interp";
        self.blocks.push(name);
    }

    fn word(&mut self, word: &'a str, next: &str) {
        match self.blocks.as_slice() {
            [] => {
                self.inserts |= word == "INSERT";
                if self.callers.last() == Some(&"OUTPUT_FORMAT") {
                    self.output_format.get_or_insert_with(|| word.to_owned());
                }
            }
            ["SECTIONS"] => drop(self.first.get_or_insert(word)),
            ["SECTIONS", section, ..]
                if self.note == NoteRule::Unnamed && next != "(" && self.takes_note(word) =>
            {
                self.note = match *section {
                    "/DISCARD/" => NoteRule::Discarded,
                    _ => NoteRule::Kept,
                };
            }
            _ => {}
        }
    }

    /// The word is a pattern of sections, in files that our object is one of.
    fn takes_note(&self, word: &str) -> bool {
        let is_function = |name: &&&str| FUNCTIONS.iter().any(|function| name.starts_with(function));
        let file = self.callers.iter().rev().find(|name| !is_function(name));
        self.callers.last() != Some(&"EXCLUDE_FILE")
            && file.is_some_and(|file| matches(file.as_bytes(), our_note::memory_name().as_bytes()))
            && matches(word.as_bytes(), ogrt_note::SECTION.as_bytes())
    }
}

fn read_tokens(path: &Path, dirs: &[PathBuf], depth: usize, into: &mut Vec<String>) -> Option<()> {
    let candidates = std::iter::once(path.to_owned()).chain(dirs.iter().map(|dir| dir.join(path)));
    let path = candidates.into_iter().find(|path| path.is_file())?;
    let small = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= BYTES_MAX);
    let text = small.then(|| std::fs::read(&path).ok())??;
    if text.contains(&0) {
        return None;
    }
    let mut words = tokens(&String::from_utf8_lossy(&text)).into_iter();
    while let Some(word) = words.next() {
        if word == "INCLUDE" && depth < DEPTH_MAX {
            let included = words.next()?;
            // A file that is missing is the linker's to report.
            let _ = read_tokens(Path::new(&included), dirs, depth + 1, into);
        } else {
            into.push(word);
        }
    }
    Some(())
}

/// The words and signs of a script, without comments and quotes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut rest = text.chars().peekable();
    let end_word = |word: &mut String, tokens: &mut Vec<String>| {
        if !word.is_empty() {
            tokens.push(std::mem::take(word));
        }
    };
    while let Some(sign) = rest.next() {
        match sign {
            '/' if rest.peek() == Some(&'*') => {
                end_word(&mut word, &mut tokens);
                let mut before = ' ';
                rest.next();
                for sign in rest.by_ref() {
                    if before == '*' && sign == '/' {
                        break;
                    }
                    before = sign;
                }
            }
            '#' if word.is_empty() => {
                for sign in rest.by_ref() {
                    if sign == '\n' {
                        break;
                    }
                }
            }
            '"' => word.extend(rest.by_ref().take_while(|sign| *sign != '"')),
            '{' | '}' | '(' | ')' | ';' | ',' | ':' | '=' | '>' => {
                end_word(&mut word, &mut tokens);
                tokens.push(sign.into());
            }
            sign if sign.is_whitespace() => end_word(&mut word, &mut tokens),
            sign => word.push(sign),
        }
    }
    end_word(&mut word, &mut tokens);
    tokens
}

/// The pattern of a script (`*`, `?`, `[...]`) takes the name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => matches(rest, name) || (!name.is_empty() && matches(pattern, &name[1..])),
        ([b'?', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([b'[', rest @ ..], [first, name @ ..]) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            in_set(&rest[..end], *first) && matches(&rest[end + 1..], name)
        }
        ([byte, rest @ ..], [first, name @ ..]) => byte == first && matches(rest, name),
        _ => false,
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (set, negated) = match set {
        [b'!' | b'^', set @ ..] => (set, true),
        set => (set, false),
    };
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        match set[at..] {
            [from, b'-', to, ..] => {
                found |= (from..=to).contains(&byte);
                at += 3;
            }
            _ => {
                found |= set[at] == byte;
                at += 1;
            }
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(sections: &str) -> NoteRule {
        LinkerScript::parse(&format!("SECTIONS {{ {sections} }}")).note
    }

    #[test]
    fn the_first_pattern_that_takes_the_note_counts() {
        for (sections, rule) in [
            (".text : { *(.text*) } .data : { *(.data*) }", NoteRule::Unnamed),
            (".notes : { *(.note.*) } :text :note", NoteRule::Kept),
            (".n : { KEEP(*(SORT(.note*))) } >FLASH AT>ROM =0x90", NoteRule::Kept),
            (".n : { *(.text .note.ogrt) }", NoteRule::Kept),
            (".all : { *(*) }", NoteRule::Kept),
            (".n : { *(EXCLUDE_FILE(*a.o *b.o) .note*) }", NoteRule::Kept),
            (".n : { *(EXCLUDE_FILE(*) .text) }", NoteRule::Unnamed),
            (".n : { *crt1.o(.note*) }", NoteRule::Unnamed),
            (".n : { *(.note.gnu.build-id) *(.note.[a-n]*) }", NoteRule::Unnamed),
            (".n : { *(.note.[a-z]*) }", NoteRule::Kept),
            ("/DISCARD/ : { *(.comment) *(.note*) }", NoteRule::Discarded),
            (".t : { *(.text) } >FLASH /DISCARD/ : { *(.note.*) }", NoteRule::Discarded),
            (
                ". = 0x10; .t . : { *(.text) } :a :b /DISCARD/ : { *(.n*) } .n : { *(.note*) }",
                NoteRule::Discarded,
            ),
            (".n ALIGN(8) (NOLOAD) : AT(0x10) { *(.note*) } /DISCARD/ : { *(.note*) }", NoteRule::Kept),
            ("/* *(.note*) */ .t : { *(.text) }", NoteRule::Unnamed),
        ] {
            assert_eq!(note(sections), rule, "{sections}");
        }
    }

    #[test]
    fn what_else_a_script_says() {
        let script = LinkerScript::parse(
            "OUTPUT_FORMAT(\"elf64-x86-64\", a, b)\nSECTIONS { .interp : { *(.interp) } }",
        );
        assert_eq!(script.output_format.as_deref(), Some("elf64-x86-64"));
        assert!(script.replaces_layout && script.has_interpreter);
        let added = LinkerScript::parse("SECTIONS { .mine : { *(.mine) } } INSERT AFTER .data;");
        assert!(!added.replaces_layout);
        assert!(!LinkerScript::parse("INPUT(a.o) GROUP(-lc)\nfoo = 1;").replaces_layout);
        assert_eq!(LinkerScript::parse("OUTPUT_FORMAT(binary)").output_format.as_deref(), Some("binary"));
    }

    #[test]
    fn an_included_script_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sections.ld"), ".notes : { *(.note*) }").unwrap();
        let outer = dir.path().join("outer.ld");
        std::fs::write(&outer, "SECTIONS { INCLUDE sections.ld }").unwrap();
        let words = [format!("-T{}", outer.display()), format!("-L{}", dir.path().display()), "a.o".into()];
        let line = LinkLine::read(&words.map(Into::into));
        assert_eq!(LinkerScript::of(&line).unwrap().note, NoteRule::Kept);
    }
}
