//! `ogrt export`: a build record in the formats that others read, signed on request.
//!
//! Each format is a formatter in `format/`. What a record does not know is left out, never made up:
//! an input that could not be read when it was linked has no digest here either, and an OmniBOR
//! manifest that would lack inputs is not written unless that is asked for.

use crate::{
    api_client::ApiClient,
    build_with_origins::fetch_with_origins,
    dsse,
    exit_status::{ExitStatus, complain, print},
    format::{cyclonedx, omnibor, slsa, spdx},
    signing_key, subject,
};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ogrt_note::Signature;
use ogrt_proto::{BuildJson, hex};
use ogrt_wrap::record::digest;
use std::{fs::File, path::PathBuf};

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt export --format spdx ./a.out > a.out.spdx.json\n\
\x20 ogrt export --format slsa --sign site.key ./a.out > a.out.dsse\n\
\x20 ogrt export --format omnibor --partial ./a.out > a.out.manifest";

/// Write a build record as SLSA provenance, SPDX, CycloneDX or an OmniBOR input manifest.
///
/// The document describes the output as it was linked. With --sign it is put into a DSSE envelope,
/// which `ogrt verify-attestation` checks.
///
/// Exit status: 0 written; 1 no note, not registered, or (OmniBOR) inputs without an id; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportCommand {
    /// A signature, or an ELF file that has one.
    #[arg(value_name = "SIGNATURE|FILE")]
    subject: String,

    /// The document's format.
    #[arg(long, value_enum)]
    format: Format,

    /// Sign with this private Ed25519 key (PKCS#8 PEM, as `openssl genpkey -algorithm ed25519`
    /// writes it).
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,

    /// OmniBOR: leave out inputs without an id, instead of writing nothing.
    #[arg(long)]
    partial: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// in-toto Statement v1 with SLSA provenance v1
    Slsa,
    /// SPDX 2.3 JSON
    Spdx,
    /// CycloneDX 1.6 JSON
    Cyclonedx,
    /// OmniBOR input manifest
    Omnibor,
}

impl ExportCommand {
    /// Writes the document to standard output. Answers no where it cannot be made.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        let Some(build) = self.build(&server)? else { return Ok(ExitStatus::No) };
        let document = match self.format {
            Format::Omnibor => match self.manifest(&build)? {
                Some(manifest) => manifest,
                None => return Ok(ExitStatus::No),
            },
            Format::Slsa => slsa::text(&fetch_with_origins(&server, build)?)?,
            Format::Spdx => spdx::text(&fetch_with_origins(&server, build)?)?,
            Format::Cyclonedx => cyclonedx::text(&fetch_with_origins(&server, build)?)?,
        };
        print(match &self.sign {
            Some(path) => {
                dsse::sign(self.format.media_type(), document.as_bytes(), &signing_key::read(path)?)?
            }
            None => document,
        })?;
        Ok(ExitStatus::Yes)
    }

    /// Fetches the record of the one build that the subject means. Where there is none, a line says
    /// why.
    fn build(&self, server: &ApiClient) -> Result<Option<BuildJson>> {
        let signatures = subject::signatures(&self.subject)?;
        if signatures.is_empty() {
            complain(format_args!("{}: no OGRT note", self.subject));
            return Ok(None);
        }
        let mut builds = Vec::new();
        for signature in &signatures {
            match server.record(*signature)? {
                Some(build) => builds.push(build),
                None => complain(server.not_registered(*signature)),
            }
        }
        if builds.len() > 1 {
            let names: Vec<&str> = builds.iter().map(|build| build.signature.as_str()).collect();
            bail!("{}: holds several builds; name the signature of one: {}", self.subject, names.join(" "));
        }
        let build = builds.pop();
        if let (Some(build), Err(_)) = (&build, self.subject.parse::<Signature>()) {
            self.warn_if_altered(build)?;
        }
        Ok(build)
    }

    fn warn_if_altered(&self, build: &BuildJson) -> Result<()> {
        let (digest, _) = digest::sha256(&File::open(&self.subject)?).context(self.subject.clone())?;
        if build.output.as_ref().is_some_and(|output| output.sha256 != hex(&digest)) {
            complain(format_args!(
                "{0}: changed since it was linked (see `ogrt verify {0}`); the document describes the file as it was linked",
                self.subject
            ));
        }
        Ok(())
    }

    fn manifest(&self, build: &BuildJson) -> Result<Option<String>> {
        let inputs = omnibor::identify(&build.inputs);
        let missing: Vec<&str> =
            inputs.iter().filter(|(_, id)| id.is_none()).map(|(input, _)| input.path.as_str()).collect();
        for path in &missing {
            complain(format_args!(
                "{path}: no OmniBOR id was recorded, and the file was changed or deleted since"
            ));
        }
        if !missing.is_empty() && !self.partial {
            complain(format_args!(
                "{} of {} inputs have no id; link with OGRT_OMNIBOR=1 to record ids, or leave these inputs out with --partial",
                missing.len(),
                inputs.len()
            ));
            return Ok(None);
        }
        Ok(Some(omnibor::text(&inputs)))
    }
}

impl Format {
    /// The media type, which DSSE calls the payload's type.
    fn media_type(self) -> &'static str {
        match self {
            Format::Slsa => "application/vnd.in-toto+json",
            Format::Spdx => "application/spdx+json",
            Format::Cyclonedx => "application/vnd.cyclonedx+json",
            Format::Omnibor => "text/plain; charset=us-ascii",
        }
    }
}
