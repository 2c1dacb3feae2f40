//! The interpreters of a process: from the symbols of an object to the dictionaries of modules.

use super::{
    dictionary::{KeyNames, key_names},
    file_symbols::FileSymbols,
    first_interpreter::{first_interpreters, has_thread},
    layout::Layout,
    mappings::Mappings,
    memory::{Memory, Obstacle, Reader},
    symbols::{LoadedObject, Symbols},
    text::Types,
    version::{PythonVersion, version_symbols},
};
use std::collections::BTreeSet;

/// Interpreters of one runtime that are looked at. A web server's worker has a few.
const INTERPRETERS_MAX: usize = 64;

/// The state of a runtime (3.7 and later).
const STATE: &str = "_PyRuntime";

/// The function that returns the first interpreter. All versions have it.
const INTERPRETER_FUNCTION: &str = "PyInterpreterState_Head";

/// An interpreter that runs in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// Its version.
    pub version: PythonVersion,
    /// The keys of its `sys.modules`, as they stand there. Keys that are no texts are left out. Of
    /// several interpreters in one process these are the keys of all.
    pub modules: BTreeSet<String>,
    /// False, if there may be more: the version is not known here, the modules changed all the
    /// time, or there are more than a bound allows.
    pub is_complete: bool,
}

/// The file of a process's program.
pub struct Executable<'f> {
    /// Its bytes, by their places.
    pub file: &'f dyn Memory,
    /// The address of its program headers in the process.
    pub headers_address: u64,
}

/// Every Python that runs in a process, read from its memory. What is read may be rubbish, or
/// change: then names are missing, and none is wrong.
pub fn read_pythons(
    memory: &dyn Memory,
    mappings: &Mappings,
    executable: Option<&Executable>,
) -> Vec<Python> {
    let reader = Reader::new(memory);
    let (named, others) = mappings.objects();
    for objects in [named, others] {
        let pythons: Vec<_> = objects
            .into_iter()
            .filter_map(|object| {
                let loaded = LoadedObject::read(&reader, object.base)?;
                python(&reader, mappings, &loaded, &loaded)
            })
            .collect();
        if !pythons.is_empty() {
            return pythons;
        }
    }
    executable.and_then(|executable| hidden_python(&reader, mappings, executable)).into_iter().collect()
}

/// The Python in a program that offers its symbols to nobody: they stand in its file.
fn hidden_python(reader: &Reader, mappings: &Mappings, executable: &Executable) -> Option<Python> {
    let file = Reader::new(executable.file);
    let base = executable.headers_address.checked_sub(file.word(32).ok()?)?;
    let loaded = LoadedObject::read(reader, base)?;
    let wanted: Vec<_> = version_symbols().chain([STATE, INTERPRETER_FUNCTION]).collect();
    let symbols = FileSymbols::read(&file, loaded.bias(), &wanted);
    python(reader, mappings, &symbols, &loaded)
}

/// The Python in an object, if its symbols are those of one, and it runs.
fn python(
    reader: &Reader,
    mappings: &Mappings,
    symbols: &dyn Symbols,
    loaded: &LoadedObject,
) -> Option<Python> {
    if let Some(state) = symbols.address(reader, STATE) {
        if let Some((version, layout)) = Layout::described(reader, state).ok()? {
            return match layout {
                Some(layout) => of_runtime(reader, version, &layout, state),
                None => Some(Python { version, modules: BTreeSet::new(), is_complete: false }),
            };
        }
        let versions = match PythonVersion::find(reader, symbols) {
            Some(version) => vec![version],
            None => PythonVersion::WITH_OWN_SECTION.to_vec(),
        };
        return versions.into_iter().find_map(|version| match Layout::of(version) {
            Some(layout) => of_runtime(reader, version, &layout, state),
            None => Some(Python { version, modules: BTreeSet::new(), is_complete: false }),
        });
    }
    let function = symbols.address(reader, INTERPRETER_FUNCTION)?;
    let version = PythonVersion::find(reader, symbols)?;
    let layout = Layout::of(version).filter(|layout| layout.head.is_none())?;
    let first = first_interpreters(reader, mappings, &layout, function, loaded.variables());
    of_interpreters(reader, version, &layout, first)
}

fn of_runtime(reader: &Reader, version: PythonVersion, layout: &Layout, state: u64) -> Option<Python> {
    let first = reader.field(state, layout.head?).ok()?;
    of_interpreters(reader, version, layout, vec![first])
}

/// What the interpreters have imported that are found from these on. `None` if none of them runs.
fn of_interpreters(
    reader: &Reader,
    version: PythonVersion,
    layout: &Layout,
    mut waiting: Vec<u64>,
) -> Option<Python> {
    let mut python = Python { version, modules: BTreeSet::new(), is_complete: true };
    let mut interpreters = BTreeSet::new();
    let mut runs = false;
    let mut types = Types::new(reader, *layout);
    while let Some(interpreter) = waiting.pop() {
        if interpreter == 0 || interpreters.contains(&interpreter) {
            continue;
        }
        let has_thread = has_thread(reader, layout, interpreter);
        let Some(has_thread) = has_thread.ok().filter(|_| interpreters.len() < INTERPRETERS_MAX) else {
            python.is_complete = false;
            continue;
        };
        runs |= has_thread;
        interpreters.insert(interpreter);
        waiting.extend(reader.field(interpreter, layout.next));
        let found = modules(reader, layout, &mut types, interpreter);
        python.is_complete &= found.as_ref().is_ok_and(|found| found.is_complete);
        python.modules.extend(found.unwrap_or_default().names);
    }
    runs.then_some(python)
}

fn modules(
    reader: &Reader,
    layout: &Layout,
    types: &mut Types,
    interpreter: u64,
) -> Result<KeyNames, Obstacle> {
    let dictionary = reader.field(interpreter, layout.modules)?;
    key_names(reader, layout, types, dictionary)
}
