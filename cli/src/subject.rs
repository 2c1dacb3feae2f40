//! What a word on the command line means: a signature, a file that carries some, or the digest of a
//! file.

use crate::elf_notes::{self, ElfError};
use anyhow::{Context, Result, anyhow};
use ogrt_note::Signature;
use ogrt_proto::hex;
use ogrt_wrap::record::digest::sha256;
use std::{fs::File, path::Path};

/// The signatures that the word means. A signature is taken as one even where a file has that name.
pub fn signatures(subject: &str) -> Result<Vec<Signature>> {
    if let Ok(signature) = subject.parse() {
        return Ok(vec![signature]);
    }
    let notes = elf_notes::read(file(subject)?).with_context(|| subject.to_owned())?;
    Ok(notes.build_notes.iter().map(|note| note.signature).collect())
}

/// The keys that the registry knows the subject by: its signatures, or the digest of a file that
/// has none, such as an archive.
pub fn keys(subject: &str) -> Result<Vec<String>> {
    if let Ok(signature) = subject.parse::<Signature>() {
        return Ok(vec![signature.to_string()]);
    }
    if is_digest(subject) {
        return Ok(vec![subject.to_ascii_lowercase()]);
    }
    let path = file(subject)?;
    match elf_notes::read(path) {
        Ok(notes) if !notes.build_notes.is_empty() => {
            Ok(notes.build_notes.iter().map(|note| note.signature.to_string()).collect())
        }
        Ok(_) | Err(ElfError::NotElf) => {
            let digest = File::open(path).and_then(|mut file| sha256(&mut file));
            Ok(vec![hex(&digest.with_context(|| subject.to_owned())?.0)])
        }
        Err(error) => Err(error).with_context(|| subject.to_owned()),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn file(subject: &str) -> Result<&Path> {
    let path = Path::new(subject);
    // A word without a slash that names no file was most likely meant as a signature.
    if !subject.contains('/') && !path.exists() {
        return Err(anyhow!("{subject}: neither a signature (a UUID) nor a file"));
    }
    Ok(path)
}
