//! What a file is called that has no registered build: by a rule of the site, else by what was
//! learned of its build-id, else by what was learned of its path, else by a fallback rule.
//!
//! A build-id says which build a file came from, and no more: a tool that patches a file leaves it.
//! So where it is found under another path than the package's, the answer says that nobody checked
//! the content. A path names only files that never had a build-id: where the one that ran has
//! another build-id than the one that was learned, or none, another file stands there.

use super::{
    FileFilter, FilePage, LearnedFiles,
    file::{FileNames, entry_key},
};
use crate::{
    config::{NamingRules, RuleName},
    registry::RegistryError,
};
use serde::Serialize;
use std::sync::{Arc, PoisonError, RwLock};

/// Entries of one build-id that are looked at: copies in several trees.
const COPIES_MAX: usize = 1000;

/// See the module.
pub struct SoftwareNames {
    pub(super) learned: Arc<LearnedFiles>,
    /// The rules of the site, and the fallback rules; a reload exchanges them.
    rules: RwLock<Arc<[NamingRules; 2]>>,
}

/// What software is called, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SoftwareName {
    pub software: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub package: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub packager: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    pub known_by: KnownBy,
    /// Only the build-id is the package's; the content may have been changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'static str>,
}

/// What a name is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    Rule,
    BuildId,
    Path,
    /// No name: what a program resembles.
    Likeness,
}

impl KnownBy {
    /// The word in answers.
    pub fn text(self) -> &'static str {
        match self {
            KnownBy::Rule => "rule",
            KnownBy::BuildId => "build_id",
            KnownBy::Path => "path",
            KnownBy::Likeness => "likeness",
        }
    }
}

impl SoftwareNames {
    /// Names by these files and rules.
    pub fn new(learned: Arc<LearnedFiles>, rules: [NamingRules; 2]) -> Self {
        SoftwareNames { learned, rules: RwLock::new(Arc::new(rules)) }
    }

    /// Has other rules from now on.
    pub fn set_rules(&self, rules: [NamingRules; 2]) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// A page of learned files.
    pub fn files(&self, filter: &FileFilter) -> Result<FilePage, RegistryError> {
        self.learned.table.list(filter)
    }

    /// True if a rule names a file with this path so.
    pub fn has_rule(&self, path: &[u8], software: &str) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        rules.iter().any(|rules| rules.name(path).is_some_and(|name| name.software == software))
    }

    /// Takes over what other servers of the site have learned: once for each question.
    pub fn catch_up(&self) {
        self.learned.catch_up();
    }

    /// The name of a file, by its build-id and its path; one of them may be empty.
    pub fn name(&self, build_id: &[u8], path: &[u8]) -> Result<Option<SoftwareName>, RegistryError> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let [rules, fallback] = &*rules;
        if let Some(name) = rules.name(path) {
            return Ok(Some(rule_name(name)));
        }
        let learned = self.learned_name(build_id, path)?;
        Ok(learned.or_else(|| fallback.name(path).map(rule_name)))
    }

    /// The name of a file by what was learned.
    pub(super) fn learned_name(
        &self,
        build_id: &[u8],
        path: &[u8],
    ) -> Result<Option<SoftwareName>, RegistryError> {
        let table = &self.learned.table;
        if build_id.is_empty() {
            let names = if path.is_empty() { None } else { table.get(&entry_key(&[], path))? };
            return Ok(names.map(|names| learned_name(names, KnownBy::Path, true)));
        }
        if let Some(names) = table.get(&entry_key(build_id, path))? {
            return Ok(Some(learned_name(names, KnownBy::BuildId, !path.is_empty())));
        }
        // The one that was learned last.
        let copies = table.of_build_id(build_id, COPIES_MAX)?;
        let last = copies.into_iter().max_by_key(|copy| copy.names.learned_ns);
        Ok(last.map(|last| learned_name(last.names, KnownBy::BuildId, false)))
    }
}

fn rule_name(name: RuleName) -> SoftwareName {
    let RuleName { software, version, source } = name;
    let (package, packager) = (String::new(), "rule".to_owned());
    SoftwareName { software, version, package, packager, source, known_by: KnownBy::Rule, content: None }
}

fn learned_name(names: FileNames, known_by: KnownBy, is_there: bool) -> SoftwareName {
    let FileNames { software, version, package, packager, source, learned_ns: _ } = names;
    let content = (!is_there).then_some("not checked");
    SoftwareName { software, version, package, packager, source, known_by, content }
}
