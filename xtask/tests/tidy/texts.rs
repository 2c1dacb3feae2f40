//! Texts that users read: all of them in one file for reading, and the rules that a machine can
//! check.
//!
//! `target/texts.txt` (in CARGO_TARGET_DIR) has the server's default configuration, the help of
//! every program and command, what `/metrics` says of each metric, and every error, warning and log
//! line of the sources.

mod messages;
mod programs;

use crate::{
    project::{fail_if_any, root, with_extension},
    prose::begins_in_the_middle,
};
use std::{fmt::Write, fs};

const SENTENCE_WORDS_MAX: usize = 25;

/// Words that nobody whose first language is not English should have to read twice.
const NOT_PLAIN: [&str; 5] = ["is no ", "are no ", "so many", "so much", "any more"];

/// Plain, although one of [`NOT_PLAIN`] is in it.
const PLAIN: [&str; 4] = ["there is no ", "there are no ", "is no longer", "are no longer"];

/// A text, and where it comes from.
#[derive(Clone, Debug)]
struct Text {
    from: String,
    text: String,
    /// Stands alone, as a help or a comment does: an error continues what the program's name or a
    /// path began.
    stands_alone: bool,
}

#[test]
fn every_text_that_users_read_is_plain() {
    let programs = programs::all();
    let mut file = String::new();
    let mut texts = Vec::new();
    for (command, output) in &programs {
        writeln!(file, "==== {command}\n\n{}\n", output.trim_end()).unwrap();
        let paragraphs = if command.ends_with("print-default-config") {
            programs::comments(output)
        } else {
            programs::paragraphs(output)
        };
        let own = |text| Text { from: command.clone(), text, stands_alone: true };
        texts.extend(paragraphs.into_iter().map(own));
    }
    let messages = messages::all(&with_extension("rs"));
    for (what, is_metric) in [("metrics", true), ("errors, warnings and log lines", false)] {
        writeln!(file, "==== {what}\n").unwrap();
        for message in messages.iter().filter(|message| message.stands_alone == is_metric) {
            writeln!(file, "{}: {}", message.from, message.text).unwrap();
        }
        writeln!(file).unwrap();
    }
    let path = programs::target().join("texts.txt");
    fs::write(&path, file).unwrap();

    let metrics = messages.iter().filter(|message| message.stands_alone).count();
    let (helps, others) = (programs.len(), messages.len() - metrics);
    assert!(helps > 30, "only {helps} outputs of programs: the search itself is broken");
    assert!(metrics > 30, "only {metrics} metrics: the search itself is broken");
    assert!(others > 300, "only {others} messages in the sources: the search itself is broken");
    texts.extend(messages);
    let offenders: Vec<_> = texts.iter().flat_map(complaints).collect();
    fail_if_any(&format!("texts that are not plain (all texts stand in {})", path.display()), &offenders);
}

/// What is wrong with a text, a line each.
fn complaints(Text { from, text, stands_alone }: &Text) -> Vec<String> {
    let mut found = Vec::new();
    let lower = PLAIN.iter().fold(text.to_lowercase(), |text, plain| text.replace(plain, ""));
    for words in NOT_PLAIN.iter().filter(|words| lower.contains(*words)) {
        found.push(format!("{from}: \"{}\": {text}", words.trim()));
    }
    for sentence in sentences(text) {
        let words = sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
        if words > SENTENCE_WORDS_MAX {
            found.push(format!("{from}: {words} words in a sentence: {sentence}"));
        }
    }
    if *stands_alone && begins_in_the_middle(text) {
        found.push(format!("{from}: begins in the middle of a sentence: {text}"));
    }
    found
}

/// Sentences end with a mark and a blank.
fn sentences(text: &str) -> Vec<&str> {
    text.split_inclusive(['.', '?', '!', ':'])
        .fold((Vec::new(), 0, 0), |(mut found, start, mut end), piece| {
            end += piece.len();
            if text[end..].starts_with([' ', '\n']) || end == text.len() {
                found.push(text[start..end].trim());
                (found, end, end)
            } else {
                (found, start, end)
            }
        })
        .0
}

#[test]
fn what_is_not_plain_is_named() {
    let of = |text: &str| complaints(&Text { from: "a.rs:1".into(), text: text.into(), stands_alone: true });
    assert_eq!(of("{path} is no PEM file"), ["a.rs:1: \"is no\": {path} is no PEM file"]);
    assert_eq!(of("There is no file {path} any longer. It is no longer needed."), [""; 0]);
    assert_eq!(of("Of this."), ["a.rs:1: begins in the middle of a sentence: Of this."]);
    assert_eq!(of(&"word ".repeat(20)), [""; 0]);
    assert!(of(&"word ".repeat(26))[0].starts_with("a.rs:1: 26 words in a sentence"));
    assert_eq!(sentences("One: 1.5 s at most. Two?"), ["One:", "1.5 s at most.", "Two?"]);
    assert!(root().join("server/src/metrics.rs").exists());
}
