//! Where each key of a configuration stands in its file, so that an error names the line and the
//! key.

use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A configuration as it is written.
pub struct Source<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

/// A key of the file.
pub struct Key<'s> {
    /// The names of its tables and its own.
    pub path: Vec<&'s str>,
    /// Its line, counted from 1.
    pub line: usize,
    name_at: Range<usize>,
    value_at: Range<usize>,
}

impl Key<'_> {
    /// The path as TOML writes it.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// True when a byte of the file belongs to the key's name or value.
    fn has(&self, byte: usize) -> bool {
        self.name_at.contains(&byte) || self.value_at.contains(&byte)
    }
}

impl<'a> Source<'a> {
    /// Reads the text; the error names the line.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Source { text, root: root.into_inner() }),
            Err(error) => Err(match error.span() {
                Some(span) => format!("line {}: {}", line_of(text, span.start), one_line(error.message())),
                None => one_line(error.message()),
            }),
        }
    }

    /// Every key and table, those of tables after the table's own.
    pub fn keys(&self) -> Vec<Key<'_>> {
        let mut keys = Vec::new();
        self.gather(&self.root, &[], &mut keys);
        keys
    }

    fn gather<'s>(&'s self, table: &'s DeTable<'a>, path: &[&'s str], keys: &mut Vec<Key<'s>>) {
        for (name, value) in table {
            let path = [path, &[name.get_ref().as_ref()]].concat();
            let (name_at, value_at) = (name.span(), value.span());
            keys.push(Key { path: path.clone(), line: line_of(self.text, name_at.start), name_at, value_at });
            let tables = match value.get_ref() {
                DeValue::Table(table) => vec![table],
                DeValue::Array(array) => array.iter().filter_map(|one| one.get_ref().as_table()).collect(),
                _ => vec![],
            };
            for table in tables {
                self.gather(table, &path, keys);
            }
        }
    }

    /// The value of a key, where it is a text.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        let (name, tables) = path.split_last()?;
        let mut table = &self.root;
        for name in tables {
            table = table.get(*name)?.get_ref().as_table()?;
        }
        table.get(*name)?.get_ref().as_str()
    }

    /// The outputs, each with its table.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Spanned<DeValue<'a>>)> {
        let outputs = self.root.get("outputs").and_then(|outputs| outputs.get_ref().as_table());
        outputs.into_iter().flatten().map(|(name, output)| (name.get_ref().as_ref(), output))
    }

    /// What is wrong, behind the line and the name of the key that it is about.
    pub fn locate(&self, name: &str, problem: &str) -> String {
        let keys = self.keys();
        let key = keys.iter().find(|key| key.name() == name);
        key.map_or_else(
            || format!("{name}: {problem}"),
            |key| format!("line {}: {name}: {problem}", key.line),
        )
    }

    /// The parser's error, with the line and the key that it is about.
    pub fn explain(&self, error: &toml::de::Error) -> String {
        let message = plain(error.message());
        let Some(span) = error.span() else { return message };
        let keys = self.keys();
        let key = keys.iter().filter(|key| key.has(span.start)).max_by_key(|key| key.path.len());
        let line = line_of(self.text, span.start);
        match key {
            Some(key) => format!("line {line}: {}: {message}", key.name()),
            None => format!("line {line}: {message}"),
        }
    }
}

/// The line of a byte, counted from 1.
pub fn line_of(text: &str, byte: usize) -> usize {
    text[..byte.min(text.len())].matches('\n').count() + 1
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// The words of the parser in those of an administrator.
fn plain(message: &str) -> String {
    one_line(message)
        .replace("unknown field", "unknown key")
        .replace("unknown variant", "unknown value")
        .replace("missing field", "missing key")
        .replace("invalid value: string ", "wrong value ")
        .replace("invalid value: ", "wrong value: ")
        .replace("invalid type: ", "wrong type: ")
}
