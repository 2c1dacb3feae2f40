//! Software by its name and version: the builds that are registered under it, the files that were
//! learned as it, and the packages of languages that have this name.

use super::{ObjectQuestion, Uses, UsesError, object_names::ObjectName};
use crate::{
    learned::FileFilter,
    registry::{BuildFilter, found_by},
    versions::{VersionCondition, VersionScheme},
};
use ogrt_note::Signature;
use std::collections::BTreeSet;

/// Most builds and most files with one name that are looked at.
const NAMED_MAX: usize = 10_000;

/// Most loaded files that rules are tried on.
const OBJECTS_MAX: usize = 2_000_000;

/// Builds or files in one page.
const PAGE: usize = 1000;

/// The software that is asked about.
#[derive(Clone, Debug, Default)]
pub struct SoftwareQuestion {
    /// Its name, or that of its package.
    pub name: String,
    /// Its packager: dpkg, rpm, conda, python, spack, easybuild, tree or rule; `None` for all, and
    /// for registered builds.
    pub packager: Option<String>,
    /// What its versions must meet.
    pub version: Option<VersionCondition>,
}

impl SoftwareQuestion {
    fn fits(&self, version: &str, scheme: VersionScheme) -> bool {
        self.version.as_ref().is_none_or(|condition| condition.holds(version, scheme))
    }

    fn is_from(&self, packager: &str) -> bool {
        self.packager.as_ref().is_none_or(|wanted| wanted == packager)
    }

    /// True if a package of a language has the name, and a version that fits.
    pub fn fits_package(&self, name: &ObjectName<'_>) -> bool {
        let Some((language, known)) = name.package() else { return false };
        let version = name.version().map(String::from_utf8_lossy).unwrap_or_default();
        let packager = String::from_utf8_lossy(language);
        known == self.name.as_bytes()
            && self.is_from(&packager)
            && self.fits(&version, VersionScheme::of_packager(&packager))
    }
}

/// What has the name, and a version that fits.
#[derive(Default)]
pub struct NamedSoftware {
    pub builds: Vec<Signature>,
    /// Build-ids and paths. Where there is a build-id, an empty path is any.
    pub files: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// Something has the name, in whatever version.
    pub is_known: bool,
    /// There is more than may be looked at.
    pub is_cut: bool,
}

impl NamedSoftware {
    /// Both together, each build once.
    pub fn add(&mut self, more: NamedSoftware) {
        self.builds.extend(more.builds);
        self.builds.sort_unstable();
        self.builds.dedup();
        self.files.extend(more.files);
        self.is_known |= more.is_known;
        self.is_cut |= more.is_cut;
    }

    /// The questions for the files.
    pub fn objects(&self) -> impl Iterator<Item = ObjectQuestion> {
        self.files.iter().map(|(build_id, path)| {
            let build_id = Some(build_id.clone()).filter(|build_id| !build_id.is_empty() || !path.is_empty());
            let exact_path = Some(path.clone()).filter(|path| !path.is_empty());
            ObjectQuestion { build_id, exact_path, ..ObjectQuestion::default() }
        })
    }
}

impl Uses {
    /// Finds what the software is.
    pub(super) fn named_software(&self, question: &SoftwareQuestion) -> Result<NamedSoftware, UsesError> {
        let mut named = NamedSoftware::default();
        if question.packager.is_none() {
            let terms = vec![found_by::name(&question.name)];
            let mut filter = BuildFilter { terms, limit: PAGE, ..BuildFilter::default() };
            for _ in 0..NAMED_MAX / PAGE {
                let page = self.registry.list(&filter)?;
                named.is_known |= !page.builds.is_empty();
                for build in page.builds {
                    let version = build.build.metadata.version.as_deref().unwrap_or_default();
                    if question.fits(version, VersionScheme::Release) {
                        named.builds.extend(Signature::parse(build.build.signature.as_bytes()).ok());
                    }
                }
                filter.after = page.next;
                if filter.after.is_none() {
                    break;
                }
            }
            named.is_cut |= filter.after.is_some();
        }
        self.names.catch_up();
        let name = Some(question.name.clone());
        let mut filter = FileFilter { name, limit: PAGE, ..FileFilter::default() };
        for _ in 0..NAMED_MAX / PAGE {
            let page = self.names.files(&filter)?;
            named.is_known |= !page.files.is_empty();
            for file in page.files {
                let names = &file.names;
                let scheme = VersionScheme::of_packager(&names.packager);
                if question.is_from(&names.packager) && question.fits(&names.version, scheme) {
                    let path = if file.build_id.is_empty() { file.path } else { Vec::new() };
                    named.files.insert((file.build_id, path));
                }
            }
            filter.after = page.next;
            if filter.after.is_none() {
                break;
            }
        }
        named.is_cut |= filter.after.is_some();
        if question.is_from("rule") {
            self.named_by_rule(question, &mut named)?;
        }
        Ok(named)
    }

    /// Adds files that a rule gives this name.
    fn named_by_rule(&self, question: &SoftwareQuestion, named: &mut NamedSoftware) -> Result<(), UsesError> {
        for (looked_at, entry) in self.store.objects.iter().enumerate() {
            named.is_cut |= looked_at >= OBJECTS_MAX;
            if named.is_cut {
                break;
            }
            let bytes = entry.value()?;
            let Some(object) = ObjectName::read(&bytes) else { continue };
            if object.package().is_some() || !self.names.has_rule(object.path, &question.name) {
                continue;
            }
            let Some(name) = self.names.name(object.build_id, object.path)? else { continue };
            named.is_known |= name.software == question.name;
            if name.software == question.name && question.fits(&name.version, VersionScheme::Release) {
                named.files.insert((object.build_id.to_vec(), object.path.to_vec()));
            }
        }
        Ok(())
    }
}
