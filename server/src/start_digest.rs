//! Digests by which an end finds what its start told: the program with all that was loaded, and the
//! environment modules.
//!
//! An end repeats little of its start, and what a program had loaded takes kilobytes. The server
//! that follows the process puts these digests into its end; the stage of uses has seen the start
//! and knows them again. They are of the bytes as they stand in the start.

use crate::fields::{Fields, Value};
use ogrt_proto::field_numbers::{module, process_info};
use sha2::{Digest, Sha256};

/// A digest.
pub type StartDigest = [u8; 16];

/// Longest text of the names of modules. Nothing is told of modules with a longer one.
pub const MODULES_MAX: usize = 4096;

/// Fields that tell of the program.
const PROGRAM: [u32; 5] = [
    process_info::BINPATH,
    process_info::SIGNATURE,
    process_info::SHARED_OBJECTS,
    process_info::BUILD_ID,
    process_info::NOTES,
];

fn cut(digest: Sha256) -> StartDigest {
    let mut cut = [0; 16];
    cut.copy_from_slice(&digest.finalize()[..16]);
    cut
}

/// The digest of the program of a ProcessInfo that is whole.
pub fn of_program(message: &[u8]) -> StartDigest {
    let mut digest = Sha256::new();
    for (number, value) in Fields::of(message).map_while(Result::ok) {
        if let Value::Bytes(bytes) = value
            && PROGRAM.contains(&number)
        {
            digest.update(number.to_be_bytes());
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
    }
    cut(digest)
}

/// The names of a ProcessInfo's modules, each once, in the order of the alphabet, with a NUL behind
/// each; `None` where they are too long.
pub fn module_names(message: &[u8]) -> Option<Vec<u8>> {
    let mut names = Vec::new();
    for (number, value) in Fields::of(message).map_while(Result::ok) {
        if let (process_info::LOADED_MODULES, Value::Bytes(bytes)) = (number, value) {
            names.extend(name(bytes).filter(|name| !name.is_empty() && !name.contains(&0)));
        }
    }
    names.sort_unstable();
    names.dedup();
    let length: usize = names.iter().map(|name| name.len() + 1).sum();
    (length <= MODULES_MAX)
        .then(|| names.into_iter().flat_map(|name| [name, b"\0"]).flatten().copied().collect())
}

/// The digest of names of modules.
pub fn of_modules(names: &[u8]) -> StartDigest {
    cut(Sha256::new_with_prefix(names))
}

fn name(message: &[u8]) -> Option<&[u8]> {
    Fields::of(message).map_while(Result::ok).find_map(|field| match field {
        (module::NAME, Value::Bytes(name)) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{Module, ProcessInfo, SharedObject};
    use prost::Message;

    #[test]
    fn what_tells_of_the_program_counts_and_nothing_else() {
        let object = |path: &'static str| SharedObject { path: Some(path.into()), ..SharedObject::default() };
        let start = ProcessInfo {
            binpath: Some("/opt/code".into()),
            shared_objects: vec![object("/lib/libm.so.6"), object("/lib/libc.so.6")],
            ..ProcessInfo::default()
        };
        let digest = |start: &ProcessInfo| of_program(&start.encode_to_vec());
        let of_other_run = ProcessInfo { pid: Some(7), job_id: Some("1".into()), ..start.clone() };
        assert_eq!(digest(&start), digest(&of_other_run));
        let with_other = ProcessInfo { shared_objects: vec![object("/lib/libm.so.6")], ..start.clone() };
        assert_ne!(digest(&start), digest(&with_other));
    }

    #[test]
    fn modules_are_a_set() {
        let named = |names: &[&'static str]| {
            let module = |name: &&'static str| Module { name: Some((*name).into()), ..Module::default() };
            ProcessInfo { loaded_modules: names.iter().map(module).collect(), ..ProcessInfo::default() }
        };
        let names = |names: &[&'static str]| module_names(&named(names).encode_to_vec());
        assert_eq!(names(&["gcc/13", "fftw/3", "gcc/13"]), Some(b"fftw/3\0gcc/13\0".to_vec()));
        assert_eq!(names(&[]), Some(Vec::new()));
        assert_eq!(names(&[Box::leak("x".repeat(MODULES_MAX).into_boxed_str())]), None);
    }
}
