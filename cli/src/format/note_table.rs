//! `ogrt show` for people: a heading for each file, a sheet for each note in it.

use crate::{
    elf_notes::{BuildNote, ElfFile},
    format::{build_table::add_metadata, sheet::Sheet},
};
use ogrt_proto::{MetadataJson, hex};

/// The files with notes of ours. Files without are left out.
pub fn text(files: &[ElfFile]) -> String {
    let mut out = String::new();
    for file in files.iter().filter(|file| !file.notes.build_notes.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&Sheet::heading(&file.name));
        for note in &file.notes.build_notes {
            out.push_str(&sheet(note, file.notes.build_id.as_deref()).text());
        }
    }
    out
}

fn sheet(note: &BuildNote, build_id: Option<&[u8]>) -> Sheet {
    let mut sheet = Sheet::new();
    sheet.line("signature", note.signature.to_string());
    sheet.line("note version", note.note_version.to_string());
    match &note.metadata {
        Some(metadata) => add_metadata(&mut sheet, &MetadataJson::from(metadata)),
        None => sheet.line("metadata", "unreadable".to_owned()),
    }
    sheet.line("build-id", build_id.map(hex));
    sheet
}
