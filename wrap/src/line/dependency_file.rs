//! `--dependency-file`: the linker lists what it read for make or ninja, and our object, which is
//! gone when they look, has to come off the list again. With it every later build would link again.

use std::io;
use std::path::Path;

/// Takes `note` off the list in the file at `path`. A pipe or a device is left alone: what the
/// linker wrote there is gone, and a read would wait.
pub fn remove_from(path: &Path, note: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(());
    }
    let (Ok(text), Some(note)) = (String::from_utf8(std::fs::read(path)?), note.to_str()) else {
        return Ok(());
    };
    if text.contains(note) {
        // Written in place, since it has to stay the file that the linker created.
        std::fs::write(path, without(&text, note))?;
    }
    Ok(())
}

/// The list without the note. GNU ld and lld write one file on each line, mold all on one; then
/// each file follows again as a target of its own.
fn without(text: &str, note: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        if !line.contains(note) {
            kept.push(line.to_owned());
        } else if line.trim() == format!("{note}:") {
            kept.pop_if(|before| before.trim().is_empty());
        } else if line.trim() == note {
            // The note was the last of the list, so the line before it is now.
            if let Some(before) = kept.pop() {
                kept.push(before.replace(" \\\n", "\n"));
            }
        } else if line.trim().trim_end_matches('\\').trim() != note {
            kept.push(line.replacen(&format!(" {note}"), "", 1));
        }
    }
    kept.concat()
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn the_note_comes_off_every_form_of_list() {
        let bare = "out: \\\n  a.o \\\n  b.o\n\na.o:\n\nb.o:\n";
        let between = "out: \\\n  a.o \\\n  /n/1 \\\n  b.o\n\na.o:\n\n/n/1:\n\nb.o:\n";
        let last = "out: \\\n  a.o \\\n  b.o \\\n  /n/1\n\na.o:\n\nb.o:\n\n/n/1:\n";
        assert_eq!(without(between, "/n/1"), bare);
        assert_eq!(without(last, "/n/1"), bare);
        assert_eq!(without("out: a.o /n/1 b.o\n\na.o:\n\n/n/1:\n", "/n/1"), "out: a.o b.o\n\na.o:\n");
    }
}
