//! A table: its lines, the command that gives the same, and its files.
//!
//! The script makes its titles buttons that sort, and adds a box that filters.

use maud::{Markup, html};

/// What stands in a column.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Text,
    /// It stands to the right, and is sorted by size.
    Number,
}

/// A field of a line.
pub struct Cell {
    shown: Markup,
    /// What the column is sorted by, where it is not the text itself.
    value: Option<String>,
}

impl Cell {
    /// A text.
    pub fn text(shown: Markup) -> Cell {
        Cell { shown, value: None }
    }

    /// A number, which may be shown in words.
    pub fn number(value: f64, shown: Markup) -> Cell {
        Cell { shown, value: Some(value.to_string()) }
    }
}

impl From<Markup> for Cell {
    fn from(shown: Markup) -> Cell {
        Cell::text(shown)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::text(crate::shown::short(&text))
    }
}

/// A table with what belongs to it.
#[derive(Default)]
pub struct Table {
    title: String,
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<Cell>>,
    foot: Vec<Vec<Cell>>,
    command: String,
    csv: String,
    json: String,
    more: Option<(String, String)>,
    notes: Vec<String>,
    nothing: &'static str,
}

impl Table {
    /// A table with a title.
    pub fn new(title: impl Into<String>, columns: &[(&'static str, Kind)]) -> Table {
        Table {
            title: title.into(),
            columns: columns.to_vec(),
            nothing: "Nothing of this is known.",
            ..Table::default()
        }
    }

    /// Adds a line.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Adds a line below all others, which is not sorted.
    pub fn sum(&mut self, cells: Vec<Cell>) {
        self.foot.push(cells);
    }

    /// True if it has no line.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The command that gives the same.
    pub fn command(mut self, command: impl Into<String>) -> Table {
        self.command = command.into();
        self
    }

    /// The address of the same as comma-separated values.
    pub fn csv(mut self, address: impl Into<String>) -> Table {
        self.csv = address.into();
        self
    }

    /// The question of the API that gives the same.
    pub fn json(mut self, address: impl Into<String>) -> Table {
        self.json = address.into();
        self
    }

    /// The address of what follows, and what the link says.
    pub fn more(mut self, address: impl Into<String>, words: impl Into<String>) -> Table {
        self.more = Some((address.into(), words.into()));
        self
    }

    /// Sentences below it.
    pub fn notes(mut self, notes: impl IntoIterator<Item = String>) -> Table {
        self.notes.extend(notes);
        self
    }

    /// What is said in place of an empty table.
    pub fn nothing(mut self, sentence: &'static str) -> Table {
        self.nothing = sentence;
        self
    }

    /// The table in a page.
    pub fn shown(self) -> Markup {
        let kind = |at: usize| self.columns.get(at).map(|(_, kind)| *kind).unwrap_or_default();
        let line = |cells: &[Cell]| {
            html! {
                tr {
                    @for (at, cell) in cells.iter().enumerate() {
                        td.num[kind(at) == Kind::Number] data-value=[cell.value.as_deref()] { (cell.shown) }
                    }
                }
            }
        };
        html! {
            section.table {
                div.head {
                    h2 { (crate::shown::short(&self.title)) }
                    p.files {
                        @if !self.csv.is_empty() && !self.rows.is_empty() { a href=(self.csv) download { "CSV" } }
                        @if !self.json.is_empty() { a href=(self.json) { "JSON" } }
                    }
                }
                @if self.rows.is_empty() {
                    p.faint { (self.nothing) }
                } @else {
                    div.scroll role="region" aria-label=(crate::shown::visible(&self.title)) tabindex="0" {
                        table {
                            thead {
                                tr {
                                    @for (title, kind) in &self.columns {
                                        th scope="col" .num[*kind == Kind::Number] { (title) }
                                    }
                                }
                            }
                            tbody { @for row in &self.rows { (line(row)) } }
                            @if !self.foot.is_empty() {
                                tfoot { @for row in &self.foot { (line(row)) } }
                            }
                        }
                    }
                }
                @for note in &self.notes { p.note { (crate::shown::long(note)) } }
                @if let Some((address, words)) = &self.more { p { a href=(address) { (words) } } }
                @if !self.command.is_empty() { (command(&self.command)) }
            }
        }
    }
}

/// A command to be typed.
pub fn command(line: &str) -> Markup {
    html! { p.command { span.unseen { "The same by a command: " } code { (crate::shown::long(line)) } } }
}
