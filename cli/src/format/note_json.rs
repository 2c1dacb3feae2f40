//! `ogrt show --json`: `[{"path", "build_id", "watermarks": [{"signature", "note_version",
//! "metadata"}]}]`. `build_id` is null where the file has none, `metadata` where its bytes make no
//! sense.

use crate::elf_notes::{BuildNote, ElfFile};
use ogrt_proto::{MetadataJson, hex};
use serde::Serialize;

#[derive(Serialize)]
struct FileEntry<'a> {
    path: &'a str,
    build_id: Option<String>,
    watermarks: Vec<NoteEntry>,
}

#[derive(Serialize)]
struct NoteEntry {
    signature: String,
    note_version: u8,
    metadata: Option<MetadataJson>,
}

/// The files as a JSON list.
pub fn text(files: &[ElfFile]) -> serde_json::Result<String> {
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|file| FileEntry {
            path: &file.name,
            build_id: file.notes.build_id.as_deref().map(hex),
            watermarks: file.notes.build_notes.iter().map(NoteEntry::from).collect(),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

impl From<&BuildNote> for NoteEntry {
    fn from(note: &BuildNote) -> Self {
        NoteEntry {
            signature: note.signature.to_string(),
            note_version: note.note_version,
            metadata: note.metadata.as_ref().map(MetadataJson::from),
        }
    }
}
