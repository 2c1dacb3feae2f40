//! A sheet: labels on the left, values on the right, as all our answers for people look.
//!
//! Values come from notes and records that anybody may have written, so control characters are
//! shown, not sent: a terminal must not act on what a stranger put into a file.

use comfy_table::{Attribute, Cell, Row, Table, presets};
use ogrt_proto::printable::one_line;

/// The lines of one answer.
pub struct Sheet(Table);

impl Sheet {
    /// Makes an empty sheet. Labels are bold on a terminal, unless NO_COLOR is set.
    pub fn new() -> Sheet {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            table.force_no_tty();
        }
        Sheet(table)
    }

    /// A line of text above a sheet.
    pub fn heading(text: &str) -> String {
        one_line(text).into_owned() + "\n"
    }

    /// Adds a line with a label. Without a value nothing is added.
    pub fn line(&mut self, label: &str, value: impl Into<Option<String>>) {
        if let Some(value) = value.into().filter(|value| !value.is_empty()) {
            self.0.add_row([Cell::new(label).add_attribute(Attribute::Bold), Cell::new(one_line(&value))]);
        }
    }

    /// Adds the line of titles above columns.
    pub fn titles(&mut self, titles: &[&str]) {
        let cells = titles.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold));
        self.0.add_row(cells.collect::<Vec<_>>());
    }

    /// Adds a line of several columns.
    pub fn columns(&mut self, values: impl IntoIterator<Item = String>) {
        let values = values.into_iter().map(|value| one_line(&value).into_owned());
        self.0.add_row(Row::from(values.collect::<Vec<_>>()));
    }

    /// The text of the sheet, without spaces at the ends of lines.
    pub fn text(&self) -> String {
        self.0.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_never_sent_what_a_file_says() {
        let mut sheet = Sheet::new();
        sheet.line("name", "zl\u{1b}[31mib\nsignature  fake".to_owned());
        assert_eq!(sheet.text(), " name  zl\\u{1b}[31mib\\nsignature  fake\n");
    }

    #[test]
    fn empty_values_leave_no_line() {
        let mut sheet = Sheet::new();
        sheet.line("version", None);
        sheet.line("name", String::new());
        assert_eq!(sheet.text(), "");
    }
}
