//! The records that the server has after a build, compared with the files in the build's folders.
//!
//! The rule needs no name of a probe: configure scripts, CMake and meson delete what their probes
//! link, or keep it in folders of their own. So each registered build must be in a file that still
//! exists and is not a probe's. Each program and library that exists must be registered,
//! completely, under its signature.

use crate::{archive::hexadecimal_sha256, linked_inputs};
use anyhow::{Context, Result, ensure};
use ogrt_end_to_end::Stage;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use xtask::child;

/// The longest wait for records: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that one site has registered.
#[derive(Debug)]
pub struct Registered {
    records: BTreeMap<String, Value>,
}

impl Registered {
    /// Sends what waits in the spool, waits for `at_least` records, and asks for all of them.
    pub fn at(stage: &Stage, at_least: usize) -> Result<Registered> {
        child::capture(&mut stage.site.ogrt(&["flush"]))?;
        ensure!(stage.spooled() == 0, "records wait in the spool after ogrt flush");
        let server = stage.server.as_ref().context("no server")?;
        let deadline = Instant::now() + PATIENCE;
        let signatures: Vec<String> = loop {
            let list = get(&server.http, "/v1/builds?limit=10000")?;
            let builds = list["builds"].as_array().context("no list of builds")?;
            if builds.len() >= at_least || Instant::now() > deadline {
                break builds
                    .iter()
                    .filter_map(|build| Some(build["signature"].as_str()?.to_owned()))
                    .collect();
            }
            thread::sleep(Duration::from_millis(50));
        };
        let record = |signature: String| {
            let record = get(&server.http, &format!("/v1/builds/{signature}"))?;
            Ok((signature, record))
        };
        Ok(Registered { records: signatures.into_iter().map(record).collect::<Result<_>>()? })
    }

    /// The record of a signature.
    pub fn record(&self, signature: &str) -> Option<&Value> {
        self.records.get(signature)
    }

    /// The number of records.
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// The linked files, each with its linker's command line.
    pub fn outputs(&self) -> Vec<String> {
        let records = self.records.values();
        records.map(|record| format!("{}: {}", record["output"]["path"], record["driver_command"])).collect()
    }

    /// Checks that each file is marked, that each signature is registered and complete, and that
    /// nothing else is registered. A file without a note needs a record that tells why.
    pub fn account_for(&self, stage: &Stage, files: &[PathBuf], expected: &Expected<'_>) -> Result<Account> {
        let mut account = Account::default();
        let mut unaccounted: BTreeSet<&str> = self.records.keys().map(String::as_str).collect();
        let unmarked = self.unmarked();
        unaccounted.retain(|signature| !unmarked.contains_key(signature));
        let mut counted = BTreeSet::new();
        let notes = notes_of(stage, files)?;
        for (file, signatures) in files.iter().zip(&notes) {
            let mut complaints = Vec::new();
            let digest = hexadecimal_sha256(&fs::read(file).with_context(|| file.display().to_string())?);
            if is_kept_by_a_probe(file) {
                if signatures.iter().any(|signature| self.records.contains_key(signature)) {
                    complaints.push("a probe is registered".into());
                }
            } else if let [signature] = &signatures[..] {
                unaccounted.remove(signature.as_str());
                match self.records.get(signature) {
                    None => complaints.push(NOT_REGISTERED.into()),
                    Some(record) => complaints.extend(incomplete(record, file, expected)?),
                }
                if counted.insert(digest) {
                    account.outputs += 1;
                    account.marked += 1;
                }
            } else {
                let record = unmarked.values().find(|record| is_output(record, file, &digest));
                let reason = record.and_then(|record| record["unmarked_reason"].as_str());
                match reason {
                    // An object is a link's output only if some link says so.
                    None if elf_type(file) == Some(ET_REL) && !ends_with(file, ".ko") => continue,
                    None => complaints.push(format!("{} notes instead of one", signatures.len())),
                    Some(reason) if !expected.unmarked.iter().any(|part| reason.contains(part)) => {
                        complaints.push(format!("not marked: {reason}"));
                    }
                    Some(_) => {}
                }
                if counted.insert(digest) {
                    account.outputs += 1;
                    let reason = reason.unwrap_or("no reason is known").to_owned();
                    *account.reasons.entry(reason).or_default() += 1;
                }
            }
            for what in complaints {
                account.complaints += &format!("{}: {what}\n", file.display());
            }
        }
        // A program that was linked anew has the records of the earlier links as well.
        let is_expected = |record: &Value| {
            let output = output_path(record);
            let name = output.file_name().unwrap_or_default().to_string_lossy();
            files.contains(&output) || expected.probes.iter().any(|start| name.starts_with(start))
        };
        unaccounted.retain(|signature| !is_expected(&self.records[*signature]));
        for signature in unaccounted {
            let record = &self.records[signature];
            account.complaints += &format!(
                "registered, and in no file: {signature} {} in {}: {}\n",
                record["output"]["path"], record["working_directory"], record["driver_command"]
            );
        }
        Ok(account)
    }

