//! Package URLs on the command line (purl-spec): `pkg:deb/debian/xz-utils@5.6.1-1?arch=amd64`.

use anyhow::{Result, anyhow};

/// What a package URL says of a package, as far as a question needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct PackageUrl {
    /// Its packager, as learned files name it; `None` where they have no such packager.
    pub packager: Option<&'static str>,
    pub name: String,
    pub version: Option<String>,
}

/// The types of package URLs that have a packager here.
const PACKAGERS: [(&str, &str); 4] =
    [("deb", "dpkg"), ("rpm", "rpm"), ("conda", "conda"), ("pypi", "python")];

impl PackageUrl {
    /// Reads one.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = || anyhow!("{text}: expected a package URL, such as pkg:deb/debian/xz-utils@5.6.1-1");
        let rest = text.strip_prefix("pkg:").ok_or_else(wrong)?.trim_start_matches('/');
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (kind, path) = rest.split_once('/').ok_or_else(wrong)?;
        let (path, version) = match path.rsplit_once('@') {
            Some((path, version)) => (path, Some(decoded(version).ok_or_else(wrong)?)),
            None => (path, None),
        };
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = decoded(name).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        let packager = PACKAGERS.iter().find(|(known, _)| kind.eq_ignore_ascii_case(known));
        let version = version.filter(|version| !version.is_empty());
        Ok(PackageUrl { packager: packager.map(|(_, packager)| *packager), name, version })
    }
}

/// The text with its percent-encoded bytes.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_names_a_package() {
        let read = |text: &str| PackageUrl::read(text).unwrap();
        let of = |packager, name: &str, version: Option<&str>| PackageUrl {
            packager,
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        assert_eq!(
            read("pkg:deb/debian/xz-utils@5.6.1-1?arch=amd64#x"),
            of(Some("dpkg"), "xz-utils", Some("5.6.1-1"))
        );
        assert_eq!(read("pkg:pypi/numpy"), of(Some("python"), "numpy", None));
        assert_eq!(read("pkg:generic/libstdc%2B%2B@1%3A3"), of(None, "libstdc++", Some("1:3")));
        for wrong in ["xz-utils", "pkg:deb", "pkg:deb/", "pkg:deb/a%2", "pkg:deb/%FF", "pkg:deb/@1"] {
            assert!(PackageUrl::read(wrong).is_err(), "{wrong}");
        }
    }
}
