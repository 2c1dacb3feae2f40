//! The records that the server has after a build, compared with the files in the build's folders.
//!
//! The rule needs no name of a probe: configure scripts, CMake and meson delete what their probes
//! link, or keep it in folders of their own. So each registered build must be in a file that still
//! exists and is not a probe's. Each program and library that exists must be registered,
//! completely, under its signature.

use crate::archive::hexadecimal_sha256;
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
    /// nothing else is registered.
    pub fn account_for(&self, stage: &Stage, files: &[PathBuf], name: &str) -> Result<String> {
        let mut complaints = String::new();
        let mut unaccounted: BTreeSet<&str> = self.records.keys().map(String::as_str).collect();
        let notes = notes_of(stage, files)?;
        for (file, signatures) in files.iter().zip(&notes) {
            let mut complain = |what: String| complaints += &format!("{}: {what}\n", file.display());
            if is_kept_by_a_probe(file) {
                if signatures.iter().any(|signature| self.records.contains_key(signature)) {
                    complain("a probe is registered".into());
                }
                continue;
            }
            let [signature] = &signatures[..] else {
                complain(format!("{} notes instead of one", signatures.len()));
                continue;
            };
            unaccounted.remove(signature.as_str());
            match self.records.get(signature) {
                None => complain("not registered".into()),
                Some(record) => incomplete(record, file, name)?.into_iter().for_each(&mut complain),
            }
        }
        for signature in unaccounted {
            let record = &self.records[signature];
            complaints += &format!(
                "registered, and in no file: {signature} {} in {}: {}\n",
                record["output"]["path"], record["working_directory"], record["driver_command"]
            );
        }
        Ok(complaints)
    }
}

/// The faults of the record of `file`, in words.
fn incomplete(record: &Value, file: &Path, name: &str) -> Result<Vec<String>> {
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
    expect(record["metadata"]["name"] == name, "another name");
    expect(record["working_directory"].as_str().is_some_and(|folder| folder.starts_with('/')), "no folder");
    expect(list("driver_command").len() > 1, "no command of the driver");
    expect(list("linker_command").len() > 1, "no command of the linker");
    for tool in ["driver", "linker"] {
        let path = record[tool]["path"].as_str().unwrap_or_default();
        expect(Path::new(path).is_file() && !path.contains("ogrt"), &format!("{tool} is {path}"));
        let version = record[tool]["version"].as_str().unwrap_or_default();
        expect(
            version.contains(|c: char| c.is_ascii_digit()),
            &format!("version of the {tool} is {version:?}"),
        );
    }
    expect(!list("compilers").is_empty(), "no compilers");
    expect(ends_with("/crti.o") && ends_with("/crtn.o"), "no crti.o or crtn.o among the inputs");
    expect(inputs.iter().any(is_libc), "no libc among the inputs");
    expect(
        inputs.iter().any(|input| input["kind"] == "object" || input["kind"] == "lto_object"),
        "no objects",
    );
    for input in inputs {
        let digest = input["sha256"].as_str().unwrap_or_default();
        expect(digest.len() == 64, &format!("no digest of {}", input["path"]));
    }
    // Installing may edit a RUNPATH: then the file that was linked no longer exists.
    let output = record["output"]["path"].as_str().unwrap_or_default();
    let output = Path::new(record["working_directory"].as_str().unwrap_or_default()).join(output);
    if output == file {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        expect(record["output"]["sha256"] == hexadecimal_sha256(&bytes), "another digest of the output");
        expect(record["output"]["size"] == bytes.len(), "another size of the output");
    }
    expect(record["output"]["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "no output");
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
    let mut head = [0; 18];
    let is_file = file.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let read = is_file && fs::File::open(file).and_then(|mut file| file.read_exact(&mut head)).is_ok();
    read && head.starts_with(b"\x7fELF") && matches!(head[16], 2 | 3)
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
