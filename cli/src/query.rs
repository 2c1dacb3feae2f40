//! `ogrt query`: the build record behind a signature or a file.

use crate::{
    answer::{Answer, complain, print},
    elf_notes,
    format::build_table,
    server::Server,
};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use ogrt_note::Signature;
use ogrt_proto::BuildJson;
use std::path::Path;

/// Show the build record: who, when, where, with what compiler and flags, from which inputs.
#[derive(Args)]
pub struct Query {
    /// A signature, or an ELF file that carries one.
    #[arg(value_name = "SIGNATURE|FILE")]
    subject: String,

    /// Print JSON: one document for each signature of the file.
    #[arg(long)]
    json: bool,
}

impl Query {
    /// Asks the server for each signature. Answers no when one is not registered or the file has none.
    pub fn run(self) -> Result<Answer> {
        let signatures = signatures(&self.subject)?;
        let mut answer = Answer::Yes;
        if signatures.is_empty() {
            complain(format_args!("{}: no watermark", self.subject));
            answer = Answer::No;
        }
        let server = Server::from_environment()?;
        for (index, signature) in signatures.into_iter().enumerate() {
            let Some(record) = server.build(signature)? else {
                complain(format_args!("{signature}: not registered at {}", server.address()));
                answer = Answer::No;
                continue;
            };
            if self.json {
                print(one_line_end(record))?;
            } else {
                let build: BuildJson = serde_json::from_slice(&record)
                    .with_context(|| format!("{}: not a build record", server.address()))?;
                print(if index == 0 { String::new() } else { "\n".to_owned() } + &build_table::text(&build))?;
            }
        }
        Ok(answer)
    }
}

/// What the word on the command line means. A signature is taken as such even when a file has that name.
fn signatures(subject: &str) -> Result<Vec<Signature>> {
    if let Ok(signature) = subject.parse() {
        return Ok(vec![signature]);
    }
    let path = Path::new(subject);
    // A word with no slash that names no file was most likely meant as a signature.
    if !subject.contains('/') && !path.exists() {
        return Err(anyhow!("{subject}: neither a signature (a UUID) nor a file"));
    }
    let notes = elf_notes::read(path).with_context(|| subject.to_owned())?;
    Ok(notes.watermarks.iter().map(|watermark| watermark.signature).collect())
}

/// The server's JSON untouched, so that keys of a newer server are not lost, and one line end after it.
pub fn one_line_end(mut document: Vec<u8>) -> Vec<u8> {
    document.truncate(document.trim_ascii_end().len());
    document.push(b'\n');
    document
}