    /// Compares the inputs of each record with what its linker says: the number of links that were
    /// compared, and the faults.
    pub fn compare_inputs(&self, scratch: &Path) -> Result<(usize, String)> {
        let (mut compared, mut faults) = (0, String::new());
        for record in self.records.values() {
            let Some(said) = linked_inputs::complaints(record, scratch)? else { continue };
            compared += 1;
            if !said.is_empty() {
                faults += &format!("{} {}\n{said}", record["output"]["path"], record["driver_command"]);
            }
        }
        Ok((compared, faults))
    }

    /// The records of links without a note, by signature.
    fn unmarked(&self) -> BTreeMap<&str, &Value> {
        let records = self.records.iter();
        let unmarked = records.filter(|(_, record)| record["marked"] == false);
        unmarked.map(|(signature, record)| (signature.as_str(), record)).collect()
    }
}

/// The complaint about a note without a record.
pub const NOT_REGISTERED: &str = "not registered";

/// What is expected of a build's records.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The name in the metadata.
    pub name: &'a str,
    /// Who links.
    pub linked_by: LinkedBy,
    /// Parts of the reasons for which an output may have no note.
    pub unmarked: &'a [&'a str],
    /// The build moves or edits what it has linked, so that a record may lack the output's digest
    /// or have the one of before.
    pub moves_outputs: bool,
    /// Beginnings of the names of what a configure script links for its own questions.
    pub probes: &'a [&'a str],
}

/// The tool that a build calls to link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LinkedBy {
    /// A compiler driver, with the start files and the C library.
    Driver,
    /// A driver that does not show what it gives to the linker, as nvcc.
    OpaqueDriver,
    /// The linker, without start files and a C library that it would have to have.
    LinkerAlone,
}

/// What became of a build's outputs.
#[derive(Debug, Default)]
pub struct Account {
    /// The faults, a line each.
    pub complaints: String,
    /// ELF files that a linker made, each content once.
    pub outputs: usize,
    /// Those with a note.
    pub marked: usize,
    /// The reasons of the others, and how many have each.
    pub reasons: BTreeMap<String, usize>,
}

/// True if the record is of this file: by its path, or by its contents if it was moved.
fn is_output(record: &Value, file: &Path, digest: &str) -> bool {
    output_path(record) == file || record["output"]["sha256"] == digest
}

fn output_path(record: &Value) -> PathBuf {
    let output = record["output"]["path"].as_str().unwrap_or_default();
    Path::new(record["working_directory"].as_str().unwrap_or_default()).join(output)
}

fn ends_with(file: &Path, end: &str) -> bool {
    file.to_string_lossy().ends_with(end)
}

