//! The product tree of an advisory in CSAF's form: which software of which version a product is.

use super::version_range;
use crate::package_url::PackageUrl;
use serde::Deserialize;
use std::collections::HashMap;

/// Most relationships between a product and the software that is in it.
const DEPTH_MAX: usize = 8;

/// Types of package URLs that stand for software of whatever source.
const ANY_SOURCE: [&str; 4] = ["bitbucket", "generic", "github", "gitlab"];

/// Architectures at the end of the names of RPM packages.
const ARCHITECTURES: [&str; 8] = ["aarch64", "i586", "i686", "noarch", "ppc64le", "s390x", "src", "x86_64"];

/// See the module.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProductTree {
    branches: Vec<Branch>,
    full_product_names: Vec<Product>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Branch {
    category: String,
    name: String,
    product: Option<Product>,
    branches: Vec<Branch>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Product {
    product_id: String,
    name: String,
    #[serde(rename = "product_identification_helper")]
    helper: Helper,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Helper {
    purl: Option<String>,
    purls: Vec<String>,
    cpe: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Relationship {
    full_product_name: Product,
    product_reference: String,
    relates_to_product_reference: String,
}

/// Versions of software that a product stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductVersions {
    Any,
    One(String),
    /// A condition on versions.
    Range(String),
}

/// Software of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub software: String,
    /// Its packager; empty for all sources.
    pub packager: &'static str,
    pub versions: ProductVersions,
}

/// All products, by their ids.
#[derive(Debug, Default)]
pub struct Products<'a> {
    /// The component of each product that is one.
    components: HashMap<&'a str, Component>,
    names: HashMap<&'a str, &'a str>,
    /// Product -> the software in it, and what that is part of.
    parts: HashMap<&'a str, (&'a str, &'a str)>,
}

impl<'a> Products<'a> {
    /// Reads the tree.
    pub fn of(tree: &'a ProductTree) -> Self {
        let mut products = Products::default();
        for branch in &tree.branches {
            products.add_branch(branch, "", None);
        }
        for product in &tree.full_product_names {
            products.add(product, "", None);
        }
        for relationship in &tree.relationships {
            let product = &relationship.full_product_name;
            products.add(product, "", None);
            let of = (&relationship.product_reference[..], &relationship.relates_to_product_reference[..]);
            products.parts.insert(&product.product_id, of);
        }
        products
    }

    fn add_branch(&mut self, branch: &'a Branch, product_name: &'a str, version: Option<ProductVersions>) {
        let is_package = is_rpm(&branch.name);
        let (product_name, version) = match &branch.category[..] {
            "product_name" => (&branch.name[..], Some(ProductVersions::Any)),
            "product_version" if !is_package => {
                (product_name, Some(ProductVersions::One(branch.name.clone())))
            }
            "product_version_range" => {
                (product_name, version_range::condition(&branch.name).map(ProductVersions::Range))
            }
            _ => (product_name, version),
        };
        if let Some(product) = &branch.product {
            self.add(product, product_name, version.clone());
            if is_package && let Some(component) = rpm(&branch.name) {
                self.components.entry(&product.product_id).or_insert(component);
            }
        }
        for below in &branch.branches {
            self.add_branch(below, product_name, version.clone());
        }
    }

    fn add(&mut self, product: &'a Product, product_name: &str, version: Option<ProductVersions>) {
        self.names.insert(&product.product_id, &product.name);
        if let Some(component) = component(&product.helper, product_name, version) {
            self.components.insert(&product.product_id, component);
        }
    }

    /// The software of a product, and the name of the product that it is part of.
    pub fn component(&self, id: &str) -> Option<(&Component, &'a str)> {
        let (mut at, mut whole) = (id, "");
        for _ in 0..DEPTH_MAX {
            if let Some(component) = self.components.get(at) {
                return Some((component, whole));
            }
            let (part, of) = *self.parts.get(at)?;
            at = part;
            whole = self.names.get(of).copied().filter(|name| !name.is_empty()).unwrap_or(of);
        }
        None
    }

    /// The name of a product, for people.
    pub fn name<'b>(&self, id: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.names.get(id).copied().filter(|name| !name.is_empty()).unwrap_or(id)
    }
}

/// What a product is, by its package URL, else by its CPE, else by the branches that it is in.
fn component(helper: &Helper, product_name: &str, version: Option<ProductVersions>) -> Option<Component> {
    if let Some(text) = helper.purl.as_ref().or(helper.purls.first()) {
        let PackageUrl { packager, name, version: own } = PackageUrl::read(text).ok()?;
        let kind = text.strip_prefix("pkg:")?.trim_start_matches('/').split('/').next()?;
        if packager.is_none() && !ANY_SOURCE.contains(&kind) {
            return None;
        }
        let versions = match (own.map(|own| with_epoch(text, own)), version) {
            (Some(own), _) => ProductVersions::One(own),
            // Red Hat names the package once more where others have its version.
            (None, Some(ProductVersions::One(text))) if !is_version(&text) => ProductVersions::Any,
            (None, Some(version)) => version,
            (None, None) => ProductVersions::Any,
        };
        return Some(Component { software: name, packager: packager.unwrap_or_default(), versions });
    }
    let of_cpe = helper.cpe.as_deref().map(cpe);
    let (software, own) = match of_cpe {
        // A system, or hardware.
        Some(None) => return None,
        Some(Some((product, own))) => (product, own),
        None if product_name.is_empty() => return None,
        None => (product_name.to_owned(), None),
    };
    let versions = match (own, version) {
        (Some(own), _) => ProductVersions::One(own),
        (None, Some(version)) => version,
        (None, None) => ProductVersions::Any,
    };
    Some(Component { software, packager: "", versions })
}

