//! The version of an interpreter, by the functions that it offers.

use super::{memory::Reader, symbols::Symbols};
use std::fmt;

/// The version of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// 2 or 3.
    pub major: u8,
    /// The number that decides about the layout.
    pub minor: u8,
    /// The number of the release. Only 3.11 and later tell it.
    pub micro: Option<u8>,
}

/// Functions that came with a version, newest first. A version is known by having all of its own
/// and none of a newer one.
const NEW_FUNCTIONS: [(u8, u8, &[&str]); 6] = [
    (3, 10, &["Py_NewRef"]),
    (3, 9, &["PyObject_CallNoArgs"]),
    (3, 8, &["PyCode_NewWithPosOnlyArgs"]),
    (3, 7, &["PyThread_tss_create"]),
    (3, 6, &["PyOS_FSPath"]),
    // 2.6 has strings, 3.1 has capsules.
    (2, 7, &["PyString_FromString", "PyCapsule_New"]),
];

/// The variable that holds the version (3.11 and later).
const VERSION_VARIABLE: &str = "Py_Version";

/// The names of all symbols that tell versions apart.
pub fn version_symbols() -> impl Iterator<Item = &'static str> {
    NEW_FUNCTIONS.iter().flat_map(|(_, _, names)| names.iter().copied()).chain([VERSION_VARIABLE])
}

impl PythonVersion {
    /// The versions whose state is in a section of its own, and does not describe itself.
    pub const WITH_OWN_SECTION: [Self; 3] = [Self::new(3, 12), Self::new(3, 11), Self::new(3, 10)];

    /// A version of which the release is not known.
    pub const fn new(major: u8, minor: u8) -> Self {
        PythonVersion { major, minor, micro: None }
    }

    /// The version of the interpreter whose symbols these are.
    pub fn find(reader: &Reader, symbols: &dyn Symbols) -> Option<Self> {
        if let Some(address) = symbols.address(reader, VERSION_VARIABLE) {
            return Self::from_hex(reader.word(address).ok()?);
        }
        let has_all = |names: &[&str]| names.iter().all(|name| symbols.address(reader, name).is_some());
        let (major, minor, _) = NEW_FUNCTIONS.iter().find(|(_, _, names)| has_all(names))?;
        Some(Self::new(*major, *minor))
    }

    /// The version in a number like 0x030B02F0.
    pub fn from_hex(number: u64) -> Option<Self> {
        let [major, minor, micro, _] = u32::try_from(number).ok()?.to_be_bytes();
        (major == 3).then_some(PythonVersion { major, minor, micro: Some(micro) })
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{}.{}", self.major, self.minor)?;
        self.micro.map_or(Ok(()), |micro| write!(to, ".{micro}"))
    }
}
