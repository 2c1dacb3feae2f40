//! File names for jobs. Users choose job ids, because these come from an environment variable.
//!
//! A file has the job's name (`server/src/job_name.rs`), but for more bytes that become `%` and two
//! digits: only letters, digits and `_ . + - @ [ ]` stay, except a dot in front. What is asked by
//! such a name is answered alike, and two jobs do not share a file. A name that is too long for a
//! file system is cut, and ends with `%%` and a digest of the whole id. No job can take the name
//! that processes without a job have (`hostile_ids_stay_in_the_directory_and_apart`). Where a name
//! is taken by the same job id of another cluster, the cluster stands in front, and `%-`.

use crate::job_name::{NO_JOB, escape};
use ogrt_proto::hex;
use sha2::{Digest, Sha256};

/// Longest name before the extension.
const NAME_MAX: usize = 180;

/// How much of the id stands in a name that was cut.
const CUT: usize = 100;

/// The name of the job's file, without extension.
pub fn file_stem(job_id: &[u8]) -> String {
    if job_id.is_empty() {
        return NO_JOB.to_owned();
    }
    // Each byte takes a place in the name at least, so what is behind need not be looked at.
    let begin = &job_id[..job_id.len().min(NAME_MAX + 1)];
    let is_first_escaped = job_id[0] == b'.' || job_id == NO_JOB.as_bytes();
    let (first, rest) = begin.split_at(usize::from(is_first_escaped));
    let mut stem = String::with_capacity(NAME_MAX);
    escape(first, |_| false, &mut stem);
    escape(rest, |c| c.is_ascii_alphanumeric() || "_+-@[].".contains(c), &mut stem);
    if stem.len() > NAME_MAX {
        let digest = hex(&Sha256::digest(job_id)[..16]);
        stem.truncate(CUT);
        return format!("{stem}%%{digest}");
    }
    stem
}

/// The name of the job's file where that without the cluster is another cluster's.
pub fn file_stem_in(cluster: &[u8], job_id: &[u8]) -> String {
    let cluster_stem = if cluster.is_empty() { String::new() } else { file_stem(cluster) };
    let stem = format!("{cluster_stem}%-{}", file_stem(job_id));
    if stem.len() <= NAME_MAX {
        return stem;
    }
    let whole = [&(cluster.len() as u64).to_be_bytes(), cluster, job_id].concat();
    format!("{}%-%%{}", &stem[..CUT], hex(&Sha256::digest(&whole)[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_name::key_of;
    use std::collections::HashSet;

    #[test]
    fn hostile_ids_stay_in_the_directory_and_apart() {
        let long = [b'a'; 5000];
        let mut longer = long.to_vec();
        longer[4999] = b'b';
        let ids: [&[u8]; 16] = [
            b"",
            b"no-job",
            b"%6Eo-job",
            b"..",
            b".",
            b"/",
            b"../../etc/passwd",
            b"a/b",
            b"a%2Fb",
            b"a\0b",
            b"\xFF",
            b"\xFE",
            b"4711.server",
            b" ",
            &long,
            &longer,
        ];
        let names: HashSet<String> = ids.iter().map(|id| file_stem(id)).collect();
        assert_eq!(names.len(), ids.len());
        for name in &names {
            assert!(
                !name.starts_with('.') && !name.contains('/') && !name.contains('\0') && name.len() < 200,
                "{name}"
            );
        }
        for id in ids.iter().filter(|id| id.len() < NAME_MAX) {
            assert_eq!(key_of(file_stem(id).as_bytes()), *id, "asked by the file's name");
        }
        let mut in_clusters: HashSet<String> = names.clone();
        for cluster in ids {
            in_clusters.extend(ids.iter().map(|id| file_stem_in(cluster, id)));
        }
        assert_eq!(in_clusters.len(), ids.len() + ids.len() * ids.len());
        assert!(
            in_clusters.iter().all(|name| !name.starts_with('.') && !name.contains('/') && name.len() < 200)
        );
        assert_eq!(file_stem_in(b"alpha", b"900"), "alpha%-900");
        assert_eq!(file_stem(b"4711_[3]"), "4711_[3]");
        assert_eq!(file_stem(b"no-job"), "%6Eo-job");
    }
}
