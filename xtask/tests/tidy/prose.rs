//! Comments, documents and names: how wide, how they begin, which words they use.

use crate::{
    files::GENERATED,
    project::{fail_if_any, files, root, with_extension},
};
use proc_macro2::{TokenStream, TokenTree};
use std::{
    fs,
    path::{Path, PathBuf},
};
use syn::visit::{self, Visit};

const WIDTH_MAX: usize = 100;

/// What a comment begins with in each kind of file.
const COMMENTS: [(&str, &str); 6] =
    [("rs", "//"), ("proto", "//"), ("py", "#"), ("sh", "#"), ("toml", "#"), ("lua", "--")];

/// The documentation of an item is a clause with a subject, or a noun phrase that can stand alone.
/// What begins with one of these is the middle of a sentence that nobody wrote.
const MIDDLES: [&str; 36] = [
    "After",
    "Already",
    "And",
    "As",
    "At the",
    "Because",
    "Before",
    "Behind",
    "Beside",
    "Between",
    "But",
    "By",
    "For",
    "From",
    "How long.",
    "How.",
    "If",
    "In",
    "Into",
    "Not",
    "Of",
    "On",
    "Or",
    "So",
    "To be",
    "Under",
    "Until",
    "When.",
    "Where",
    "Where.",
    "Whether",
    "Which",
    "Who.",
    "Why.",
    "With",
    "Without",
];

/// Participles, and words for anything at all: no thing is called so.
const NO_TYPE_NAMES: [&str; 12] = [
    "Made", "Ended", "Seen", "Known", "Gathered", "Joined", "Shown", "Verified", "Exported", "Prepared",
    "Observed", "Measured",
];

/// Words of the glossary's last column, where names must not use them, and where they may.
struct Word {
    word: &'static str,
    within: &'static str,
    instead: &'static str,
    except: &'static [&'static str],
}

const WORDS: [Word; 2] = [
    // The key of `ogrt show --json` that programs of others rely on.
    Word {
        word: "watermark",
        within: "",
        instead: "note, or signature",
        except: &["cli/src/format/note_json.rs"],
    },
    Word { word: "image", within: "server/src/uses", instead: "program", except: &[] },
];

#[test]
fn comments_are_narrow() {
    let mut offenders = Vec::new();
    let mut checked = 0;
    for (path, text, opening) in commented_files() {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            let Some(comment) = comment(line, opening) else { continue };
            checked += 1;
            let text = comment.trim_start_matches(['/', '!', '#', '-']).trim_start();
            fenced ^= text.starts_with("```");
            let is_table = text.starts_with('|');
            if !fenced && !is_table && is_too_wide(line) {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(checked > 5_000, "only {checked} lines of comments found: the search itself is broken");
    fail_if_any(&format!("comments of more than {WIDTH_MAX} characters a line"), &offenders);
}

/// Each file with comments, and what they begin with. Scripts without an extension are known by
/// their first line.
fn commented_files() -> Vec<(PathBuf, String, &'static str)> {
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| path != Path::new(GENERATED)) {
        let extension = path.extension().unwrap_or_default();
        let opening = COMMENTS.iter().find(|(of, _)| extension == *of).map(|(_, opening)| *opening);
        if opening.is_none() && !extension.is_empty() {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        if let Some(opening) = opening.or_else(|| text.starts_with("#!").then_some("#")) {
            found.push((path, text, opening));
        }
    }
    found
}

/// The comment of a line: all of it, or what stands behind code.
fn comment<'a>(line: &'a str, opening: &str) -> Option<&'a str> {
    let trimmed = line.trim_start();
    if trimmed.starts_with(opening) {
        return Some(trimmed);
    }
    let behind = line.find(&format!(" {opening} "))?;
    // An odd quote before it: the comment's mark stands in a string.
    line[..behind].matches('"').count().is_multiple_of(2).then(|| &line[behind + 1..])
}

