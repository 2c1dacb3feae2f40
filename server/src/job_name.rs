//! Job ids as names, for people, addresses and answers.
//!
//! Users choose job ids, because these come from an environment variable: they may be any bytes,
//! and may look like the name that we give processes without a job. Each has a name of its own.

use std::fmt::Write;

/// The name of processes without a job.
pub const NO_JOB: &str = "no-job";

/// The name of a job: text without controls, another one for each id. `%` and two digits stand for
/// a byte that has no place in it.
pub fn of(job_id: &[u8]) -> String {
    if job_id.is_empty() {
        return NO_JOB.to_owned();
    }
    let mut name = String::with_capacity(job_id.len());
    let escape = |bytes: &[u8], name: &mut String| {
        for byte in bytes {
            // A String takes everything.
            let _ = write!(name, "%{byte:02X}");
        }
    };
    if job_id == NO_JOB.as_bytes() {
        escape(&job_id[..1], &mut name);
        name.push_str(&NO_JOB[1..]);
        return name;
    }
    for chunk in job_id.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || ogrt_proto::printable::is_unprintable(c) {
                escape(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut name);
            } else {
                name.push(c);
            }
        }
        escape(chunk.invalid(), &mut name);
    }
    name
}

/// The id that has this name. Where the bytes are no name, they stand for themselves.
pub fn id_of(name: &[u8]) -> Vec<u8> {
    if name == NO_JOB.as_bytes() { Vec::new() } else { unescaped(name) }
}

/// The bytes with each `%` and two digits replaced by the byte that they stand for.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_id_has_a_name_of_its_own() {
        let ids: Vec<Vec<u8>> = [
            &b""[..],
            b"no-job",
            b"%6Eo-job",
            b"4711",
            b"4711_[3].server",
            b"\xFF\xFE",
            b"%FF%FE",
            b"\xEF\xBF\xBD",
            b"a\nb",
            b"a%0Ab",
            b"a\0",
            "\u{202e}x".as_bytes(),
            "\u{e4}".as_bytes(),
            b"%",
            b"%%",
            b"%4",
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        let names: HashSet<_> = ids.iter().map(|id| of(id)).collect();
        assert_eq!(names.len(), ids.len());
        for id in &ids {
            assert_eq!(id_of(of(id).as_bytes()), *id, "{}", of(id));
            assert!(!of(id).chars().any(ogrt_proto::printable::is_unprintable));
        }
        assert_eq!(of(b"4711_[3].server"), "4711_[3].server");
    }
}
