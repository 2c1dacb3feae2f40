//! `[[filter]]`: which events are kept.

use super::table::{AsToml, choice, document_example, table};
use regex::bytes::Regex;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};

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
        path: Expression = Expression::default(),
        /// Regular expression for the name of the user, or for the uid if the name is not known.
        /// Empty: every user.
        user: Expression = Expression::default(),
        /// Regular expression for the name of the host. Empty: every host.
        host: Expression = Expression::default(),
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

/// A regular expression; the empty one fits everything.
#[derive(Clone, Debug, Default)]
pub struct Expression(Option<Regex>);

impl Expression {
    /// Fits the expression any text, so that the text need not be known?
    pub fn fits_all(&self) -> bool {
        self.0.is_none()
    }

    /// Does the expression fit some part of the text?
    pub fn fits(&self, text: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        if text.is_empty() {
            return Ok(Expression(None));
        }
        Regex::new(&text).map(|regex| Expression(Some(regex))).map_err(|problem| {
            // The message shows the expression over several lines. The last says what is wrong.
            let problem = problem.to_string();
            let last = problem.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let expected = format!("a regular expression ({last})");
            D::Error::invalid_value(Unexpected::Str(&text), &expected.as_str())
        })
    }
}

impl AsToml for Expression {
    fn as_toml(&self) -> Option<String> {
        Some(format!("{:?}", self.0.as_ref().map_or("", Regex::as_str)))
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
