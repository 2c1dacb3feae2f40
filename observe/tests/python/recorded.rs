//! The memory of Pythons that are not on every machine, as it was recorded of real processes.
//!
//! `OGRT_TEST_RECORD=FOLDER` writes such records of the Pythons that are there. They hold what was
//! read of a process with few modules, and nothing else. The fuzz target `python_memory` begins
//! with them.

use crate::{
    interpreter::{Interpreter, Process},
    pieces::Pieces,
};
use ogrt_observe::python::{Executable, Mappings, Memory, Python, Unreadable, read_pythons};
use std::{
    cell::RefCell,
    env,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

const MODULES: [&str; 5] = ["__main__", "builtins", "email.mime", "numpy", "sys"];

/// The address of the headers in a program that is not moved.
const HEADERS_ADDRESS: u64 = 0x40_0040;

/// What a process runs that is recorded.
pub const SCRIPT: &str = r#"
import sys
kept = dict(sys.modules)
names = ["__main__", "builtins", "email.mime", "numpy", "sys"]
modules = dict((name, kept.get(name, sys)) for name in names)
sys.modules.clear()
sys.modules.update(modules)
"#;

#[test]
fn recorded_memory_is_read_as_the_process_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/recorded");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let record = fs::read(&path).unwrap();
        let (maps, memory) = Pieces::take(&record);
        let [python] = &read(&memory, &memory, maps)[..] else { panic!("{name}") };
        let version = format!("{}.{}", python.version.major, python.version.minor);
        assert_eq!(version, name.trim_end_matches("-hidden"), "{name}");
        assert!(python.modules.iter().eq(MODULES.iter()), "{name}: {:?}", python.modules);
        assert!(python.is_complete, "{name}");
    }
}

/// The line of a heap, and of an interpreter's file from its beginning; without the file's folder.
fn short_line(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let path = words.get(5).map_or("", |path| path);
    let (_, name) = path.rsplit_once('/').unwrap_or_default();
    let is_heap = words[4] == "0" && words[1] == "rw-p";
    let is_wanted = name.starts_with("python") || name.starts_with("libpython") || is_heap;
    (is_wanted && words[2] == "00000000").then(|| format!("{} /{name}\n", words[..5].join(" ")))
}

/// The bytes of a file, or of a process by its file.
struct Bytes(File);

impl Memory for Bytes {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.0.read_exact_at(buffer, address).map_err(|_| Unreadable)
    }
}

#[test]
fn a_record_of_a_process_is_read_as_the_process_is() {
    for interpreter in Interpreter::all() {
        let process = interpreter.run(&["-S"], SCRIPT);
        let file = interpreter.program.clone();
        assert_record(&process, &file, "");
    }
}

/// A process is read, and recorded; then the record is read as the process was. The file is that of
/// its program.
pub fn assert_record(process: &Process, file: &Path, kind: &str) {
    process.assert_read_whole();
    let maps = process.stat_file("maps");
    let maps: String = maps.lines().filter_map(short_line).collect();
    let open = |path: &Path| Bytes(File::open(path).unwrap());
    let memory = open(&Path::new("/proc").join(process.pid().to_string()).join("mem"));
    let (memory, file) = (Recorder::new(memory, maps.as_bytes()), Recorder::new(open(file), b""));
    let read_first = read(&memory, &file, maps.as_bytes());
    assert_eq!(read_first[0].modules, process.modules, "{}", process.interpreter);
    // A program that is not moved lies far behind the places in its file.
    let record = [memory.into_record(), file.into_record().split_off(1)].concat();
    let (maps, memory) = Pieces::take(&record);
    assert_eq!(read(&memory, &memory, maps), read_first, "{}", process.interpreter);
    if let Some(folder) = env::var_os("OGRT_TEST_RECORD") {
        let (major, minor, _) = process.interpreter.version;
        fs::write(Path::new(&folder).join(format!("{major}.{minor}{kind}.memory")), record).unwrap();
    }
}

fn read(memory: &dyn Memory, file: &dyn Memory, maps: &[u8]) -> Vec<Python> {
    let executable = Executable { file, headers_address: HEADERS_ADDRESS };
    read_pythons(memory, &Mappings::parse(maps), Some(&executable))
}

/// Memory that is recorded while it is read.
struct Recorder<M> {
    memory: M,
    record: RefCell<Vec<u8>>,
}

impl<M> Recorder<M> {
    /// A record that begins with these maps.
    fn new(memory: M, maps: &[u8]) -> Self {
        Recorder { memory, record: RefCell::new([maps, b"\0"].concat()) }
    }

    /// What was recorded.
    fn into_record(self) -> Vec<u8> {
        self.record.into_inner()
    }
}

impl<M: Memory> Memory for Recorder<M> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.memory.read(address, buffer)?;
        let length = u16::try_from(buffer.len()).expect("a piece has less than 64 KiB").to_le_bytes();
        let piece = [&address.to_le_bytes(), &[0, 0][..], &length, buffer].concat();
        let mut record = self.record.borrow_mut();
        // The second reading of a table is the same.
        if !record.windows(piece.len()).any(|known| known == piece) {
            record.extend(piece);
        }
        Ok(())
    }
}
