//! `ogrt show --json`: `[{"path", "build_id", "watermarks": [{"signature", "note_version", "metadata"}]}]`.
//! `build_id` and `metadata` are null where the file has none or the bytes make no sense.

use crate::elf_notes::{FileWatermark, ShownFile};
use ogrt_proto::{MetadataJson, hex};
use serde::Serialize;

#[derive(Serialize)]
struct FileEntry<'a> {
    path: &'a str,
    build_id: Option<String>,
    watermarks: Vec<WatermarkEntry>,
}

#[derive(Serialize)]
struct WatermarkEntry {
    signature: String,
    note_version: u8,
    metadata: Option<MetadataJson>,
}

/// The files as a JSON list.
pub fn text(files: &[ShownFile]) -> serde_json::Result<String> {
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|file| FileEntry {
            path: &file.name,
            build_id: file.notes.build_id.as_deref().map(hex),
            watermarks: file.notes.watermarks.iter().map(WatermarkEntry::from).collect(),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

impl From<&FileWatermark> for WatermarkEntry {
    fn from(watermark: &FileWatermark) -> Self {
        WatermarkEntry {
            signature: watermark.signature.to_string(),
            note_version: watermark.note_version,
            metadata: watermark.metadata.as_ref().map(MetadataJson::from),
        }
    }
}
