//! Package URLs (purl-spec): one text for a piece of software, by which tools such as GUAC join
//! what they are told.
//!
//! There is no registered type for EasyBuild or Spack, and a file of the operating system is not
//! asked for its package here; so all are `generic`, told apart by their SHA-256.

use ogrt_proto::{FileJson, MetadataJson};
use std::fmt::Write;

/// The purl of a file, with the name and version of the build that it came from.
pub fn of(file: &FileJson, origin: Option<&MetadataJson>) -> String {
    let name = origin.and_then(|metadata| metadata.name.as_deref()).unwrap_or_else(|| base_name(&file.path));
    let mut purl = format!("pkg:generic/{}", encoded(name));
    if let Some(version) = origin.and_then(|metadata| metadata.version.as_deref()) {
        purl += &format!("@{}", encoded(version));
    }
    if !file.sha256.is_empty() {
        purl += &format!("?checksum=sha256:{}", file.sha256);
    }
    purl
}

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("unnamed")
}

/// The text with everything but letters, digits and `.-_~` percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_it_are_encoded() {
        let file = FileJson { path: "/opt/a b/libstdc++.a".into(), ..FileJson::default() };
        assert_eq!(of(&file, None), "pkg:generic/libstdc%2B%2B.a");
        let metadata = MetadataJson {
            name: Some("FFTW".into()),
            version: Some("3.3/x".into()),
            ..MetadataJson::default()
        };
        let file = FileJson { sha256: "ab".into(), ..file };
        assert_eq!(of(&file, Some(&metadata)), "pkg:generic/FFTW@3.3%2Fx?checksum=sha256:ab");
    }
}
