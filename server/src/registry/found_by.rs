//! The short keys that a build is found by, the same in both backends.
//!
//! A [`Term`] is a kind and 16 bytes: a whole signature, a digest's first half, or a hash of any
//! text. A question about two things names two terms. Two different things share a term only where
//! SHA-256 collides in 128 bits.

use ogrt_note::Signature;
use ogrt_proto::{BuildRecord, Builder, FileKind, Input};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Most terms of one build. What a record names beyond them stays in the record, but is not
/// searched.
const TERMS_MAX: usize = 100_000;

/// Most flags and most words of compilers that are searched in one build.
const FLAGS_MAX: usize = 256;
const WORDS_MAX: usize = 64;

/// Longest flag or word that is searched.
const WORD_LEN_MAX: usize = 128;

/// A kind and 16 bytes.
pub type Term = [u8; 17];

/// What a question about contents asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A build.
    Signature(Signature),
    /// The SHA-256 of a file that came out of a build or went into one.
    Digest([u8; 32]),
}

impl Part {
    /// Reads a UUID, or 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Part> {
        match hexadecimal(text) {
            Some(bytes) if bytes.len() == 32 => Some(Part::Digest(bytes.try_into().ok()?)),
            _ => Signature::parse(text.as_bytes()).ok().map(Part::Signature),
        }
    }

    /// The term of builds with this among their inputs.
    pub fn as_input(&self) -> Term {
        match self {
            Part::Signature(signature) => bytes(b's', signature.as_bytes()),
            Part::Digest(digest) => bytes(b'd', digest),
        }
    }
}

/// The bytes that hexadecimal digits stand for.
pub fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// The term of software with this name.
pub fn name(name: &str) -> Term {
    text(b'n', name)
}

/// The term of software with this version.
pub fn version(version: &str) -> Term {
    text(b'v', version)
}

/// The term of builds that this user linked, given by name or uid.
pub fn user(user: &str) -> Term {
    text(b'u', user)
}

/// The term of one word of a compiler's name or version, in upper or lower case.
pub fn compiler_word(word: &str) -> Term {
    text(b'c', &word.to_lowercase())
}

/// The term of a compiler's flag.
pub fn flag(flag: &str) -> Term {
    text(b'f', flag)
}

/// The term of the build that this file came out of.
pub fn output_digest(digest: &[u8]) -> Term {
    bytes(b'o', digest)
}

/// The term of the build whose output has this build-id.
pub fn output_build_id(build_id: &[u8]) -> Term {
    hashed(b'b', build_id)
}

/// Is the term one of a build's output, which at most a few builds have?
pub fn is_of_output(term: &Term) -> bool {
    matches!(term[0], b'o' | b'b')
}

/// Is the word a flag that can be searched? Flags with a path differ from build to build and say
/// little.
pub fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.len() <= WORD_LEN_MAX && word.starts_with('-') && !word.contains('/')
}

