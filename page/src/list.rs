//! What the pages with a long list share: their question, the command and the file that say the
//! same, and where the list goes on.

use crate::{
    api::{Reader, Refusal},
    command, link,
    parameters::Parameters,
    period::Period,
    table::Table,
};
use serde_json::Value;

/// Lines of a page, and of a file.
const PAGE: &str = "100";
const FILE: &str = "10000";

/// A kind of list.
pub struct ListKind {
    /// The path of its page, without the slash; the path in the API and the command have this name.
    pub name: &'static str,
    /// The key of the lines in the answer.
    pub lines: &'static str,
    /// What narrows it: the name in the address and in the API, and the option of the command.
    pub narrowed_by: &'static [(&'static str, &'static str)],
    /// Words for what follows.
    pub more: &'static str,
}

/// A list as an address asks for it.
pub struct List<'a> {
    kind: &'static ListKind,
    parameters: &'a Parameters,
    pub period: Period,
}

impl ListKind {
    /// The list that these parameters ask for.
    pub fn of<'a>(&'static self, parameters: &'a Parameters) -> Result<List<'a>, Refusal> {
        Ok(List { kind: self, parameters, period: Period::of(parameters, "")? })
    }
}

impl List<'_> {
    fn question<'a>(&'a self, limit: &'a str) -> Vec<(&'a str, &'a str)> {
        let narrowing = self.kind.narrowed_by.iter().map(|(name, _)| (*name, self.parameters.of(name)));
        let period = [("since", &self.period.since[..]), ("until", &self.period.until)];
        let place = [("limit", limit), ("cursor", self.parameters.of("cursor"))];
        narrowing.chain(period).chain(place).collect()
    }

    fn path(&self) -> String {
        format!("/v1/{}", self.kind.name)
    }

    /// The answer for a page.
    pub async fn ask(&self, reader: &Reader) -> Result<Value, Refusal> {
        reader.ask(&self.path(), &self.question(PAGE)).await
    }

    /// The lines for a file.
    pub async fn lines(&self, reader: &Reader) -> Result<Vec<Value>, Refusal> {
        let mut answer = reader.ask(&self.path(), &self.question(FILE)).await?;
        match answer[self.kind.lines].take() {
            Value::Array(lines) => Ok(lines),
            _ => Ok(Vec::new()),
        }
    }

    /// The table with its command, its files, and the way to what follows.
    pub fn complete(&self, table: Table, answer: &Value) -> Table {
        let page = format!("/{}", self.kind.name);
        let narrowing = self.kind.narrowed_by.iter();
        let options = narrowing.map(|(name, option)| (*option, self.parameters.of(name)));
        let period = [("--since", &self.period.since_text[..]), ("--until", &self.period.until_text)];
        let options: Vec<(&str, &str)> = options.chain(period).collect();
        let table = table
            .command(command::with_options(&["ogrt", self.kind.name], &options))
            .csv(self.parameters.address(&format!("{page}.csv"), &[("cursor", "")]))
            .json(link::to(&self.path(), &self.question(PAGE)));
        match answer["next"].as_str() {
            Some(next) => table.more(self.parameters.address(&page, &[("cursor", next)]), self.kind.more),
            None => table,
        }
    }
}
