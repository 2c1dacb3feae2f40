//! Text out of the record as a page shows it.
//!
//! Whoever runs a program chooses its name and its path. So text is never markup, its direction
//! does not reach beyond it, characters that cannot be seen are written out, and a long text is cut
//! in the middle.

use maud::{Markup, html};
use std::fmt::Write;

/// Most characters of a text in a list, and how many of them are its end.
const SHORT_MAX: usize = 120;
const SHORT_END: usize = 50;

/// Most characters of a text that stands alone.
const LONG_MAX: usize = 4_096;

/// A text in a list.
pub fn short(text: &str) -> Markup {
    html! { bdi { (visible(&cut(text, SHORT_MAX, SHORT_END))) } }
}

/// A text that stands alone.
pub fn long(text: &str) -> Markup {
    html! { bdi { (visible(&cut(text, LONG_MAX, SHORT_END))) } }
}

/// A name, or what is said where there is none.
pub fn name_or(text: &str, nothing: &str) -> Markup {
    match text {
        "" => html! { span.faint { (nothing) } },
        text => short(text),
    }
}

/// The text with its middle left out where it is longer than `most` characters.
fn cut(text: &str, most: usize, end: usize) -> String {
    let characters = text.chars().count();
    if characters <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take(most - end - 1).collect();
    let rest: String = text.chars().skip(characters - end).collect();
    format!("{begin}…{rest}")
}

/// The text with everything written out that cannot be seen, or that turns the direction of what
/// follows.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{a0}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}' => {
                let _ = write!(out, "⟨U+{:04X}⟩", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_hidden_characters_are_text() {
        let shown = short("<script>\u{202e}\n\"'&").into_string();
        assert_eq!(shown, "<bdi>&lt;script&gt;⟨U+202E⟩⟨U+000A⟩&quot;'&amp;</bdi>");
    }

    #[test]
    fn a_long_text_keeps_its_begin_and_its_end() {
        let path = format!("/sw/{}/bin/prog", "d/".repeat(2_000));
        let shown = short(&path).into_string();
        assert!(shown.starts_with("<bdi>/sw/d/") && shown.ends_with("/bin/prog</bdi>"), "{shown}");
        assert_eq!(shown.chars().count(), SHORT_MAX + "<bdi></bdi>".len());
    }
}
