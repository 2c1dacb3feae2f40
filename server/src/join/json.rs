//! JSON written as documents need it: straight into the batch's text, empty values left out.
//!
//! Most of what is copied here is a few bytes long, and musl's memcpy takes long to begin: a fifth
//! of the server's time went there. So keys are copied with a length that the compiler knows, and
//! short values by [`append`].

/// Digits of bytes in hexadecimal.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// An object under construction; [`Object::end`] closes it.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Opens one at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, is_empty: true }
    }

    /// Text that may be anything; left out when empty.
    #[inline(always)]
    pub fn text(&mut self, key: &'static str, bytes: &[u8]) {
        if !bytes.is_empty() {
            string(self.key(key), bytes);
        }
    }

    /// Words as one text, with spaces between; left out when there is none.
    pub fn words(&mut self, key: &'static str, words: &[&[u8]]) {
        if matches!(words, [] | [[]]) {
            return;
        }
        let out = self.key(key);
        let begin = out.len();
        out.push(b'"');
        for (at, word) in words.iter().enumerate() {
            if !is_plain(word) {
                out.truncate(begin);
                return string(out, &words.join(&b' '));
            }
            if at > 0 {
                out.push(b' ');
            }
            append(out, word);
        }
        out.push(b'"');
    }

    /// Text that is there even when it is empty.
    #[inline(always)]
    pub fn text_always(&mut self, key: &'static str, bytes: &[u8]) {
        string(self.key(key), bytes);
    }

    /// A number, if there is one.
    #[inline(always)]
    pub fn number(&mut self, key: &'static str, number: Option<impl Into<i128>>) {
        if let Some(number) = number {
            decimal(self.key(key), number.into());
        }
    }

    /// `true`; left out when false.
    #[inline(always)]
    pub fn truth(&mut self, key: &'static str, truth: bool) {
        if truth {
            self.key(key).extend_from_slice(b"true");
        }
    }

    /// Bytes in hexadecimal; left out when empty.
    #[inline(always)]
    pub fn hexadecimal(&mut self, key: &'static str, bytes: &[u8]) {
        if !bytes.is_empty() {
            digits(self.key(key), bytes);
        }
    }

    /// A list, each item written by `write`; left out when it has none.
    #[inline(always)]
    pub fn list<T>(
        &mut self,
        key: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T),
    ) {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return };
        let out = self.key(key);
        out.push(b'[');
        write(out, first);
        for item in items {
            out.push(b',');
            write(out, item);
        }
        out.push(b']');
    }

    /// An object within.
    #[inline(always)]
    pub fn object(&mut self, key: &'static str) -> Object<'_> {
        Object::begin(self.key(key))
    }

    /// A value that is JSON already.
    #[inline(always)]
    pub fn json(&mut self, key: &'static str, json: &[u8]) {
        self.key(key).extend_from_slice(json);
    }

    /// Closes it.
    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Inlined, so that the length of a key is known where it is copied.
    #[inline(always)]
    fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        self.out.reserve(key.len() + 4);
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

/// Bytes in hexadecimal, as a string.
fn digits(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 * bytes.len() + 2);
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.push(b'"');
}

/// Appends text that is short, most of the time: by pieces of a length that the compiler knows, the
/// last two overlapping.
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    fn pieces<const N: usize>(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let (Some(last), (pieces, rest)) = (bytes.last_chunk::<N>(), bytes.as_chunks::<N>()) else {
            return false;
        };
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        if !rest.is_empty() {
            out.truncate(out.len() - (N - rest.len()));
            out.extend_from_slice(last);
        }
        true
    }
    out.reserve(bytes.len() + 16);
    if bytes.len() > 256 {
        out.extend_from_slice(bytes);
    } else if !pieces::<16>(out, bytes) && !pieces::<4>(out, bytes) {
        for byte in bytes {
            out.push(*byte);
        }
    }
}

/// Bytes as a string; what is not UTF-8 becomes U+FFFD.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        out.push(b'"');
        append(out, bytes);
        out.push(b'"');
    } else {
        let written = serde_json::to_writer(out, &String::from_utf8_lossy(bytes));
        debug_assert!(written.is_ok(), "writing text into a vector cannot fail");
    }
}

/// Tells whether a byte stands in JSON as it is.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// Numbers of events fit 64 bits and a sign, and the standard formatting is slow for them.
fn decimal(out: &mut Vec<u8>, number: i128) {
    if number < 0 {
        out.push(b'-');
    }
    let mut rest = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    append(out, &digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_length_is_appended_whole() {
        let bytes: Vec<u8> = (0..300).map(|number| number as u8).collect();
        for length in 0..bytes.len() {
            let mut out = b"begun".to_vec();
            append(&mut out, &bytes[..length]);
            assert_eq!(out, [b"begun", &bytes[..length]].concat(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("empty", b"");
        object.text("plain", b"a b");
        object.words("words", &[b"a", b"b c"]);
        object.words("odd words", &[b"a", b"\n"]);
        object.words("no words", &[]);
        object.words("empty word", &[b""]);
        object.text("odd", b"\"\\\n\0\xFF\xC3\xA4");
        object.number("none", None::<i64>);
        object.number("least", Some(i64::MIN));
        object.number("most", Some(u64::MAX));
        object.hexadecimal("hex", &[0, 0xAF]);
        object.truth("no", false);
        object.truth("yes", true);
        object.list("list", ["x", "y"], |out, item| string(out, item.as_bytes()));
        object.list("nothing", [0; 0], |_, _| ());
        let mut within = object.object("within");
        within.json("raw", b"[1]");
        within.end();
        object.end();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "plain": "a b", "words": "a b c", "odd words": "a \n", "odd": "\"\\\n\0\u{FFFD}ä", "least": i64::MIN, "most": u64::MAX, "hex": "00af",
            "yes": true, "list": ["x", "y"], "within": {"raw": [1]},
        });
        assert_eq!(value, expected);
    }
}
