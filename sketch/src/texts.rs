//! Texts: messages, names of options, parts of formats.
//!
//! Texts that stand behind each other need no NUL between them (Fortran, Go, Rust), so a text is
//! looked at in threes of words. Digits do not count, since versions and dates have them.

use crate::{
    elf::{Elf, PT_LOAD, SHT_PROGBITS},
    hash::{self, Hash},
};

/// Bytes of texts that are looked at.
const BYTES_MAX: u64 = 64 << 20;

/// Letters of a word that count.
const WORD_MAX: usize = 48;

/// Fewest letters of a text of one word.
const LONE_WORD_MIN: usize = 6;

/// Words that are hashed together.
const WORDS: usize = 3;

const FLAG_ALLOC: u64 = 2;
const FLAG_EXEC: u64 = 4;
const SEGMENT_EXEC: u64 = 1;
const SEGMENT_WRITE: u64 = 2;

/// Adds the texts of a file's constants.
pub fn add(elf: &Elf<'_>, into: &mut dyn FnMut(Hash)) {
    let constants = elf.sections.iter().filter(|section| {
        section.kind == SHT_PROGBITS
            && section.flags & (FLAG_ALLOC | FLAG_EXEC) == FLAG_ALLOC
            && [&b".rodata"[..], b".lrodata"].iter().any(|name| section.name.starts_with(name))
    });
    let mut places: Vec<_> = constants.map(|section| section.place).collect();
    if places.is_empty() {
        let constants = elf
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD && segment.flags & (SEGMENT_EXEC | SEGMENT_WRITE) == 0);
        places = constants.map(|segment| segment.place).collect();
    }
    let mut left = BYTES_MAX;
    for place in places {
        let mut reader = TextReader::new(into);
        left -= elf.stream(place, left, &mut |bytes| bytes.iter().for_each(|byte| reader.take(*byte)));
        reader.end_text();
    }
}

/// Finds words in bytes, and hashes them. Most of a large program's time goes by here, so a letter
/// costs one step, and a text one call.
pub struct TextReader<'a> {
    into: &'a mut dyn FnMut(Hash),
    /// The hashes of the last words and their letters, the newest last.
    words: [(u64, usize); WORDS],
    /// Words of this text that have ended.
    count: usize,
    /// The word that is read.
    word: u64,
    letters: usize,
}

impl<'a> TextReader<'a> {
    /// Reads nothing yet.
    pub fn new(into: &'a mut dyn FnMut(Hash)) -> Self {
        TextReader { into, words: [(0, 0); WORDS], count: 0, word: hash::BEGIN, letters: 0 }
    }

    /// Takes the next byte.
    pub fn take(&mut self, byte: u8) {
        match CLASSES[usize::from(byte)] {
            Class::Letter if self.letters < WORD_MAX => {
                self.word = hash::step(self.word, byte);
                self.letters += 1;
            }
            Class::Letter | Class::Digit => {}
            Class::BetweenWords => self.end_word(),
            Class::BetweenTexts => self.end_text(),
        }
    }

    fn end_word(&mut self) {
        if self.letters >= 2 {
            self.words = [self.words[1], self.words[2], (self.word, self.letters)];
            self.count += 1;
            if self.count >= WORDS {
                (self.into)(hash::of_words(self.words.map(|(word, _)| word)));
            }
        }
        (self.word, self.letters) = (hash::BEGIN, 0);
    }

    /// The text has ended: one with few words counts as a whole.
    pub fn end_text(&mut self) {
        self.end_word();
        if (1..WORDS).contains(&self.count) {
            let words = &self.words[WORDS - self.count..];
            if words.iter().map(|(_, letters)| letters).sum::<usize>() >= LONE_WORD_MIN {
                (self.into)(hash::of_words(words.iter().map(|(word, _)| *word)));
            }
        }
        self.count = 0;
    }
}

/// What a byte is in a text.
#[derive(Clone, Copy)]
enum Class {
    Letter,
    Digit,
    BetweenWords,
    BetweenTexts,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::BetweenTexts; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b' '..=b'~' | b'\n' | b'\t' | b'\r' => Class::BetweenWords,
            _ => Class::BetweenTexts,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &[u8]) -> Vec<Hash> {
        let mut hashes = Vec::new();
        let mut take = |hash| hashes.push(hash);
        let mut reader = TextReader::new(&mut take);
        text.iter().for_each(|byte| reader.take(*byte));
        reader.end_text();
        hashes
    }

    #[test]
    fn texts_are_looked_at_in_threes_of_words() {
        let three = hashes(b"unable to open");
        assert_eq!(three, [hash::of_words(["unable", "to", "open"].map(hash::of_word))]);
        // Digits, and what stands between words, do not count; a text may begin anywhere.
        assert_eq!(hashes(b"\x01unable,\n to 1.2 open3\x00"), three);
        assert!(hashes(b"file is unable to open it").contains(&three[0]));
        assert_eq!(hashes(b"unable\x00to open").len(), 2);
        // Few words count as a whole, if they have some letters.
        assert_eq!(hashes(b"solver"), [hash::of_words(["solver"].map(hash::of_word))]);
        assert_eq!(hashes(b"of it\x00abcde\x00a b c d e f\x0012345678"), []);
        let long = [b'x'; 100];
        assert_eq!(hashes(&long), hashes(&long[..WORD_MAX]));
    }
}
