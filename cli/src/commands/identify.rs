//! `ogrt identify`: what a file is, or what it resembles.

use crate::{
    api_client::ApiClient,
    elf_notes::{self, ElfError},
    exit_status::{ExitStatus, complain, print, print_line},
    format::identify_table,
};
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use object::read::ReadCache;
use ogrt_answers::json_field::text;
use ogrt_proto::hex;
use ogrt_sketch::Sketch;
use serde_json::{Value, json};
use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Sketches of one request.
const BATCH_SKETCHES: usize = 500;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt identify /home/ann/bin/lmp\n\
\x20 ogrt identify --csv /scratch/*/bin/* > files.csv\n\
\x20 ogrt identify --unregistered";

/// Tell what a program or library is, or what it resembles.
///
/// A registered build, and what `ogrt learn` has taught, have names. Of any other file the answer
/// is what it resembles, with a score from 0 to 1. It is a hint, and nothing is counted by it:
/// docs/identify.md tells how often it is right.
///
/// Exit status: 0 every file is known or resembles something; 1 one is unknown; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct IdentifyCommand {
    /// Executables and shared libraries.
    #[arg(value_name = "FILE", required_unless_present = "unregistered")]
    files: Vec<PathBuf>,

    /// Look at the files that `ogrt unregistered` lists and that are on this machine, and tell the
    /// server what they look like. It then lists what each resembles. Needs a token with the scope
    /// "administer".
    #[arg(long, conflicts_with_all = ["files", "csv"])]
    unregistered: bool,

    /// The largest number of softwares for each file; with --unregistered, of programs.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl IdentifyCommand {
    /// Asks the server for each file. Answers no where one is unknown.
    pub fn run(self) -> Result<ExitStatus> {
        let server = ApiClient::from_environment()?;
        if self.unregistered {
            return self.observe(&server);
        }
        let (mut answers, mut status) = (Vec::new(), ExitStatus::Yes);
        for file in &self.files {
            match identify(&server, file, self.limit) {
                Ok(answer) => {
                    let is_unknown =
                        answer["known"].is_null() && answer["resembles"].as_array().is_none_or(Vec::is_empty);
                    status = status.max(if is_unknown { ExitStatus::No } else { ExitStatus::Yes });
                    answers.push(answer);
                }
                Err(problem) => {
                    complain(format_args!("{}: {problem:#}", file.display()));
                    status = ExitStatus::Error;
                }
            }
        }
        print(match (self.json, self.csv) {
            (true, _) => serde_json::to_string_pretty(&json!({ "files": answers }))? + "\n",
            (_, true) => identify_table::csv(&answers)?,
            _ if answers.is_empty() => String::new(),
            _ => identify_table::table(&answers),
        })?;
        Ok(status)
    }

    /// Sends sketches of programs that ran. Answers no where there is none to send.
    fn observe(&self, server: &ApiClient) -> Result<ExitStatus> {
        let limit = self.limit.unwrap_or(10_000);
        let question = [("likeness", "false".to_owned())];
        let found = server.list(&["v1", "unregistered"], &question, "programs", limit)?.unwrap_or_default();
        let programs = found["programs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let (mut sketches, mut elsewhere) = (Vec::new(), 0);
        for program in programs {
            match sketch_of_program(program) {
                Some(Some(sketch)) => {
                    let sketch = STANDARD.encode(sketch.encode());
                    sketches.push(json!({ "build_id": text(program, "build_id"), "sketch": sketch }));
                }
                Some(None) => {}
                None => elsewhere += 1,
            }
        }
        let mut sums = json!({ "programs": programs.len(), "sketches": sketches.len(), "new": 0, "known": 0,
            "not_here": elsewhere });
        for batch in sketches.chunks(BATCH_SKETCHES) {
            let answer = server.observe(&json!({ "sketches": batch }))?;
            for key in ["new", "known"] {
                let of = |value: &Value| value[key].as_u64().unwrap_or(0);
                sums[key] = (of(&sums) + of(&answer)).into();
            }
        }
        if self.json {
            print(serde_json::to_string_pretty(&sums)? + "\n")?;
        } else {
            print_line(format_args!(
                "{} programs: {} sketches, {} of them new; {elsewhere} programs are not on this machine",
                programs.len(),
                sketches.len(),
                sums["new"]
            ))?;
        }
        Ok(if sketches.is_empty() { ExitStatus::No } else { ExitStatus::Yes })
    }
}

/// What the server knows of a file, by its signature, its build-id, its path or its likeness.
fn identify(server: &ApiClient, path: &Path, limit: Option<usize>) -> Result<Value> {
    let name = path.display().to_string();
    // A script has a path, and no more.
    let notes = match elf_notes::read(path) {
        Err(ElfError::NotElf) => None,
        notes => Some(notes?),
    };
    for note in notes.iter().flat_map(|notes| &notes.build_notes) {
        let Some(record) = server.record(note.signature)? else { continue };
        let metadata = record.metadata;
        let file = || path.file_name().map(|name| name.to_string_lossy().into_owned());
        let software = metadata.name.filter(|name| !name.is_empty()).or_else(file);
        let known = json!({ "software": software, "version": metadata.version, "packager": "registered",
            "known_by": "signature", "signature": note.signature.to_string() });
        return Ok(json!({ "file": name, "known": known }));
    }
    let sketch = Sketch::of_file(&File::open(path)?).ok().flatten();
    let build_id = notes.and_then(|notes| notes.build_id).unwrap_or_default();
    let mut question = vec![("build_id", hex(&build_id))];
    let whole = path.canonicalize()?;
    question.extend(whole.to_str().map(|path| ("path", path.to_owned())));
    question.extend(sketch.map(|sketch| ("sketch", STANDARD.encode(sketch.encode()))));
    question.extend(limit.map(|limit| ("limit", limit.to_string())));
    let answer = server.answer_to(&["v1", "identify"], &question)?;
    let mut answer = answer
        .with_context(|| format!("{}: the server identifies no files; it may be older", server.address()))?;
    answer["file"] = name.into();
    Ok(answer)
}

/// The sketch of a program that ran, if the very same file is on this machine. Users choose what
/// stands at the path.
fn sketch_of_program(program: &Value) -> Option<Option<Sketch>> {
    let build_id = text(program, "build_id");
    if build_id.is_empty() {
        return None;
    }
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(nonblock).open(text(program, "binpath")).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let notes = elf_notes::parse(&ReadCache::new(&file)).ok()?;
    if hex(&notes.build_id?) != build_id {
        return None;
    }
    Some(Sketch::of_file(&file).ok().flatten())
}
