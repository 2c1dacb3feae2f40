//! What waits in this user's spool: the reason that many an answer of no has.

use ogrt_proto::MessageType;
use ogrt_wrap::deliver::spool::SpoolDir;
use std::{fs::File, io::Read, path::Path};

/// The words for what waits in this user's spool, which follow an answer of no.
pub fn what_waits() -> String {
    let spool = SpoolDir::from_environment();
    let files = spool.waiting();
    if files.is_empty() {
        return "if its record waits in a spool, run `ogrt flush` there".to_owned();
    }
    let records = files.iter().filter(|file| is_record(file)).count();
    let kinds = [(records, "build record"), (files.len() - records, "event")];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what));
    let verb = if files.len() == 1 { "waits" } else { "wait" };
    format!(
        "{} {verb} in {}: `ogrt flush` sends them to the server",
        kinds.collect::<Vec<_>>().join(" and "),
        spool.path().display()
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Tells whether the file's first frame is a build record. One that cannot be read is called one.
fn is_record(file: &Path) -> bool {
    let mut kind = [0; 4];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut kind));
    read.is_err() || u32::from_be_bytes(kind) == MessageType::BuildRecord as u32
}
