//! `[[filter]]`: which events are kept.

use super::table::{AsToml, choice, document_example, table};

table! {
    /// Filter: which events are kept. The first rule whose expressions all match decides; a rule
    /// without expressions matches every event. An event that no rule matches is kept. Each
    /// [[filter]] is one rule; without any, all events are kept.
    FilterRule {
        /// "drop": the event is counted (metric ogrt_events_filtered_total) and written nowhere.
        /// "keep": the event is kept, and later rules are not tried.
        action: FilterAction = FilterAction::Drop,
        /// Regular expression for the path of the executable, such as "^/usr/bin/". Without ^ and $
        /// it matches any part of the path. Empty: every path.
        path: String = String::new(),
        /// Regular expression for the name of the user, or for the uid if the name is not known.
        /// Empty: every user.
        user: String = String::new(),
        /// Regular expression for the name of the host. Empty: every host.
        host: String = String::new(),
    }
}

choice! {
    /// What happens to an event that a rule matches.
    FilterAction {
        /// The event is counted and written nowhere.
        Drop = "drop",
        /// The event is kept, and later rules are not tried.
        Keep = "keep",
    }
}

impl AsToml for Vec<FilterRule> {
    fn as_toml(&self) -> Option<String> {
        None
    }
}

/// Appends a rule as an example.
pub fn document(out: &mut String) {
    document_example("[[filter]]\n", &FilterRule::default(), out);
}
