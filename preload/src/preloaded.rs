//! Tells which of the loaded objects the user has asked for, by LD_PRELOAD or LD_AUDIT.

use crate::{
    glob,
    path_buffer::PathBuffer,
    variables::{Meaning, Variables},
};

/// Tells whether the user asked the loader for this loaded object.
pub fn is_preloaded(variables: &Variables, object: &[u8]) -> bool {
    let file_name = object.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let lists = [Meaning::Preload, Meaning::Audit].map(|meaning| variables.value(meaning));
    let mut names = lists.into_iter().flat_map(|list| list.split(|byte| matches!(byte, b':' | b' ')));
    names.any(|name| match name.contains(&b'/') {
        true => is_expansion(name, object),
        false => !name.is_empty() && is_expansion(name, file_name),
    })
}

/// Tells whether the loader may have made this path of a name in which `$LIB`, `${ORIGIN}` and
/// their like stand for text that only the loader knows (ld.so(8)).
fn is_expansion(name: &[u8], path: &[u8]) -> bool {
    const TOKENS: [&[u8]; 6] = [b"LIB", b"ORIGIN", b"PLATFORM", b"{LIB}", b"{ORIGIN}", b"{PLATFORM}"];
    if !name.contains(&b'$') {
        return name == path;
    }
    let mut pattern = PathBuffer::new();
    for (at, part) in name.split(|&byte| byte == b'$').enumerate() {
        let after = TOKENS.iter().find_map(|token| part.strip_prefix(*token)).filter(|_| at > 0);
        let pieces: [&[u8]; 2] = match (at, after) {
            (0, _) => [b"", part],
            (_, Some(after)) => [b"*", after],
            (_, None) => [b"$", part],
        };
        if pieces.into_iter().any(|piece| pattern.push(piece).is_none()) {
            return false;
        }
    }
    glob::matches(pattern.as_bytes(), path)
}
