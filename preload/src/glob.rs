//! Globs: `*` stands for any run of bytes, `?` for any one byte, everything else for itself. `/` is
//! a byte like the others, so that `/apps/*` means everything below.

/// Tells whether the pattern fits the whole text.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star in the pattern, and the text against which that was tried.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            ([], []) => return true,
            ([p, rest @ ..], [t, others @ ..]) if *p == b'?' || p == t => {
                (pattern, text) = (rest, others);
            }
            _ => match star {
                // The star takes one byte more.
                Some((after, [_, others @ ..])) => {
                    star = Some((after, others));
                    (pattern, text) = (after, others);
                }
                _ => return false,
            },
        }
    }
}

/// Tells whether one of the patterns in a list fits.
pub fn any_matches(list: &[u8], text: &[u8]) -> bool {
    entries(list).any(|pattern| matches(pattern, text))
}

/// The entries of a list, separated by colons, commas or white space.
pub fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b':' | b',' | b' ' | b'\t' | b'\n')).filter(|entry| !entry.is_empty())
}

/// The place of a word in a text, if it is there. Of each byte the bits of `mask` must be equal.
#[inline(never)]
pub fn find(text: &[u8], word: &[u8], mask: u8) -> Option<usize> {
    text.windows(word.len()).position(|part| part.iter().zip(word).all(|(a, b)| (a ^ b) & mask == 0))
}
