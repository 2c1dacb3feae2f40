//! Advisories in the form of OSV (ossf.github.io/osv-schema): which versions of which packages are
//! affected.

use super::AffectedSoftware;
use serde::Deserialize;
use serde_json::json;

/// An advisory, as far as a question needs it.
#[derive(Debug, Deserialize)]
pub struct OsvAdvisory {
    /// Its name, such as `CVE-2024-3094`.
    #[serde(default)]
    id: String,
    #[serde(default)]
    affected: Vec<AffectedPackage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AffectedPackage {
    package: PackageName,
    ranges: Vec<Range>,
    versions: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PackageName {
    ecosystem: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

/// Ecosystems that have a packager here.
const PACKAGERS: [(&str, &str); 12] = [
    ("Debian", "dpkg"),
    ("Ubuntu", "dpkg"),
    ("Red Hat", "rpm"),
    ("Rocky Linux", "rpm"),
    ("AlmaLinux", "rpm"),
    ("SUSE", "rpm"),
    ("openSUSE", "rpm"),
    ("openEuler", "rpm"),
    ("Mageia", "rpm"),
    ("PyPI", "python"),
    ("conda", "conda"),
    ("conda-forge", "conda"),
];

impl OsvAdvisory {
    /// What is affected. Without an ecosystem it is software of whatever source.
    pub fn software(&self) -> AffectedSoftware {
        let mut software = AffectedSoftware::new(&self.id);
        for affected in &self.affected {
            let PackageName { ecosystem, name } = &affected.package;
            // `Debian:12`: the release of a distribution is not known of a file.
            let kind = ecosystem.split(':').next().unwrap_or_default();
            let packager = PACKAGERS.iter().find(|(known, _)| *known == kind).map(|(_, packager)| *packager);
            if name.is_empty() || (packager.is_none() && !ecosystem.is_empty()) {
                software.unknown.insert(format!("packages of {ecosystem}"));
                continue;
            }
            let mut element = json!({ "software": name, "packager": packager.unwrap_or_default() });
            match affected.condition() {
                Some(condition) if condition.is_empty() => continue,
                Some(condition) => element["version"] = condition.into(),
                None => {}
            }
            if !software.elements.contains(&element) {
                software.elements.push(element);
            }
        }
        software
    }
}

impl AffectedPackage {
    /// The condition on versions: `None` where all are affected, and empty where none is.
    fn condition(&self) -> Option<String> {
        let mut any: Vec<String> = self.versions.iter().map(|version| format!("={version}")).collect();
        for range in self.ranges.iter().filter(|range| range.kind != "GIT") {
            let mut introduced: Option<&str> = None;
            for event in &range.events {
                if let Some(version) = &event.introduced {
                    introduced = Some(version);
                }
                let end = match (&event.fixed, &event.last_affected) {
                    (Some(fixed), _) => format!("<{fixed}"),
                    (None, Some(last)) => format!("<={last}"),
                    (None, None) => continue,
                };
                any.push(match introduced.take() {
                    None | Some("0") => end,
                    Some(first) => format!(">={first},{end}"),
                });
            }
            match introduced {
                None => {}
                Some("0") => return None,
                Some(first) => any.push(format!(">={first}")),
            }
        }
        Some(any.join("||"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_advisory_says_which_versions_are_affected() {
        let text = json!({ "id": "CVE-1", "affected": [
            { "package": { "ecosystem": "Debian:12", "name": "xz-utils" }, "ranges": [
                { "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "5.4.1-0.2+deb12u1" }] },
                { "type": "GIT", "events": [{ "introduced": "0" }] } ] },
            { "package": { "ecosystem": "PyPI", "name": "numpy" }, "versions": ["1.0", "1.1"], "ranges": [
                { "type": "ECOSYSTEM", "events": [
                    { "introduced": "1.2" }, { "last_affected": "1.4" }, { "introduced": "2.0" }] } ] },
            { "package": { "ecosystem": "Rocky Linux:9", "name": "all" }, "ranges": [
                { "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] } ] },
            { "package": { "ecosystem": "npm", "name": "left-pad" } },
            { "package": { "name": "GROMACS" }, "versions": ["2024.1"] },
            { "package": { "ecosystem": "Debian:11", "name": "none" } }
        ]});
        let advisory: OsvAdvisory = serde_json::from_value(text).unwrap();
        let software = advisory.software();
        assert_eq!(
            software.elements,
            [
                json!({ "software": "xz-utils", "packager": "dpkg", "version": "<5.4.1-0.2+deb12u1" }),
                json!({ "software": "numpy", "packager": "python", "version": "=1.0||=1.1||>=1.2,<=1.4||>=2.0" }),
                json!({ "software": "all", "packager": "rpm" }),
                json!({ "software": "GROMACS", "packager": "", "version": "=2024.1" }),
            ]
        );
        assert_eq!(software.unknown, BTreeSet::from(["packages of npm".to_owned()]));
    }
}
