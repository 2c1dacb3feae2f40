//! Globs: `*` is any run of bytes, `?` any one, the rest is itself. `/` is a byte like the others, so that
//! `/apps/*` means everything below.

/// Whether the pattern fits the whole text.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // After the last star: what followed it, and where in the text that was tried.
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
                // One byte more for the star.
                Some((after, [_, others @ ..])) => {
                    star = Some((after, others));
                    (pattern, text) = (after, others);
                }
                _ => return false,
            },
        }
    }
}

/// Whether one of the patterns in a list fits.
pub fn any_matches(list: &[u8], text: &[u8]) -> bool {
    entries(list).any(|pattern| matches(pattern, text))
}

/// The entries of a list: separated by colons, commas or white space.
pub fn entries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b':' | b',' | b' ' | b'\t' | b'\n')).filter(|entry| !entry.is_empty())
}