#[test]
fn documents_are_narrow() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("md") {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let is_code = fenced || line.starts_with("    ");
            let is_table = line.trim_start().starts_with('|');
            if !is_code && !is_table && is_too_wide(line) {
                offenders.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    fail_if_any(&format!("documents of more than {WIDTH_MAX} characters a line"), &offenders);
}

/// Links count for nothing, and neither one long word nor a command by itself can be broken.
fn is_too_wide(line: &str) -> bool {
    let text = line.trim_start_matches(['/', '!', '#', ' ']);
    if text.starts_with('`') && text.ends_with('`') && text.matches('`').count() == 2 {
        return false;
    }
    let is_link = |word: &&str| word.contains("](") || word.contains("://");
    let links: usize = line.split_whitespace().filter(is_link).map(|word| word.chars().count()).sum();
    line.chars().count() - links > WIDTH_MAX && line.split_whitespace().count() > 2
}

#[test]
fn the_documentation_of_an_item_begins_at_the_beginning() {
    let mut offenders = Vec::new();
    let mut checked = 0;
    for (path, text) in with_extension("rs") {
        if path == Path::new(GENERATED) {
            continue;
        }
        let mut before = "";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with("///") && !before.starts_with("///") {
                checked += 1;
                let text = line.trim_start_matches('/').trim();
                if begins_in_the_middle(text) {
                    offenders.push(format!("{}:{}: {text}", path.display(), number + 1));
                }
            }
            before = line;
        }
    }
    assert!(checked > 2_000, "only {checked} found: the search itself is broken");
    fail_if_any("documentation that begins in the middle of a sentence", &offenders);
}

/// Begins with one of [`MIDDLES`] as whole words.
pub fn begins_in_the_middle(text: &str) -> bool {
    let middle = MIDDLES.iter().any(|middle| {
        let rest = text.strip_prefix(middle);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
    });
    middle && !text.starts_with("For example ")
}

#[test]
fn names_are_nouns_of_the_glossary() {
    let mut offenders = Vec::new();
    for (path, text) in with_extension("rs") {
        if path == Path::new(GENERATED) {
            continue;
        }
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut names = Names::default();
        names.visit_file(&file);
        for (name, line) in names.types.iter().filter(|(name, _)| NO_TYPE_NAMES.contains(&name.as_str())) {
            offenders.push(format!("{}:{line}: the type {name} is called by no noun", path.display()));
        }
        for Word { word, within, instead, except } in &WORDS {
            if !path.starts_with(within) || except.iter().any(|of| path == Path::new(of)) {
                continue;
            }
            for (name, line) in names.all.iter().filter(|(name, _)| name.to_lowercase().contains(word)) {
                offenders.push(format!("{}:{line}: {name}: say {instead}", path.display()));
            }
        }
    }
    fail_if_any("names that the glossary does not know", &offenders);
}

/// Names in a file, with their lines.
#[derive(Default)]
struct Names {
    types: Vec<(String, usize)>,
    all: Vec<(String, usize)>,
}

impl Names {
    fn note_type(&mut self, name: &syn::Ident) {
        self.types.push((name.to_string(), name.span().start().line));
    }

    fn note_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(name) => self.all.push((name.to_string(), name.span().start().line)),
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, name: &'ast syn::Ident) {
        self.all.push((name.to_string(), name.span().start().line));
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.note_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note_type(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note_type(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note_type(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note_type(&item.ident);
        visit::visit_item_type(self, item);
    }
}

#[test]
fn what_begins_in_the_middle_is_told_from_what_does_not() {
    for text in
        ["Of software with this name.", "So, and whether it was registered.", "Where.", "To be linked."]
    {
        assert!(begins_in_the_middle(text), "{text}");
    }
    for text in
        ["Offsets, ascending.", "Whereabouts.", "Software.", "To which output.", "How long a wait lasts."]
    {
        assert!(!begins_in_the_middle(text), "{text}");
    }
    assert!(is_too_wide(&"word ".repeat(21)));
    assert!(!is_too_wide(&format!("see https://example.org/{} for more", "a".repeat(100))));
    assert_eq!(comment("let a = 1; // one", "//"), Some("// one"));
    assert_eq!(comment("let a = \"see // two\";", "//"), None);
}