/// The version of an RPM package with the epoch that its package URL has.
fn with_epoch(purl: &str, version: String) -> String {
    let qualifiers = purl.split(['?', '#', '&']).skip(1);
    match qualifiers.filter_map(|one| one.strip_prefix("epoch=")).next() {
        Some(epoch) if epoch != "0" => format!("{epoch}:{version}"),
        _ => version,
    }
}

/// The product and the version of an application's CPE, in its form 2.2 or 2.3.
fn cpe(text: &str) -> Option<(String, Option<String>)> {
    let rest = text.strip_prefix("cpe:2.3:").or_else(|| text.strip_prefix("cpe:/"))?;
    let parts: Vec<&str> = rest.split(':').collect();
    let [kind, _, product, ..] = parts[..] else { return None };
    let plain = |text: &str| text.replace('\\', "");
    let version = parts.get(3).copied().filter(|version| !["", "*", "-"].contains(version));
    (kind == "a" && !product.is_empty()).then(|| (plain(product), version.map(plain)))
}

fn is_version(text: &str) -> bool {
    text.trim_start_matches(['v', 'V']).starts_with(|c: char| c.is_ascii_digit())
}

fn is_rpm(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, architecture)| ARCHITECTURES.contains(&architecture))
}

/// An RPM package by its whole name: `xz-libs-0:5.2.5-8.el9.x86_64`.
fn rpm(name: &str) -> Option<Component> {
    let (rest, _) = name.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (software, version) = rest.rsplit_once('-')?;
    let version = version.strip_prefix("0:").unwrap_or(version);
    let versions = ProductVersions::One(format!("{version}-{release}"));
    Some(Component { software: software.to_owned(), packager: "rpm", versions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(product: serde_json::Value) -> Option<(String, &'static str, ProductVersions)> {
        let tree = json!({ "branches": [{ "category": "vendor", "name": "V", "branches": [product] }] });
        let tree: ProductTree = serde_json::from_value(tree).unwrap();
        let products = Products::of(&tree);
        let (component, whole) = products.component("P")?;
        assert_eq!(whole, "");
        Some((component.software.clone(), component.packager, component.versions.clone()))
    }

    #[test]
    fn a_product_is_known_by_what_it_is_named_by() {
        let one = |version: &str| ProductVersions::One(version.to_owned());
        let branch = |category: &str, name: &str, helper: serde_json::Value| {
            json!({ "category": category, "name": name,
                "product": { "product_id": "P", "name": "text", "product_identification_helper": helper } })
        };
        let purl = |purl: &str| of(branch("product_version", "5.2", json!({ "purl": purl })));
        let known = |software: &str, packager, versions| Some((software.to_owned(), packager, versions));
        assert_eq!(
            purl("pkg:rpm/redhat/bind@9.16.23-18.el9?arch=x86_64&epoch=32"),
            known("bind", "rpm", one("32:9.16.23-18.el9"))
        );
        assert_eq!(purl("pkg:deb/debian/xz-utils?arch=source"), known("xz-utils", "dpkg", one("5.2")));
        assert_eq!(purl("pkg:generic/gromacs@2024.1"), known("gromacs", "", one("2024.1")));
        assert_eq!(purl("pkg:npm/left-pad@1"), None);
        let cpe = |cpe: &str| of(branch("product_version", "5.2", json!({ "cpe": cpe })));
        assert_eq!(cpe("cpe:2.3:a:gromacs:gromacs:2024.1:*:*"), known("gromacs", "", one("2024.1")));
        assert_eq!(cpe("cpe:/a:lammps:lammps"), known("lammps", "", one("5.2")));
        assert_eq!(cpe("cpe:/o:redhat:enterprise_linux:9"), None);
        let bare = |category: &str, name: &str| of(branch(category, name, json!({})));
        assert_eq!(
            bare("product_version", "liblzma5-5.2.3-150000.4.7.1.x86_64"),
            known("liblzma5", "rpm", one("5.2.3-150000.4.7.1"))
        );
        assert_eq!(bare("product_version", "1.0"), None, "of nothing");
        assert_eq!(bare("product_name", "VASP"), known("VASP", "", ProductVersions::Any));
        let below = |category: &str, name: &str| {
            of(json!({ "category": "product_name", "name": "VASP",
                "branches": [branch(category, name, json!({}))] }))
        };
        assert_eq!(below("product_version", "6.4.2"), known("VASP", "", one("6.4.2")));
        let range = ProductVersions::Range(">=6,<6.4.3".to_owned());
        assert_eq!(below("product_version_range", "vers:generic/>=6|<6.4.3"), known("VASP", "", range));
        assert_eq!(of(json!({})), None);
    }
}
