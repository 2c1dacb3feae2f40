//! Comma-separated values (RFC 4180), as spreadsheets read them.

/// A table in the making, a row at a time.
pub struct Spreadsheet(csv::Writer<Vec<u8>>);

impl Default for Spreadsheet {
    fn default() -> Self {
        Spreadsheet(csv::WriterBuilder::new().flexible(true).from_writer(Vec::new()))
    }
}

impl Spreadsheet {
    /// Writes a row.
    pub fn row<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) {
        // Memory takes what is written, and rows of any length are allowed.
        let _ = self.0.write_record(cells);
    }

    /// All rows.
    pub fn text(self) -> String {
        let bytes = self.0.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}
