//! The time that a page is about.

use crate::{api::Refusal, parameters::Parameters};
use ogrt_answers::time_argument::{FORMS, TimeArgument};

/// A period as it was typed and as the API takes it. Either may be empty.
#[derive(Clone, Debug, Default)]
pub struct Period {
    /// The words of the address, as `ogrt` takes them.
    pub since_text: String,
    pub until_text: String,
    /// Seconds of Unix time.
    pub since: String,
    pub until: String,
}

impl Period {
    /// The period of a page; where its address says no beginning, it is this one.
    pub fn of(parameters: &Parameters, usual: &str) -> Result<Period, Refusal> {
        let since_text = match parameters.of("since") {
            "" if parameters.of("until").is_empty() => usual,
            text => text,
        };
        let until_text = parameters.of("until");
        let seconds = |name: &str, text: &str| match text {
            "" => Ok(String::new()),
            text => text
                .parse::<TimeArgument>()
                .map(|time| time.0.to_string())
                .map_err(|_| Refusal::bad_question(format!("{name}={text}: expected {FORMS}"))),
        };
        Ok(Period {
            since: seconds("since", since_text)?,
            until: seconds("until", until_text)?,
            since_text: since_text.to_owned(),
            until_text: until_text.to_owned(),
        })
    }

    /// The period in words.
    pub fn words(&self) -> String {
        let ago =
            |text: &str| text.strip_suffix('d').filter(|days| days.parse::<u32>().is_ok()).map(str::to_owned);
        match (&self.since_text[..], &self.until_text[..]) {
            ("", "") => "all of the time that is kept".to_owned(),
            (since, "") => match ago(since) {
                Some(days) => format!("the last {days} days"),
                None => format!("since {since}"),
            },
            ("", until) => format!("before {until}"),
            (since, until) => format!("from {since} to {until}"),
        }
    }
}
