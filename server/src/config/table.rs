//! How a table of the configuration is declared: once, with its keys, types, defaults and texts.

use super::units::{Size, Time};
use std::path::PathBuf;

/// A table that can be written as commented TOML.
pub trait Table {
    /// The lines that say what the table is about.
    fn about(&self) -> &'static [&'static str];

    /// Its keys.
    fn keys(&self) -> Vec<Key>;

    /// Every key with its value, for comparisons.
    fn values(&self) -> Vec<(&'static str, String)>;
}

/// A key of a table.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The lines that explain it.
    pub text: &'static [&'static str],
    /// Its value as TOML; `None` where it is a table of its own.
    pub value: Option<String>,
}

/// Appends a table: what it is about, its header, its keys.
pub fn document_table(header: &str, table: &dyn Table, out: &mut String) {
    comment(table.about(), out);
    out.push_str(header);
    for Key { name, text, value } in table.keys() {
        if let Some(value) = value {
            out.push('\n');
            comment(text, out);
            out.push_str(&format!("{name} = {value}\n"));
        }
    }
}

fn comment(text: &[&str], out: &mut String) {
    for line in text {
        out.push_str(&format!("#{line}\n"));
    }
}

/// Appends a table as an example: "# " stands before each of its lines.
pub fn document_example(header: &str, table: &dyn Table, out: &mut String) {
    let mut example = String::new();
    document_table(header, table, &mut example);
    for line in example.lines() {
        out.push_str(format!("# {line}").trim_end());
        out.push('\n');
    }
}

/// A value as TOML writes it; `None` for a value that is a table of its own.
pub trait AsToml {
    /// The text of the value.
    fn as_toml(&self) -> Option<String>;
}

/// Declares a table of the configuration, its defaults, and its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $text:literal])+ $key:ident : $type:ty = $default:expr,)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[doc = $text])+ pub $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $default,)* }
            }
        }

        impl $crate::config::table::Table for $name {
            fn values(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($key), format!("{:?}", self.$key)),)*]
            }

            fn about(&self) -> &'static [&'static str] {
                &[$($about),+]
            }

            fn keys(&self) -> Vec<$crate::config::table::Key> {
                vec![$($crate::config::table::Key {
                    name: stringify!($key),
                    text: &[$($text),+],
                    value: $crate::config::table::AsToml::as_toml(&self.$key),
                },)*]
            }
        }

        impl $crate::config::table::AsToml for $name {
            fn as_toml(&self) -> Option<String> {
                None
            }
        }
    };
}

/// Declares a choice between words.
macro_rules! choice {
    ($(#[doc = $about:literal])+ $name:ident { $(#[doc = $text:literal] $case:ident = $word:literal,)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
        pub enum $name { $(#[doc = $text] #[serde(rename = $word)] $case,)* }

        impl $crate::config::table::AsToml for $name {
            fn as_toml(&self) -> Option<String> {
                let word = match self { $($name::$case => $word,)* };
                Some(format!("{word:?}"))
            }
        }
    };
}

pub(crate) use {choice, table};

impl AsToml for String {
    fn as_toml(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl AsToml for PathBuf {
    fn as_toml(&self) -> Option<String> {
        Some(format!("{:?}", self.display().to_string()))
    }
}

impl AsToml for Vec<String> {
    fn as_toml(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

macro_rules! shown {
    ($($type:ty),*) => { $(impl AsToml for $type {
        fn as_toml(&self) -> Option<String> {
            Some(self.to_string())
        }
    })* };
}

shown!(bool, usize, u64, Time, Size);