/// All terms of a record, sorted, each once.
pub fn of(record: &BuildRecord) -> Vec<Term> {
    let mut terms = Vec::with_capacity(32 + 2 * record.inputs.len().min(TERMS_MAX));
    if let Some(metadata) = &record.metadata {
        terms.extend(metadata.name.as_deref().map(name));
        terms.extend(metadata.version.as_deref().map(version));
    }
    let builder = Builder::of(record);
    // A name that the server does not know may belong to the proved uid, but not to a forged one.
    let name = builder.username.or(builder.claimed_username.filter(|_| builder.claimed_uid.is_none()));
    terms.extend(name.as_deref().map(user));
    terms.extend(builder.uid.map(|uid| user(&uid.to_string())));
    if let Some(output) = &record.output {
        terms.extend(output.sha256.as_deref().and_then(as_digest).map(|digest| output_digest(&digest)));
        terms.extend(output.build_id.as_deref().map(output_build_id));
    }
    terms.extend(flags(record).into_iter().map(flag));
    terms.extend(compiler_words(record).into_iter().map(compiler_word));
    for input in record.inputs.iter().filter(|input| !input.dropped()) {
        terms.extend(input.sha256.as_deref().and_then(as_digest).map(|d| Part::Digest(d).as_input()));
        terms.extend(signatures(input).map(|signature| Part::Signature(signature).as_input()));
        if terms.len() > TERMS_MAX {
            break;
        }
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The signatures of an input; none of a library that the linker dropped, since nothing depends on
/// it.
pub fn signatures(input: &Input) -> impl Iterator<Item = Signature> {
    let signatures = if input.dropped() { &[][..] } else { &input.signatures };
    signatures.iter().filter_map(|bytes| Signature::from_slice(bytes))
}

/// The digest of an input without a signature that a registered link may have made. Objects and
/// archives do not come from links.
pub fn may_be_an_output(input: &Input) -> Option<[u8; 32]> {
    match input.kind() {
        _ if input.dropped() => None,
        FileKind::SharedLibrary | FileKind::Executable | FileKind::Unknown => {
            input.sha256.as_deref().and_then(as_digest).filter(|_| input.signatures.is_empty())
        }
        _ => None,
    }
}

/// The bytes as a digest; `None` unless they are 32.
pub fn as_digest(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

/// The flags in the driver's command and in what the compilers wrote into the objects.
fn flags(record: &BuildRecord) -> BTreeSet<&str> {
    let driver = record.driver_command.iter().filter_map(|word| std::str::from_utf8(word).ok());
    let noted = record.compilers.iter().flat_map(|compiler| compiler.producer().split_whitespace());
    driver.chain(noted).filter(|word| is_flag(word)).take(FLAGS_MAX).collect()
}

fn compiler_words(record: &BuildRecord) -> BTreeSet<&str> {
    let summary = record.metadata.as_ref().and_then(|metadata| metadata.compiler.as_deref());
    let producers = record.compilers.iter().map(|compiler| compiler.producer());
    summary
        .into_iter()
        .chain(producers)
        .flat_map(str::split_whitespace)
        .filter(|word| !word.starts_with('-') && word.len() <= WORD_LEN_MAX)
        .take(WORDS_MAX)
        .collect()
}

fn text(kind: u8, text: &str) -> Term {
    hashed(kind, text.as_bytes())
}

fn hashed(kind: u8, value: &[u8]) -> Term {
    bytes(kind, &Sha256::digest(value))
}

fn bytes(kind: u8, value: &[u8]) -> Term {
    let mut term = [0; 17];
    term[0] = kind;
    let len = value.len().min(16);
    term[1..=len].copy_from_slice(&value[..len]);
    term
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_signature_or_a_digest_and_nothing_else() {
        let digest = "0f".repeat(32);
        assert_eq!(Part::parse(&digest), Some(Part::Digest([0x0f; 32])));
        let uuid = "01010101-0101-0101-0101-010101010101";
        assert!(matches!(Part::parse(uuid), Some(Part::Signature(_))));
        assert!(matches!(Part::parse(&uuid.replace('-', "")), Some(Part::Signature(_))));
        for wrong in ["", "0", "xyz", &digest[1..], &format!("{digest}00"), "ä".repeat(32).as_str()] {
            assert_eq!(Part::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_come_from_the_command_and_from_what_compilers_noted() {
        let record = BuildRecord {
            driver_command: ["gcc", "-O3", "-I/usr/include", "-o", "a.out", "-"].map(Into::into).to_vec(),
            compilers: vec![ogrt_proto::Compiler {
                producer: Some("GNU C17 12.2.0 -mtune=generic -Ofast".into()),
                inputs: Some(1),
            }],
            ..BuildRecord::default()
        };
        assert_eq!(flags(&record).into_iter().collect::<Vec<_>>(), ["-O3", "-Ofast", "-mtune=generic", "-o"]);
        assert_eq!(compiler_words(&record).into_iter().collect::<Vec<_>>(), ["12.2.0", "C17", "GNU"]);
    }
}
