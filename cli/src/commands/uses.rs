//! `ogrt uses`: who ran or loaded something, directly or through something that contains it.

use crate::{
    advisory::AffectedSoftware,
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print},
    format::uses_table,
    package_url::PackageUrl,
    spool_contents::what_waits,
    subject::{self, UsesSubject},
    use_filter::UseFilter,
};
use anyhow::Result;
use clap::Args;
use ogrt_answers::uses;
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt uses /usr/lib/libz.a --since 30d --user alice\n\
\x20 ogrt uses xz-utils --version '>=5.6.0,<5.6.2' --csv\n\
\x20 ogrt uses --csaf rhsa-2024_1234.json --csv";

/// Show who ran or loaded something, directly or through something that contains it.
///
/// The subject may also be an input of a build, such as an archive or an object file. Of a program
/// or library that OGRT did not build, every process that loaded it counts. Any other word is the
/// name of software: registered builds, what `ogrt learn` has taught, packages of languages.
///
/// Exit status: 0 somebody ran it; 1 nobody did, or nothing is known of it; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct UsesCommand {
    /// A signature, any file, the SHA-256 of one, a build-id, or the name of software.
    #[arg(
        value_name = "SIGNATURE|FILE|SHA256|BUILD-ID|SOFTWARE",
        required_unless_present_any = ["soname", "path", "package", "purl", "osv", "csaf"]
    )]
    subject: Option<String>,

    /// Versions of the software, in its packager's order: `<1.2`, `>=5.6.0,<5.6.2`, `1.0||<0.9`.
    #[arg(long, value_name = "CONDITION", requires = "subject")]
    version: Option<String>,

    /// Only software from there: dpkg, rpm, conda, python, spack, easybuild, lmod, tree, rule.
    #[arg(long, value_name = "NAME", requires = "subject")]
    packager: Option<String>,

    /// Software by its package URL: `pkg:deb/debian/xz-utils@5.6.1-1`.
    #[arg(long, value_name = "PURL", conflicts_with_all = ["subject", "soname", "path", "package"])]
    purl: Option<String>,

    /// Whatever an advisory in OSV's form says is affected.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "soname", "path", "package", "purl"])]
    osv: Option<PathBuf>,

    /// Whatever an advisory in CSAF's form says is affected, VEX among them.
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["subject", "soname", "path", "package", "purl", "osv"])]
    csaf: Option<PathBuf>,

    /// Only what the advisory says of products with this text in their names, in any case.
    #[arg(long, value_name = "TEXT", requires = "csaf")]
    product: Option<String>,

    /// Libraries with this name, with or without more of a version behind it.
    #[arg(long, value_name = "NAME", conflicts_with = "subject")]
    soname: Option<String>,

    /// Programs and libraries at paths that fit this pattern: `*`, `?`, `[...]`; `*` also fits `/`.
    #[arg(long, value_name = "GLOB", conflicts_with = "subject")]
    path: Option<String>,

    /// A package of a language, such as a Python module or a library of R.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["subject", "soname", "path"])]
    package: Option<String>,

    #[command(flatten)]
    filter: UseFilter,

    /// The largest number of rows in each list.
    #[arg(long, default_value_t = 100)]
    limit: usize,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,

    /// Print who ran it as comma-separated values: user, processes, jobs, first, last.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl UsesCommand {
    /// Asks for each signature or digest of the subject. Answers no where nobody ran it.
    pub fn run(self) -> Result<ExitStatus> {
        let software = self.software()?;
        let subjects = match &self.subject {
            Some(subject) if software.is_empty() => subject::uses_subjects(subject)?,
            _ => vec![UsesSubject { key: None, loaded: None }],
        };
        let server = ApiClient::from_environment()?;
        let mut question = vec![("limit", self.limit.to_string())];
        question.extend(self.filter.parameters());
        let named = [("soname", self.soname), ("path", self.path), ("package", self.package)];
        let advisory = self.osv.as_ref().or(self.csaf.as_ref()).map(|file| file.display().to_string());
        let about = [&self.subject, &self.purl, &self.version, &advisory];
        let subject_text = about.into_iter().chain(named.iter().map(|(_, text)| text));
        let subject_text = subject_text.flatten().cloned();
        let subject_text = subject_text.collect::<Vec<_>>().join(" ");
        question.extend(named.into_iter().filter_map(|(name, text)| Some((name, text?))));
        question.extend(software);
        let mut answers = Vec::new();
        let mut status = ExitStatus::No;
        for (index, UsesSubject { key, loaded }) in subjects.into_iter().enumerate() {
            let path = ["v1", "uses"].into_iter().chain(key.as_deref()).collect::<Vec<_>>();
            let mut question = question.clone();
            question.extend(loaded);
            let Some(uses) = server.answer_to(&path, &question)? else {
                let what = format!("{subject_text}: nothing is known of it at {}", server.address());
                complain(format_args!("{what}; {}", what_waits()));
                continue;
            };
            if was_run(&uses) {
                status = ExitStatus::Yes;
            } else {
                complain(format_args!("{subject_text}: nobody ran it; {}", what_waits()));
            }
            if self.csv {
                answers.push(uses);
                continue;
            }
            print(if self.json {
                serde_json::to_string_pretty(&uses)? + "\n"
            } else {
                let gap = if index == 0 { "" } else { "\n" };
                format!("{gap}{}", uses_table::text_of(&uses))
            })?;
        }
        if self.csv {
            print(uses::csv(&answers))?;
        }
        Ok(status)
    }

    /// The parameters of a question about software by its name; none where it is about something
    /// else.
    fn software(&self) -> Result<Vec<(&'static str, String)>> {
        if let Some(purl) = &self.purl {
            let PackageUrl { packager, name, version } = PackageUrl::read(purl)?;
            let packager = packager.map(|packager| ("packager", packager.to_owned()));
            let version = version.map(|version| ("version", format!("={version}")));
            return Ok([("software", name)].into_iter().chain(packager).chain(version).collect());
        }
        let affected = match (&self.osv, &self.csaf) {
            (Some(file), _) => Some(AffectedSoftware::of_osv(file)?),
            (None, Some(file)) => {
                Some(AffectedSoftware::of_csaf(file, self.product.as_deref().unwrap_or_default())?)
            }
            (None, None) => None,
        };
        if let Some(affected) = affected {
            complain_of(&affected);
            return Ok(vec![("affected", serde_json::to_string(&affected.elements)?)]);
        }
        let Some(subject) = &self.subject else { return Ok(Vec::new()) };
        let narrowed = [("version", &self.version), ("packager", &self.packager)];
        let narrowed: Vec<_> =
            narrowed.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
        if narrowed.is_empty() && !subject::is_software(subject) {
            return Ok(Vec::new());
        }
        Ok([("software", subject.clone())].into_iter().chain(narrowed).collect())
    }
}

/// Says what of an advisory the answer lacks, and what may be too much in it.
fn complain_of(AffectedSoftware { id, unknown, products, .. }: &AffectedSoftware) {
    let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if !unknown.is_empty() {
        complain(format_args!("{id}: not looked at: {}", names(unknown)));
    }
    if !products.is_empty() {
        complain(format_args!(
            "{id}: other versions are affected in each of {}; which of these a file is from is not known, so \
             --product narrows",
            names(products)
        ));
    }
}

/// True where somebody ran it in the time that was asked for.
fn was_run(uses: &Value) -> bool {
    uses["total"]["processes"].as_u64().unwrap_or(0) + uses["total"]["loaded_later"].as_u64().unwrap_or(0) > 0
}
