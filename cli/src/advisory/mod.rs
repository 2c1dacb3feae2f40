//! Advisories: which versions of which software are affected, as a question to the server.

mod csaf;
mod csaf_products;
mod osv;
mod version_range;

use anyhow::{Context, Result, bail};
use csaf::CsafAdvisory;
use osv::OsvAdvisory;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Largest file that is read.
const BYTES_MAX: u64 = 16 << 20;

/// Most elements of one question.
const ELEMENTS_MAX: usize = 100;

/// The elements of a question for what is affected, and what they leave out.
#[derive(Debug, Default, PartialEq)]
pub struct AffectedSoftware {
    /// The name of the advisory, such as `CVE-2024-3094`.
    pub id: String,
    pub elements: Vec<Value>,
    /// What is affected and cannot be known here.
    pub unknown: BTreeSet<String>,
    /// Products for which other versions are affected, where there are several.
    pub products: BTreeSet<String>,
}

impl AffectedSoftware {
    fn new(id: &str) -> Self {
        AffectedSoftware { id: id.to_owned(), ..AffectedSoftware::default() }
    }

    /// What an advisory in OSV's form says.
    pub fn of_osv(path: &Path) -> Result<Self> {
        read::<OsvAdvisory>(path, "OSV").map(|advisory| advisory.software())?.asked(path)
    }

    /// What an advisory in CSAF's form says of products with this text in their names.
    pub fn of_csaf(path: &Path, product: &str) -> Result<Self> {
        read::<CsafAdvisory>(path, "CSAF")?.software(product).asked(path)
    }

    /// Fails where there is no question to ask.
    fn asked(self, path: &Path) -> Result<Self> {
        let path = path.display();
        match self.elements.len() {
            0 => bail!("{path}: no software that OGRT can know of is affected"),
            1..=ELEMENTS_MAX => Ok(self),
            more => {
                bail!("{path}: {more} packages are affected, where a question has {ELEMENTS_MAX} at most")
            }
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path, form: &str) -> Result<T> {
    let name = || path.display().to_string();
    let size = fs::metadata(path).with_context(name)?.len();
    if size > BYTES_MAX {
        bail!("{}: {size} bytes, where an advisory has at most {BYTES_MAX}", path.display());
    }
    let text = fs::read(path).with_context(name)?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{}: expected an advisory in the form of {form}", name()))
}
