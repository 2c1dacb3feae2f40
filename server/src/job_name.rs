//! Names of jobs and clusters, the same wherever one is written or asked for: documents, answers,
//! addresses, files and `ogrt job`.
//!
//! Users choose job ids, because these come from an environment variable: they may be any bytes, of
//! any length, and may look like a name that we use ourselves. So `%` and two digits stand for a
//! byte that has no place in a name, the name of an id that its key cuts has `%%` and a digest at
//! its end, and no id has the name of processes without a job. Two ids have two names, and a name
//! leads back to its id (`each_id_has_a_name_of_its_own_that_leads_back`).

use crate::job_key::{CUT_LEN, DIGEST_LEN, cluster_key, job_key};
use ogrt_proto::{hex, printable::is_unprintable};
use std::{borrow::Cow, fmt::Write};

/// The name of processes without a job.
pub const NO_JOB: &str = "no-job";

/// Stands between a name that was cut and its digest; no other name has it.
const CUT: &[u8] = b"%%";

/// The name of the job with this id.
pub fn of(job_id: &[u8]) -> Cow<'_, str> {
    if job_id.len() < CUT_LEN { of_whole(job_id) } else { of_key(&job_key(job_id)).into_owned().into() }
}

/// The name of the job with this key.
pub fn of_key(key: &[u8]) -> Cow<'_, str> {
    let Some(head) = key.len().checked_sub(DIGEST_LEN).filter(|_| key.len() == CUT_LEN) else {
        return of_whole(key);
    };
    let (head, digest) = key.split_at(head);
    let mut name = String::with_capacity(CUT_LEN + DIGEST_LEN);
    escape(head, is_of_name, &mut name);
    name.push_str("%%");
    name.push_str(&hex(digest));
    name.into()
}

fn of_whole(job_id: &[u8]) -> Cow<'_, str> {
    // Addresses have no place for the two names that directories have for themselves.
    let is_ours = matches!(job_id, b"no-job" | b"." | b"..");
    match job_id {
        b"" => NO_JOB.into(),
        [first, rest @ ..] if is_ours => {
            let mut name = format!("%{first:02X}");
            escape(rest, is_of_name, &mut name);
            name.into()
        }
        _ => named(job_id, is_of_name),
    }
}

/// The name of a cluster. It has no slash, which separates it from the job in `ogrt job`.
pub fn of_cluster(cluster: &[u8]) -> Cow<'_, str> {
    named(cluster, |c| c != '/' && is_of_name(c))
}

fn named(bytes: &[u8], stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(&stays) => text.into(),
        _ => {
            let mut name = String::with_capacity(bytes.len() + 16);
            escape(bytes, stays, &mut name);
            name.into()
        }
    }
}

/// The key of the cluster with this name.
pub fn cluster_key_of(name: &str) -> Vec<u8> {
    cluster_key(&unescaped(name.as_bytes())).into_owned()
}

/// The key of the job with this name. Bytes that are not a name stand for themselves.
pub fn key_of(name: &[u8]) -> Vec<u8> {
    if name == NO_JOB.as_bytes() {
        return Vec::new();
    }
    let cut = name.len().checked_sub(CUT.len() + 2 * DIGEST_LEN).map(|at| name.split_at(at));
    if let Some((head, digest)) = cut.and_then(|(head, end)| Some((head, end.strip_prefix(CUT)?))) {
        let digest: Option<Vec<u8>> = digest.chunks(2).map(byte_of).collect();
        let key = digest.map(|digest| [unescaped(head), digest].concat());
        if let Some(key) = key.filter(|key| key.len() == CUT_LEN) {
            return key;
        }
    }
    job_key(&unescaped(name)).into_owned()
}

/// The bytes with each `%` and two digits replaced by the byte that they stand for.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| *first == b'%').and_then(byte_of);
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// Appends the bytes; those that `stays` does not keep become `%` and two digits. It may not keep
/// `%` itself.
pub fn escape(bytes: &[u8], stays: impl Fn(char) -> bool, name: &mut String) {
    let escape = |bytes: &[u8], name: &mut String| {
        for byte in bytes {
            // A String takes everything.
            let _ = write!(name, "%{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if stays(c) { name.push(c) } else { escape(c.encode_utf8(&mut [0; 4]).as_bytes(), name) }
        }
        escape(chunk.invalid(), name);
    }
}

fn is_of_name(c: char) -> bool {
    c != '%' && !is_unprintable(c)
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // Rust takes a sign in front, too.
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Ids that differ little, of every kind.
    fn ids() -> Vec<Vec<u8>> {
        let mut ids: Vec<Vec<u8>> = [
            &b""[..],
            b"no-job",
            b"%6Eo-job",
            b"%256Eo-job",
            b".",
            b"..",
            b"%2E",
            b"%2E.",
            b"...",
            b"4711",
            b"4711_[3].server",
            b"a/b",
            b"a%2Fb",
            b"\xFF\xFE",
            b"%FF%FE",
            b"%ff%fe",
            b"\xEF\xBF\xBD",
            b"a\nb",
            b"a%0Ab",
            b"a\0",
            b" ",
            b"%20",
            "\u{202e}x".as_bytes(),
            "\u{e4}".as_bytes(),
            b"%",
            b"%%",
            b"%4",
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        for length in [1022, 1023, 1024, 100_000] {
            ids.extend([b"b", b"c"].map(|last| [&vec![b'a'; length][..], last].concat()));
            ids.push([&vec![0xFF; length][..], b"b"].concat());
        }
        // The names of all these are ids too, and so are their keys.
        let made: Vec<Vec<u8>> =
            ids.iter().flat_map(|id| [of(id).as_bytes().to_vec(), job_key(id).into()]).collect();
        ids.extend(made);
        ids.sort();
        ids.dedup();
        ids
    }

    #[test]
    fn each_id_has_a_name_of_its_own_that_leads_back() {
        let ids = ids();
        let names: HashSet<_> = ids.iter().map(|id| of(id)).collect();
        assert_eq!(names.len(), ids.len());
        for id in &ids {
            let name = of(id);
            assert_eq!(key_of(name.as_bytes()), *job_key(id), "{name}");
            assert_eq!(name, of_key(&job_key(id)), "by its key, the same");
            assert!(!name.chars().any(is_unprintable), "{name}");
            assert!(name != "." && name != ".." && (name != NO_JOB || id.is_empty()), "{name}");
        }
        assert_eq!(of(b"4711_[3].server"), "4711_[3].server");
        assert_eq!((of(b"\xFF\xFE").as_ref(), of(b"no-job").as_ref()), ("%FF%FE", "%6Eo-job"));
    }

    #[test]
    fn all_short_ids_of_awkward_bytes_have_names_of_their_own() {
        let bytes = b"%26E/.a\n\xFF\xC3\xA4";
        let (mut ids, mut longest) = (vec![Vec::new()], vec![Vec::new()]);
        for _ in 0..4 {
            let longer = |id: &Vec<u8>| bytes.map(|byte| [&id[..], &[byte]].concat());
            longest = longest.iter().flat_map(longer).collect();
            ids.extend_from_slice(&longest);
        }
        let names: HashSet<_> = ids.iter().map(|id| of(id)).collect();
        let clusters: HashSet<_> = ids.iter().map(|id| of_cluster(id)).collect();
        assert_eq!((names.len(), clusters.len()), (ids.len(), ids.len()));
        for id in &ids {
            assert_eq!(key_of(of(id).as_bytes()), *id);
            assert_eq!(unescaped(of_cluster(id).as_bytes()), *id);
        }
    }
}
