//! Advisories in the form of CSAF 2.0, VEX among them: product statuses of vulnerabilities.
//!
//! What is said to be affected counts, in the versions that are said. Of a product that is only
//! said to be fixed, as in the advisories of distributions, all versions before that count.

use super::{
    AffectedSoftware,
    csaf_products::{Component, ProductTree, ProductVersions, Products},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Endings of packages that nobody runs.
const NOT_RUN: [&str; 2] = ["-debuginfo", "-debugsource"];

/// An advisory, as far as a question needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CsafAdvisory {
    document: Document,
    product_tree: ProductTree,
    vulnerabilities: Vec<Vulnerability>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    tracking: Tracking,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tracking {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vulnerability {
    product_status: ProductStatus,
}

/// Products by their ids.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProductStatus {
    known_affected: Vec<String>,
    first_affected: Vec<String>,
    last_affected: Vec<String>,
    fixed: Vec<String>,
    first_fixed: Vec<String>,
    recommended: Vec<String>,
    under_investigation: Vec<String>,
}

/// What is said of one software in one product.
#[derive(Default)]
struct Said {
    /// All versions are affected, unless others say more.
    any: bool,
    affected: BTreeSet<String>,
    first: BTreeSet<String>,
    last: BTreeSet<String>,
    fixed: BTreeSet<String>,
}

/// The packager and the name of software.
type Name = (&'static str, String);

impl CsafAdvisory {
    /// What is affected of products with this text in their names or ids.
    pub fn software(&self, product: &str) -> AffectedSoftware {
        let products = Products::of(&self.product_tree);
        let mut software = AffectedSoftware::new(&self.document.tracking.id);
        // For each software and the product that it is part of.
        let mut conditions: BTreeMap<Name, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        for vulnerability in &self.vulnerabilities {
            let mut said: BTreeMap<(Name, &str), Said> = BTreeMap::new();
            let status = &vulnerability.product_status;
            for (ids, add) in status.lists() {
                for id in ids {
                    let Some((component, whole)) = products.component(id) else {
                        if is_within(id, products.name(id), product) {
                            software.unknown.insert(products.name(id).to_owned());
                        }
                        continue;
                    };
                    let is_run = !NOT_RUN.iter().any(|ending| component.software.ends_with(ending));
                    if is_run && is_within(id, whole, product) {
                        let name = (component.packager, component.software.clone());
                        add(said.entry((name, whole)).or_default(), component);
                    }
                }
            }
            for id in status.under_investigation.iter().filter(|id| is_within(id, products.name(id), product))
            {
                software.unknown.insert(format!("{} (under investigation)", products.name(id)));
            }
            for ((name, whole), said) in said {
                conditions.entry(name).or_default().entry(whole).or_default().extend(said.conditions());
            }
        }
        for ((packager, name), by_product) in conditions {
            let any: BTreeSet<&String> = by_product.values().flatten().collect();
            if any.is_empty() {
                continue;
            }
            let mut element = json!({ "software": name, "packager": packager });
            if !any.iter().any(|condition| condition.is_empty()) {
                let any: Vec<&str> = any.into_iter().map(String::as_str).collect();
                element["version"] = any.join("||").into();
            }
            software.elements.push(element);
            let sets: BTreeSet<_> = by_product.values().collect();
            if sets.len() > 1 {
                software.products.extend(by_product.keys().map(|whole| (*whole).to_owned()));
            }
        }
        software
    }
}

type AddStatus = fn(&mut Said, &Component);

impl ProductStatus {
    /// The lists that say what is affected, and what each adds.
    fn lists(&self) -> [(&[String], AddStatus); 6] {
        let fixed: AddStatus = |said, component| {
            match &component.versions {
                ProductVersions::One(version) => said.fixed.insert(version.clone()),
                ProductVersions::Range(range) => match range.strip_prefix(">=") {
                    Some(first) if !first.contains([',', '|']) => said.fixed.insert(first.to_owned()),
                    _ => false,
                },
                ProductVersions::Any => false,
            };
        };
        [
            (&self.known_affected, |said, component| {
                match &component.versions {
                    ProductVersions::Any => said.any = true,
                    ProductVersions::One(version) => drop(said.affected.insert(format!("={version}"))),
                    ProductVersions::Range(range) if range.is_empty() => said.any = true,
                    ProductVersions::Range(range) => drop(said.affected.insert(range.clone())),
                };
            }),
            (&self.first_affected, |said, component| {
                if let ProductVersions::One(version) = &component.versions {
                    said.first.insert(version.clone());
                }
            }),
            (&self.last_affected, |said, component| {
                if let ProductVersions::One(version) = &component.versions {
                    said.last.insert(version.clone());
                }
            }),
            (&self.fixed, fixed),
            (&self.first_fixed, fixed),
            (&self.recommended, fixed),
        ]
    }
}

impl Said {
    /// Conditions on versions, one of which holds of what is affected; an empty one holds of all.
    fn conditions(self) -> BTreeSet<String> {
        let Said { any, mut affected, first, last, fixed } = self;
        let before_fixed = fixed.iter().map(|version| format!("<{version}"));
        match (first.first(), last.first()) {
            (Some(from), Some(to)) if first.len() == 1 && last.len() == 1 => {
                affected.insert(format!(">={from},<={to}"));
            }
            _ => {
                let until = before_fixed.clone().next_back().map(|until| format!(",{until}"));
                let until = until.filter(|_| fixed.len() == 1).unwrap_or_default();
                affected.extend(first.iter().map(|version| format!(">={version}{until}")));
                affected.extend(last.iter().map(|version| format!("<={version}")));
            }
        }
        match (affected.is_empty(), any, fixed.is_empty()) {
            (false, _, _) => affected,
            (true, true, true) => BTreeSet::from([String::new()]),
            (true, _, _) => before_fixed.collect(),
        }
    }
}

/// True where the name or the id of a product has this text in it.
fn is_within(id: &str, name: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    [id, name].iter().any(|one| one.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory() -> CsafAdvisory {
        let package = |name: &str, purl: &str| {
            json!({ "category": "product_version", "name": name, "product": { "product_id": name, "name": name,
                "product_identification_helper": { "purl": purl } } })
        };
        let system = |id: &str, name: &str| {
            json!({ "category": "product_name", "name": name, "product": { "product_id": id, "name": name,
                "product_identification_helper": { "cpe": format!("cpe:/o:example:{id}") } } })
        };
        let part = |of: &str, package: &str| {
            json!({ "category": "default_component_of", "product_reference": package,
                "relates_to_product_reference": of,
                "full_product_name": { "product_id": format!("{of}:{package}"), "name": "a part" } })
        };
        let all = json!({
            "document": { "category": "csaf_security_advisory", "tracking": { "id": "EX-2026:1" } },
            "product_tree": {
                "branches": [{ "category": "vendor", "name": "Example", "branches": [
                    system("EX9", "Example Linux 9"), system("EX8", "Example Linux 8"),
                    { "category": "architecture", "name": "x86_64", "branches": [
                        package("xz-9", "pkg:rpm/example/xz@5.2.5-8.ex9?arch=x86_64"),
                        package("xz-8", "pkg:rpm/example/xz@5.2.4-4.ex8?arch=x86_64"),
                        package("xz-debuginfo-9", "pkg:rpm/example/xz-debuginfo@5.2.5-8.ex9?arch=x86_64"),
                        package("zlib", "pkg:rpm/example/zlib?arch=src"),
                        package("curl", "pkg:rpm/example/curl@7"),
                        package("pad", "pkg:npm/left-pad@1"),
                    ] } ] }],
                "relationships": [part("EX9", "xz-9"), part("EX8", "xz-8"), part("EX9", "xz-debuginfo-9"),
                    part("EX9", "zlib"), part("EX9", "curl"), part("EX9", "pad")]
            },
            "vulnerabilities": [
                { "cve": "CVE-2026-1", "product_status": {
                    "fixed": ["EX9:xz-9", "EX8:xz-8", "EX9:xz-debuginfo-9"],
                    "known_affected": ["EX9:zlib", "EX9:pad"],
                    "known_not_affected": ["EX9:curl"] } },
                { "cve": "CVE-2026-2", "product_status": { "under_investigation": ["EX9:curl"] } },
            ],
        });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn an_advisory_says_what_is_affected_in_which_product() {
        let software = advisory().software("");
        assert_eq!(software.id, "EX-2026:1");
        assert_eq!(
            software.elements,
            [
                json!({ "software": "xz", "packager": "rpm", "version": "<5.2.4-4.ex8||<5.2.5-8.ex9" }),
                json!({ "software": "zlib", "packager": "rpm" }),
            ]
        );
        let texts = |texts: [&str; 2]| BTreeSet::from(texts.map(str::to_owned));
        assert_eq!(software.products, texts(["Example Linux 8", "Example Linux 9"]));
        assert_eq!(software.unknown, texts(["a part", "a part (under investigation)"]));
        let narrowed = advisory().software("linux 8");
        let expected = json!({ "software": "xz", "packager": "rpm", "version": "<5.2.4-4.ex8" });
        assert_eq!(
            (narrowed.elements, narrowed.products.len(), narrowed.unknown.len()),
            (vec![expected], 0, 0)
        );
    }

    #[test]
    fn statuses_of_one_product_are_one_condition() {
        let conditions = |status: serde_json::Value| {
            let tree = json!({ "full_product_names": (1..6).map(|version| json!({ "product_id": version.to_string(),
                "name": "x", "product_identification_helper": { "purl": format!("pkg:generic/x@{version}") } }))
                .chain([json!({ "product_id": "all", "name": "x",
                    "product_identification_helper": { "purl": "pkg:generic/x" } })]).collect::<Vec<_>>() });
            let all = json!({ "product_tree": tree, "vulnerabilities": [{ "product_status": status }] });
            let software = serde_json::from_value::<CsafAdvisory>(all).unwrap().software("");
            match software.elements.first() {
                Some(element) => element["version"].as_str().unwrap_or("all").to_owned(),
                None => "none".to_owned(),
            }
        };
        for (status, expected) in [
            (json!({ "known_affected": ["1", "2"], "fixed": ["3"] }), "=1||=2"),
            (json!({ "known_affected": ["all"], "fixed": ["3"] }), "<3"),
            (json!({ "known_affected": ["all"] }), "all"),
            (json!({ "fixed": ["3"] }), "<3"),
            (json!({ "recommended": ["3"], "known_not_affected": ["1"] }), "<3"),
            (json!({ "first_affected": ["2"], "last_affected": ["4"] }), ">=2,<=4"),
            (json!({ "first_affected": ["2"], "first_fixed": ["4"] }), ">=2,<4"),
            (json!({ "last_affected": ["4"] }), "<=4"),
            (json!({ "known_not_affected": ["1"] }), "none"),
        ] {
            assert_eq!(conditions(status.clone()), expected, "{status}");
        }
    }
}