/// The faults of the record of `file`, in words.
fn incomplete(record: &Value, file: &Path, expected: &Expected<'_>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("the record: {what}"));
        }
    };
    let list = |key: &str| record[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let inputs = list("inputs");
    let ends_with =
        |end: &str| inputs.iter().any(|input| input["path"].as_str().is_some_and(|p| p.ends_with(end)));
    expect(record["metadata"]["name"] == expected.name, "another name");
    expect(record["working_directory"].as_str().is_some_and(|folder| folder.starts_with('/')), "no folder");
    let by_driver = expected.linked_by == LinkedBy::Driver;
    let (command, tools): (_, &[&str]) = match expected.linked_by {
        LinkedBy::Driver => ("linker_command", &["driver", "linker"]),
        LinkedBy::OpaqueDriver => ("driver_command", &[]),
        LinkedBy::LinkerAlone => ("linker_command", &["linker"]),
    };
    expect(list(command).len() > 1, "no command that links");
    for tool in tools {
        let path = record[*tool]["path"].as_str().unwrap_or_default();
        expect(Path::new(path).is_file() && !path.contains("ogrt"), &format!("{tool} is {path}"));
        let version = record[*tool]["version"].as_str().unwrap_or_default();
        expect(
            version.contains(|c: char| c.is_ascii_digit()),
            &format!("version of the {tool} is {version:?}"),
        );
    }
    if by_driver {
        expect(list("driver_command").len() > 1, "no command of the driver");
        expect(!list("compilers").is_empty(), "no compilers");
        expect(ends_with("/crti.o") && ends_with("/crtn.o"), "no crti.o or crtn.o among the inputs");
        expect(inputs.iter().any(is_libc), "no libc among the inputs");
    }
    expect(
        inputs.iter().any(|input| input["kind"] == "object" || input["kind"] == "lto_object"),
        "no objects",
    );
    for input in inputs {
        let digest = input["sha256"].as_str().unwrap_or_default();
        expect(digest.len() == 64, &format!("no digest of {}", input["path"]));
    }
    // Installing may edit a RUNPATH: then the file that was linked no longer exists.
    if output_path(record) == file && !expected.moves_outputs {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        expect(record["output"]["sha256"] == hexadecimal_sha256(&bytes), "another digest of the output");
        expect(record["output"]["size"] == bytes.len(), "another size of the output");
    }
    let has_digest = record["output"]["sha256"].as_str().is_some_and(|digest| digest.len() == 64);
    expect(has_digest || expected.moves_outputs, "no output");
    Ok(found)
}

fn is_libc(input: &Value) -> bool {
    input["path"].as_str().is_some_and(|path| path.contains("/libc.so") || path.ends_with("/libc.a"))
}

/// True for probes that stay: CMake keeps the programs that identified the compiler, meson those of
/// its sanity check.
fn is_kept_by_a_probe(file: &Path) -> bool {
    let text = file.to_string_lossy();
    (text.contains("/CMakeFiles/")
        && (text.contains("/CompilerId") || text.contains("/CMakeDetermineCompilerABI_")))
        || text.contains("/meson-private/")
}

/// The signatures in each file, read by `ogrt show`.
pub fn notes_of(stage: &Stage, files: &[PathBuf]) -> Result<Vec<Vec<String>>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let output = ogrt_end_to_end::see(stage.site.ogrt(&["show", "--json"]).args(files));
    let shown: Vec<Value> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("ogrt show: {}", ogrt_end_to_end::text(&output.stderr)))?;
    ensure!(shown.len() == files.len(), "ogrt show: {}", ogrt_end_to_end::text(&output.stderr));
    let signatures = |file: &Value| {
        let notes = file["watermarks"].as_array().map(Vec::as_slice).unwrap_or_default();
        notes.iter().filter_map(|note| Some(note["signature"].as_str()?.to_owned())).collect()
    };
    Ok(shown.iter().map(signatures).collect())
}

/// True for an ELF program or shared library, false for an object or a symbolic link.
pub fn is_linked_elf(file: &Path) -> bool {
    matches!(elf_type(file), Some(2 | 3))
}

/// True for any ELF file, an object too.
pub fn is_elf(file: &Path) -> bool {
    elf_type(file).is_some()
}

/// The type of relocatable objects.
const ET_REL: u16 = 1;

/// The type of an ELF file in its own byte order.
fn elf_type(file: &Path) -> Option<u16> {
    let mut head = [0; 18];
    let is_file = file.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let read = is_file && fs::File::open(file).and_then(|mut file| file.read_exact(&mut head)).is_ok();
    let kind = [head[16], head[17]];
    let kind = if head[5] == 2 { u16::from_be_bytes(kind) } else { u16::from_le_bytes(kind) };
    (read && head.starts_with(b"\x7fELF")).then_some(kind)
}

/// Every file and link below a folder, in order.
pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

/// Asks the server, by HTTP/1.0, so that the answer ends with the connection.
fn get(http: &str, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(http.trim_start_matches("http://")).context("the server")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{path}: {answer}"))?;
    ensure!(head.contains(" 200 "), "{path}: {head}\n{body}");
    serde_json::from_str(body).with_context(|| format!("{path}: {body}"))
}
