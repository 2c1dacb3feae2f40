//! Programs that nobody registered: their table for spreadsheets.

use crate::{
    json_field::{text, time, words},
    learned_name::name_or_resemblance,
    spreadsheet::Spreadsheet,
};
use serde_json::Value;

/// Comma-separated values: a line of titles, and one for each program. Times are ISO 8601 in UTC.
pub fn csv(programs: &[Value]) -> String {
    let mut table = Spreadsheet::default();
    table.row([
        "binpath",
        "build_id",
        "signature",
        "software",
        "processes",
        "claimed",
        "jobs",
        "hosts",
        "users",
        "first",
        "last",
    ]);
    for program in programs {
        let of = |key: &str| text(program, key);
        table.row([
            of("binpath"),
            of("build_id"),
            of("signature"),
            name_or_resemblance(program),
            of("processes"),
            of("claimed"),
            of("jobs"),
            of("hosts"),
            words(program, "users"),
            time(program, "first_ns"),
            time(program, "last_ns"),
        ]);
    }
    table.text()
}
