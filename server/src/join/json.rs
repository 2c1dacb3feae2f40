//! JSON written as documents need it: straight into the batch's text, empty values left out.

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
    pub fn text(&mut self, key: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            string(self.key(key), bytes);
        }
    }

    /// Text that is there even when it is empty.
    pub fn text_always(&mut self, key: &str, bytes: &[u8]) {
        string(self.key(key), bytes);
    }

    /// A number, if there is one.
    pub fn number(&mut self, key: &str, number: Option<impl Into<i128>>) {
        if let Some(number) = number {
            decimal(self.key(key), number.into());
        }
    }

    /// `true`; left out when false.
    pub fn truth(&mut self, key: &str, truth: bool) {
        if truth {
            self.key(key).extend_from_slice(b"true");
        }
    }

    /// Bytes in hexadecimal; left out when empty.
    pub fn hexadecimal(&mut self, key: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let out = self.key(key);
        out.push(b'"');
        for byte in bytes {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
        out.push(b'"');
    }

    /// A list, each item written by `write`; left out when it has none.
    pub fn list<T>(
        &mut self,
        key: &str,
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
    pub fn object(&mut self, key: &str) -> Object<'_> {
        Object::begin(self.key(key))
    }

    /// A value that is JSON already.
    pub fn json(&mut self, key: &str, json: &[u8]) {
        self.key(key).extend_from_slice(json);
    }

    /// Closes it.
    pub fn end(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
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

/// Bytes as a string; what is not UTF-8 becomes U+FFFD.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    } else {
        let written = serde_json::to_writer(out, &String::from_utf8_lossy(bytes));
        debug_assert!(written.is_ok(), "writing text into a vector cannot fail");
    }
}

/// What an event has fits 64 bits and a sign; the standard formatting takes a long way for it.
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
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("empty", b"");
        object.text("plain", b"a b");
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
            "plain": "a b", "odd": "\"\\\n\0\u{FFFD}ä", "least": i64::MIN, "most": u64::MAX, "hex": "00af",
            "yes": true, "list": ["x", "y"], "within": {"raw": [1]},
        });
        assert_eq!(value, expected);
    }
}
