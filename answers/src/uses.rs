//! Who ran something: what its lines say, and its table for spreadsheets.

use crate::{
    json_field::{number, text, time},
    learned_name::learned_name,
    spreadsheet::Spreadsheet,
};
use serde_json::Value;

/// Most names of software in a line.
const NAMES_MAX: usize = 3;

/// Who ran it, as comma-separated values: a line of titles, and one for each user.
pub fn csv(answers: &[Value]) -> String {
    let mut table = Spreadsheet::default();
    table.row(["of", "user", "processes", "loaded_later", "claimed", "jobs", "first", "last"]);
    for uses in answers {
        for user in uses["users"].as_array().into_iter().flatten() {
            let numbers = ["processes", "loaded_later", "claimed", "jobs"].map(|key| text(user, key));
            let times = [time(user, "first_ns"), time(user, "last_ns")];
            let names = [text(uses, "of"), text(user, "user")];
            table.row(names.into_iter().chain(numbers).chain(times));
        }
    }
    table.text()
}

/// What the files are that were asked for: the first of them, each name once.
pub fn learned_names(files: &Value) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in files.as_array().into_iter().flatten().map(learned_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(NAMES_MAX);
    names.truncate(NAMES_MAX);
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    names.join("; ") + &more
}

/// Counts in a sentence.
pub fn sentence(counts: &Value) -> String {
    let later = number(counts, "loaded_later");
    let mut sentence = format!(
        "{} processes in {} jobs of {} users on {} hosts",
        number(counts, "processes"),
        number(counts, "jobs"),
        number(counts, "users"),
        number(counts, "hosts")
    );
    if later > 0 {
        sentence += &format!("; {later} more loaded it after their start");
    }
    let claimed = number(counts, "claimed");
    if claimed > 0 {
        sentence += &format!("; {claimed} of them are claimed");
    }
    sentence
}

/// The number of processes, of those that loaded it after their start, and of claimed ones.
pub fn processes(row: &Value) -> String {
    let mut count = text(row, "processes");
    let (later, claimed) = (number(row, "loaded_later"), number(row, "claimed"));
    if later > 0 {
        count += &format!(" (+{later} later)");
    }
    if claimed > 0 {
        count += &format!(" ({claimed} claimed)");
    }
    count
}
