//! How a table of the configuration is declared: once, with its keys, types, defaults and explanations.

use super::units::{Size, Time};
use std::path::PathBuf;

/// A table that can be written as commented TOML.
pub trait Table {
    /// Appends every key with its value and its meaning.
    fn document(&self, out: &mut String);

    /// Every key with its value, to be compared.
    fn values(&self) -> Vec<(&'static str, String)>;
}

/// A value as TOML has it; `None` for what is a table of its own.
pub trait AsToml {
    /// The value's text.
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

            fn document(&self, out: &mut String) {
                use std::fmt::Write;
                $(let _ = writeln!(out, "#{}", $about);)+
                $(
                    let value = $crate::config::table::AsToml::as_toml(&self.$key);
                    if let Some(value) = value {
                        out.push('\n');
                        $(let _ = writeln!(out, "#{}", $text);)+
                        let _ = writeln!(out, "{} = {value}", stringify!($key));
                    }
                )*
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
