//! Text of strangers on its way to a terminal or a log.
//!
//! Paths, arguments, names and messages come from anybody. Characters that a terminal acts on, that
//! change the order of what stands beside them, or that cannot be seen are shown by their numbers.
//! Both programs print through here: `ogrt` in `cli/src/exit_status.rs`, the server's log in
//! `server/src/log_lines.rs`.

use std::{borrow::Cow, fmt::Write};

/// Must the character not reach a terminal as it is? Controls (C0, DEL, C1), characters for the
/// order of writing, those without a width, and separators of lines and paragraphs.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// A text that is put on one line: what is not printable stands there as Rust writes it, such as
/// `\n` or `\u{1b}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    replaced(text, is_unprintable, |c, out| out.extend(c.escape_default()))
}

/// An answer of several lines, or JSON: what is not printable stands there as `\u001b`, which in
/// JSON means the same. Tabs and the ends of lines stay.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| is_unprintable(c) && c != '\n' && c != '\t',
        |c, out| {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // A String takes everything.
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn replaced(text: &str, is_bad: impl Fn(char) -> bool, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) { write(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\r\u{7f}\u{9b}\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}b\u{feff}";

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for text in [one_line(HOSTILE), escaped(HOSTILE)] {
            assert!(!text.chars().any(is_unprintable), "{text}");
            assert!(text.starts_with('a') && text.contains('b'));
        }
        assert_eq!(one_line("a\nb\tc\u{9b}"), "a\\nb\\tc\\u{9b}");
        assert_eq!(escaped("a\nb\tc\u{9b}\u{e0041}"), "a\nb\tc\\u009b\\udb40\\udc41");
        assert!(matches!(escaped("ann müller, 漢字 🦀"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_when_it_is_escaped() {
        let json = serde_json::to_string(&[HOSTILE]).unwrap();
        let safe = escaped(&json);
        assert!(!safe.chars().any(is_unprintable), "{safe}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [HOSTILE]);
    }
}
