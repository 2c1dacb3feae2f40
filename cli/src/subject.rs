//! What a word on the command line means: a signature, or a file that carries some.

use crate::elf_notes;
use anyhow::{Context, Result, anyhow};
use ogrt_note::Signature;
use std::path::Path;

/// The signatures that are meant. A signature is taken as such even when a file has that name.
pub fn signatures(subject: &str) -> Result<Vec<Signature>> {
    if let Ok(signature) = subject.parse() {
        return Ok(vec![signature]);
    }
    let notes = elf_notes::read(file(subject)?).with_context(|| subject.to_owned())?;
    Ok(notes.watermarks.iter().map(|watermark| watermark.signature).collect())
}

/// Bytes as they are written everywhere: hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(subject: &str) -> Result<&Path> {
    let path = Path::new(subject);
    // A word with no slash that names no file was most likely meant as a signature.
    if !subject.contains('/') && !path.exists() {
        return Err(anyhow!("{subject}: neither a signature (a UUID) nor a file"));
    }
    Ok(path)
}
