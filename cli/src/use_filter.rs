//! The options that narrow an answer about uses: the same ones for each command that gives one.

use clap::Args;
use ogrt_answers::time_argument::{FORMS, TimeArgument};

/// Every filter narrows the whole answer.
#[derive(Args)]
pub struct UseFilter {
    /// Only what ran at or after this time.
    #[arg(long, value_name = "TIME", help = format!("Only what ran at or after this time: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Only what ran before this time (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// Only what this user ran.
    #[arg(long)]
    user: Option<String>,

    /// Only what ran on this host.
    #[arg(long)]
    host: Option<String>,

    /// Only what ran in this cluster.
    #[arg(long)]
    cluster: Option<String>,
}

impl UseFilter {
    /// The filters as parameters of a question to the server.
    pub fn parameters(self) -> impl Iterator<Item = (&'static str, String)> {
        let time = |when: Option<TimeArgument>| when.map(|when| when.0.to_string());
        let all = [
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("user", self.user),
            ("host", self.host),
            ("cluster", self.cluster),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}
