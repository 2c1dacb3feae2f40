//! Lua's tables as Lmod writes them to a file: assignments of names to constants.
//!
//! ```text
//! spiderT = { ["/apps/modules"] = { gromacs = { 1, "two", true } } }
//! ```
//! Nothing is executed: what is no constant is an error. A table with keys becomes a JSON object,
//! one without an array.

use serde_json::{Map, Value};

/// Deepest table.
const DEPTH_MAX: usize = 64;

/// The values of a file's names; an error says where it is something else.
pub fn read(text: &str) -> Result<Map<String, Value>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut values = Map::new();
    loop {
        reader.skip_blank();
        if reader.rest().is_empty() {
            return Ok(values);
        }
        let read = reader.name().and_then(|name| {
            reader.expect('=')?;
            Some((name, reader.value(0)?))
        });
        let Some((name, value)) = read else {
            let line = text[..reader.at].lines().count();
            return Err(format!("line {line}: expected a constant of Lua"));
        };
        values.insert(name, value);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes on behind white space and comments.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            if !self.rest().starts_with("--") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    /// Takes a character, with what is blank before it.
    fn takes(&mut self, wanted: char) -> bool {
        self.skip_blank();
        let is_there = self.rest().starts_with(wanted);
        self.at += if is_there { wanted.len_utf8() } else { 0 };
        is_there
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.takes(wanted).then_some(())
    }

    fn word(&mut self, fits: impl Fn(char) -> bool) -> Option<&'a str> {
        self.skip_blank();
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        self.at += word.len();
        (!word.is_empty()).then_some(word)
    }

    fn name(&mut self) -> Option<String> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_')?;
        name.starts_with(|c: char| !c.is_ascii_digit()).then(|| name.to_owned())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_blank();
        match self.rest().chars().next()? {
            '{' => self.table(depth),
            '"' | '\'' => self.string().map(Value::String),
            '[' => self.long_string().map(Value::String),
            c if c.is_ascii_digit() || c == '-' => {
                let digits = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))?;
                serde_json::from_str(digits).ok()
            }
            _ => match &self.name()?[..] {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                "nil" => Some(Value::Null),
                _ => None,
            },
        }
    }

    fn table(&mut self, depth: usize) -> Option<Value> {
        if depth == DEPTH_MAX {
            return None;
        }
        self.expect('{')?;
        let (mut named, mut listed) = (Map::new(), Vec::new());
        while !self.takes('}') {
            if let Some(key) = self.key()? {
                named.insert(key, self.value(depth + 1)?);
            } else {
                listed.push(self.value(depth + 1)?);
            }
            if !self.takes(',') && !self.takes(';') {
                self.expect('}')?;
                break;
            }
        }
        Some(match named.is_empty() {
            true => Value::Array(listed),
            false => Value::Object(named),
        })
    }

    /// The key of an element with what stands behind it; inside, `None` where it has none.
    fn key(&mut self) -> Option<Option<String>> {
        self.skip_blank();
        let rest = self.rest();
        if rest.starts_with('[') && !rest.starts_with("[[") && !rest.starts_with("[=") {
            self.expect('[')?;
            let key = match self.value(DEPTH_MAX)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            self.expect(']')?;
            self.expect('=')?;
            return Some(Some(key));
        }
        let before = self.at;
        let is_name = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if is_name
            && let Some(name) = self.name()
            && self.takes('=')
        {
            return Some(Some(name));
        }
        self.at = before;
        Some(None)
    }

    fn string(&mut self) -> Option<String> {
        let mut characters = self.rest().chars();
        let quote = characters.next()?;
        let mut bytes = Vec::new();
        loop {
            match characters.next()? {
                c if c == quote => break,
                '\\' => match characters.next()? {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    'r' => bytes.push(b'\r'),
                    digit if digit.is_ascii_digit() => {
                        let rest = characters.as_str();
                        let more = rest.len().min(2);
                        let more = rest.as_bytes()[..more].iter().take_while(|b| b.is_ascii_digit()).count();
                        let code = format!("{digit}{}", &rest[..more]);
                        bytes.push(code.parse().ok()?);
                        characters = rest[more..].chars();
                    }
                    // A quote, a backslash, or the end of the line.
                    other => bytes.extend(other.to_string().bytes()),
                },
                '\n' => return None,
                other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        self.at = self.text.len() - characters.as_str().len();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `[[text]]`, with as many `=` between the brackets as its writer wants.
    fn long_string(&mut self) -> Option<String> {
        let level = self.rest()[1..].bytes().take_while(|byte| *byte == b'=').count();
        let open = format!("[{}[", "=".repeat(level));
        let text = self.rest().strip_prefix(&open)?;
        let end = text.find(&open.replace('[', "]"))?;
        self.at += open.len() * 2 + end;
        Some(text[..end].strip_prefix('\n').unwrap_or(&text[..end]).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn constants_are_read_and_nothing_else() {
        let text = r#"-- a comment
t = { ["a/b"] = { x = 1, y = -2.5, 'z' }, [3] = true; list = { "1\n\"2\"", false, nil, "\226\136\158", }, }
long = [==[
two
lines]==] empty = {}
"#;
        let read = Value::Object(read(text).unwrap());
        assert_eq!(
            read,
            json!({ "t": { "a/b": { "x": 1, "y": -2.5 }, "3": true, "list": ["1\n\"2\"", false, null, "∞"] },
                "long": "two\nlines", "empty": [] })
        );
        for wrong in
            ["t", "t =", "t = {", "t = f()", "t = { a = }", "t = \"a", "t = \"\\999\"", "t = [[a", "1 = 2"]
        {
            assert!(super::read(wrong).is_err(), "{wrong}");
        }
        assert!(super::read(&format!("t = {}", "{".repeat(100_000))).is_err());
        assert_eq!(super::read("\n\nt = f").unwrap_err(), "line 3: expected a constant of Lua");
    }
}
