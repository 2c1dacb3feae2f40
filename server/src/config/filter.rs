//! `[[filter]]`: which events are kept.

use super::table::{AsToml, Table, choice, table};
use std::fmt::Write;

table! {
    /// A rule of the filter. Rules are tried in order, and the first whose expressions all match decides; an event that
    /// none matches is kept. A rule without expressions matches everything.
    FilterRule {
        /// "drop" or "keep".
        action: FilterAction = FilterAction::Drop,
        /// A regular expression for the path of the executable. Empty, here as below: any.
        path: String = String::new(),
        /// For the name of the user; for the uid where the name is not known.
        user: String = String::new(),
        /// For the name of the host.
        host: String = String::new(),
    }
}

choice! {
    /// What becomes of an event that a rule matches.
    FilterAction {
        /// It goes to no output; it is counted.
        Drop = "drop",
        /// It goes out, whatever later rules say.
        Keep = "keep",
    }
}

impl AsToml for Vec<FilterRule> {
    fn as_toml(&self) -> Option<String> {
        None
    }
}

/// A rule, commented out, as an example.
pub fn document_example(out: &mut String) {
    let mut example = String::from("[[filter]]\n");
    FilterRule::default().document(&mut example);
    for line in example.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
}
