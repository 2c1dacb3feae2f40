//! The modules that the Pythons of a process have imported, read from outside.
//!
//! ```no_run
//! for python in ogrt_observe::python::pythons(4711)? {
//!     println!("{} {:?}", python.version, python.modules);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The way: mapped objects (`mappings`) -> the symbols of an interpreter (`symbols`,
//! `file_symbols`) -> its version and layout (`version`, `layout`) -> its interpreters
//! (`interpreters`, `first_interpreter`) -> their `sys.modules` (`dictionary`, `text`).
//! Only `process` asks the kernel. The rest reads through the trait `Memory`, so that tests and the
//! fuzzer can give it anything.
//!
//! | interpreter | found by | its modules |
//! |---|---|---|
//! | CPython 2.7, 3.6 to 3.15, with and without the global lock | the symbols that it offers to extension modules | all |
//! | one that offers no symbols: frozen, in another program | `.symtab`, or since 3.10 the section `.PyRuntime` | all |
//! | a later version | the same | none: `is_complete` is false |
//! | 3.0 to 3.5, PyPy, programs of 32 bits | not found | |
//!
//! Everything read is hostile. Reads, bytes, entries and names are bounded; arithmetic on addresses
//! is checked; lists of interpreters cannot be circles. Only names are read: keys, never values.

mod dictionary;
mod file_symbols;
mod first_interpreter;
mod interpreters;
mod layout;
mod mappings;
mod memory;
mod packages;
mod process;
mod standard_library;
mod symbols;
mod text;
mod time_limit;
mod version;

pub use interpreters::{Executable, Python, read_pythons};
pub use mappings::Mappings;
pub use memory::{Memory, Unreadable};
pub use packages::top_level_packages;
pub use process::pythons;
pub use time_limit::{READINGS_MAX, pythons_within};
pub use version::PythonVersion;
