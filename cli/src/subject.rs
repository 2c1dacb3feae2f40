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
            let digest = File::open(path).and_then(|file| sha256(&file));
            Ok(vec![hex(&digest.with_context(|| subject.to_owned())?.0)])
        }
        Err(error) => Err(error).with_context(|| subject.to_owned()),
    }
}

/// What to ask for somebody who wants to know who ran the subject.
pub struct UsesSubject {
    /// A signature or a digest, where the subject has one.
    pub key: Option<String>,
    /// What else of it was loaded: its build-id, or its path where it has none.
    pub loaded: Option<(&'static str, String)>,
}

/// The questions for the subject. A file that we did not build is known by its build-id, since
/// events name that of whatever is loaded; and by its digest, for builds that it was linked into.
pub fn uses_subjects(subject: &str) -> Result<Vec<UsesSubject>> {
    let is_file = subject.contains('/') || Path::new(subject).exists();
    if !is_file && is_build_id(subject) {
        return Ok(vec![UsesSubject { key: None, loaded: Some(("build_id", subject.to_ascii_lowercase())) }]);
    }
    let loaded = match subject.parse::<Signature>().is_ok() || is_digest(subject) {
        true => None,
        false => loaded_as(file(subject)?),
    };
    let of = |key| UsesSubject { key: Some(key), loaded: loaded.clone() };
    Ok(keys(subject)?.into_iter().map(of).collect())
}

/// How events name a linked file without a note: by its build-id, else by its path.
fn loaded_as(path: &Path) -> Option<(&'static str, String)> {
    let notes = elf_notes::read(path).ok().filter(|notes| notes.is_linked && notes.build_notes.is_empty())?;
    match notes.build_id {
        Some(build_id) => Some(("build_id", hex(&build_id))),
        None => {
            let path = path.canonicalize().ok()?;
            Some(("path", escaped(path.to_str()?)))
        }
    }
}

/// The pattern that fits this path alone.
fn escaped(path: &str) -> String {
    path.chars().fold(String::with_capacity(path.len()), |mut pattern, letter| {
        match letter {
            '*' | '?' | '[' => pattern.extend(['[', letter, ']']),
            _ => pattern.push(letter),
        }
        pattern
    })
}

/// True if the word can only be the name of software.
pub fn is_software(subject: &str) -> bool {
    let is_key = subject.parse::<Signature>().is_ok() || is_digest(subject) || is_build_id(subject);
    !subject.contains('/') && !is_key && !Path::new(subject).exists()
}

/// A build-id is 20 bytes, rarely 16 or less; 32 would be a digest.
fn is_build_id(text: &str) -> bool {
    let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal
        && text.len().is_multiple_of(2)
        && (16..=128).contains(&text.len())
        && !is_digest(text)
        && text.parse::<Signature>().is_err()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_is_told_from_a_digest_and_a_signature() {
        let digits = "0123456789abcdef".repeat(8);
        assert!(is_build_id(&digits[..40]) && is_build_id(&digits[..16]) && is_build_id(&digits));
        assert!(!is_build_id(&digits[..64]) && !is_build_id(&digits[..41]) && !is_build_id("libc.so.6"));
        assert!(!is_build_id("01890a5dac96774bbcceb302099a8057"), "a signature without hyphens");
    }

    #[test]
    fn a_path_with_the_signs_of_a_pattern_fits_itself_alone() {
        assert_eq!(escaped("/a*b[1]?"), "/a[*]b[[]1][?]");
    }
}
