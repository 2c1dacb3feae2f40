//! `ogrt verify-attestation`: was this document signed with that key, and is it about this file?

use crate::{
    dsse,
    exit_status::{ExitStatus, complain, print, print_bytes, print_line},
    signing_key,
};
use anyhow::{Context, Result};
use clap::Args;
use ogrt_proto::hex;
use ogrt_wrap::record::digest;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::PathBuf,
};

/// The size of the largest envelope that is read.
const ENVELOPE_BYTES_MAX: u64 = 256 * 1024 * 1024;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt verify-attestation --key site.pub a.out.dsse ./a.out\n\
\x20 ogrt verify-attestation --key site.pub --payload a.out.dsse";

/// Check the digital signature of a document that `ogrt export --sign` wrote.
///
/// Exit status: 0 it is good, and the document is about each FILE; 1 it is not; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyAttestationCommand {
    /// The DSSE envelope, as `ogrt export --sign` writes it.
    #[arg(value_name = "ENVELOPE")]
    envelope: PathBuf,

    /// Files that the document must be about: each must be a subject of its in-toto statement.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The site's public Ed25519 key (PEM, as `openssl pkey -pubout` writes it).
    #[arg(long, value_name = "KEY")]
    key: PathBuf,

    /// Print the signed document.
    #[arg(long, conflicts_with = "json")]
    payload: bool,

    /// Print JSON: `verified`, `payload_type`, `key_id` and `subjects`.
    #[arg(long)]
    json: bool,
}

impl VerifyAttestationCommand {
    /// Checks the envelope, then each file.
    pub fn run(self) -> Result<ExitStatus> {
        let key = signing_key::read_public(&self.key)?;
        let name = self.envelope.display().to_string();
        let size = fs::metadata(&self.envelope).with_context(|| name.clone())?.len();
        anyhow::ensure!(
            size <= ENVELOPE_BYTES_MAX,
            "{name}: larger than {ENVELOPE_BYTES_MAX} bytes, so it is not read"
        );
        let text = fs::read(&self.envelope).with_context(|| name.clone())?;
        let Some(verified) = dsse::open(&text, &key).with_context(|| name.clone())? else {
            complain(format_args!(
                "{name}: not signed with {}, or changed after signing",
                self.key.display()
            ));
            return Ok(ExitStatus::No);
        };
        let statement: Value = serde_json::from_slice(&verified.payload).unwrap_or_default();
        let subjects = statement["subject"].as_array().cloned().unwrap_or_default();
        let mut status = ExitStatus::Yes;
        for path in &self.files {
            let file = path.display().to_string();
            let digest = File::open(path).and_then(|file| digest::sha256(&file));
            let digest = hex(&digest.with_context(|| file.clone())?.0);
            if !subjects.iter().any(|subject| subject["digest"]["sha256"] == *digest) {
                complain(format_args!("{file}: not a subject of {name}"));
                status = ExitStatus::No;
            }
        }
        let key_id = signing_key::key_id(&key);
        if self.payload {
            print_bytes(&verified.payload)?;
        } else if self.json {
            let document = serde_json::json!({
                "verified": status == ExitStatus::Yes, "payload_type": verified.payload_type, "key_id": key_id,
                "subjects": subjects,
            });
            print(serde_json::to_string_pretty(&document)? + "\n")?;
        } else if status == ExitStatus::Yes {
            print_line(format_args!("{name}: signed with key {key_id}, {}", verified.payload_type))?;
        }
        Ok(status)
    }
}
