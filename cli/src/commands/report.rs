//! `ogrt report`: what was used in a period.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::report_table,
};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ogrt_answers::{
    json_field::behind,
    report,
    time_argument::{FORMS, TimeArgument},
};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt report --by software --since 2026-01-01\n\
\x20 ogrt report --by account,month --where software=GROMACS --csv\n\
\x20 ogrt report --preset unknown --since 30d";

/// Show what was used in a period: CPU-hours, node-hours, processes, jobs and users.
///
/// A process counts on the day on which it began, by UTC. CPU-hours are those of processes that
/// have ended. docs/report.md defines each figure, with an example.
///
/// Exit status: 0 something was used, 1 nothing was, 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportCommand {
    /// A line for each value of these keys, with commas between: software, version, program,
    /// executable, compiler, library, module, package, installed_package, known_by, user, account,
    /// partition, cluster, host, status, day, week, month. At most four.
    #[arg(long, value_name = "KEYS", conflicts_with = "preset")]
    by: Option<String>,

    /// Only days from this one on.
    #[arg(long, value_name = "TIME", help = format!("Only days from this one on: {FORMS}"))]
    since: Option<TimeArgument>,

    /// Only days before this one (the same forms).
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArgument>,

    /// Only processes that have this value. Each key once.
    #[arg(long = "where", value_name = "KEY=VALUE")]
    only: Vec<String>,

    /// The figure by which the lines are ordered, the largest first.
    #[arg(long, value_enum, conflicts_with = "preset")]
    order: Option<Order>,

    /// The largest number of lines, up to 10000: those with the most CPU-hours.
    #[arg(long, default_value_t = 20)]
    top: usize,

    /// A report that many sites publish.
    #[arg(long, value_enum)]
    preset: Option<Preset>,

    /// Print comma-separated values.
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    csv: bool,

    /// Print a table in Markdown.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// Print JSON, with times in microseconds.
    #[arg(long)]
    json: bool,
}

/// The figures that lines may be ordered by.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Order {
    /// CPU-hours.
    Cpu,
    /// Node-hours.
    Node,
    /// Hours from start to end.
    Wall,
    /// Processes.
    Processes,
}

impl Order {
    fn text(self) -> &'static str {
        match self {
            Order::Cpu => "cpu",
            Order::Node => "node",
            Order::Wall => "wall",
            Order::Processes => "processes",
        }
    }
}

/// Reports that sites publish.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Preset {
    /// Software by core-hours as XALT counts them: from start to end, for each rank.
    XaltTop,
    /// Software and its versions by node-hours, as ARCHER2 publishes them.
    Archer2,
    /// Registered software, the least used last.
    Retire,
    /// Compilers of the software that ran.
    Compilers,
    /// Libraries that were loaded.
    Libraries,
    /// Environment modules that were loaded: what may be retired is not among them.
    Modules,
    /// Packages of languages, such as those that Pythons imported.
    Packages,
    /// Programs that nobody registered and nothing explains.
    Unknown,
}

impl Preset {
    fn keys(self) -> &'static str {
        match self {
            Preset::XaltTop => "executable",
            Preset::Archer2 | Preset::Retire => "software,version",
            Preset::Compilers => "compiler",
            Preset::Libraries => "library",
            Preset::Modules => "module",
            Preset::Packages => "package",
            Preset::Unknown => "program",
        }
    }

    /// What narrows it.
    fn only(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::Retire => &[("registered", "yes")],
            Preset::Unknown => &[("registered", "no"), ("known_by", "")],
            Preset::XaltTop
            | Preset::Archer2
            | Preset::Compilers
            | Preset::Libraries
            | Preset::Modules
            | Preset::Packages => &[],
        }
    }
}

impl ReportCommand {
    /// Asks the server. Answers no where nothing was used.
    pub fn run(self) -> Result<ExitStatus> {
        let keys = self.by.as_deref().or(self.preset.map(Preset::keys)).unwrap_or("software");
        let mut question = vec![("by", keys.to_owned()), ("top", self.top.to_string())];
        let only = self.preset.map_or(&[][..], Preset::only);
        question.extend(only.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let order = match self.preset {
            Some(Preset::Archer2) => Some("node"),
            Some(Preset::XaltTop) => Some("wall"),
            _ => self.order.map(|order| order.text()),
        };
        question.extend(order.map(|order| ("order", order.to_owned())));
        for only in &self.only {
            let (key, value) =
                only.split_once('=').with_context(|| format!("--where {only}: expected KEY=VALUE"))?;
            question.push((key, value.to_owned()));
        }
        question.extend(self.since.map(|when| ("since", when.0.to_string())));
        question.extend(self.until.map(|when| ("until", when.0.to_string())));
        let server = ApiClient::from_environment()?;
        let answer = server.answer_to(&["v1", "report"], &question)?.unwrap_or_default();
        print(match (self.json, self.csv, self.markdown) {
            (true, _, _) => serde_json::to_string_pretty(&answer)? + "\n",
            (_, true, _) => report::csv(&answer),
            (_, _, true) => report_table::markdown(&answer),
            _ => report_table::text(&answer),
        })?;
        if !answer["counted_until_ns"].is_null() {
            complain(behind(&answer));
        }
        if answer["truncated"] == true {
            complain("incomplete: more was used than the server keeps apart");
        }
        match answer["total"]["processes"].as_u64() {
            Some(0) | None => {
                complain(format_args!("nothing of this was used, as far as {} knows", server.address()));
                Ok(ExitStatus::No)
            }
            Some(_) => Ok(ExitStatus::Yes),
        }
    }
}
