//! What a driver chooses its linker by: words on its line, variables, and the linkers in the
//! directories that both name.
//!
//! A remembered route holds only while all of them stay as they are. So they are part of what it is
//! remembered under: the words with response files opened, the variables, and a stamp of each file
//! that a word names and of each linker in a directory that is searched first. The directories on
//! PATH are not looked into: the linker wrapper searches them at each link.

use crate::environment;
use crate::line::driver_line::target_triple;
use crate::tool::find_tool::dirs_of;
use crate::tool::known_tools;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The beginnings of words that steer a driver, and hold their value.
const JOINED: &[&str] = &[
    "-fuse-ld=",
    "--ld-path=",
    "-B",
    "--prefix=",
    "-specs=",
    "--specs=",
    "--config=",
    "--config-user-dir=",
    "--config-system-dir=",
    "--no-default-config",
    "--gcc-toolchain=",
    "--gcc-install-dir=",
    "--gcc-triple=",
    "--sysroot=",
    "--driver-mode=",
    "-ccc-",
    "-canonical-prefixes",
    "-no-canonical-prefixes",
    "-m16",
    "-m32",
    "-m64",
    "-mx32",
    "-mbig-endian",
    "-mlittle-endian",
    "-EB",
    "-EL",
];

/// Words that steer a driver, and whose value is the next word.
const SEPARATE: &[&str] =
    &["-B", "--prefix", "-specs", "--specs", "--config", "--sysroot", "-wrapper", "-ccc-install-dir"];

/// Variables that steer drivers: gcc, clang, and `mold -run`.
const VARIABLES: &[&str] = &[
    "PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "CCC_OVERRIDE_OPTIONS",
    "LD_PRELOAD",
    "MOLD_PATH",
    "OGRT_REAL_LD",
    "HOME",
];

/// The beginnings of variables that steer drivers: of MPI, of HIP and CUDA, of Cray, and the
/// configuration files of Intel's compilers.
const VARIABLES_BY_PREFIX: &[&str] = &[
    "OMPI_", "MPICH_", "I_MPI_", "HIP", "NVCC_", "CRAY", "PE_", "ICCCFG", "ICPCCFG", "ICXCFG", "ICPXCFG",
    "IFORTCFG", "IFXCFG", "ZIG_",
];

/// What a driver chooses its linker by.
#[derive(Debug)]
pub struct Steering {
    /// The words of the line that matter, in their order.
    pub words: Vec<OsString>,
    /// Everything that the choice depends on besides the words.
    pub circumstances: Vec<OsString>,
}

impl Steering {
    /// Reads a driver's arguments, whose response files are opened already, and our environment.
    pub fn of(arguments: &[OsString]) -> Steering {
        let words = steering_words(arguments);
        let variables = environment::all().iter().filter(|(name, _)| steers(name));
        let mut circumstances: Vec<OsString> =
            variables.flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
        for value in values(&words) {
            circumstances.extend(stamp(Path::new(value)));
            if Path::new(value).is_relative() {
                circumstances.extend(std::env::current_dir().ok().map(PathBuf::into_os_string));
            }
        }
        let prefixes = values(&words).map(PathBuf::from).chain(dirs_of("COMPILER_PATH"));
        for dir in prefixes.filter(|dir| dir.is_dir()) {
            let names = known_tools::linkers().map(|(name, _)| name).chain(["real-ld", "collect-ld"]);
            circumstances.extend(names.filter_map(|name| stamp(&dir.join(name))));
        }
        Steering { words, circumstances }
    }
}

fn steers(variable: &OsStr) -> bool {
    let starts = |start: &&str| variable.as_bytes().starts_with(start.as_bytes());
    VARIABLES.iter().any(|name| variable == *name) || VARIABLES_BY_PREFIX.iter().any(starts)
}

fn steering_words(arguments: &[OsString]) -> Vec<OsString> {
    let mut steering: Vec<OsString> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if SEPARATE.iter().any(|option| word == option) {
            steering.extend([word.clone()].into_iter().chain(words.next().cloned()));
        } else if JOINED.iter().any(|start| word.as_bytes().starts_with(start.as_bytes())) {
            steering.push(word.clone());
        }
    }
    if let Some(triple) = target_triple(arguments) {
        let mut target = OsString::from("--target=");
        target.push(triple);
        steering.push(target);
    }
    steering
}

/// The values of words that name a file or a directory.
fn values(words: &[OsString]) -> impl Iterator<Item = &OsStr> {
    const NAMES: [&str; 5] = ["-B", "--prefix=", "-specs=", "--specs=", "--config="];
    words.iter().filter_map(|word| {
        let joined = NAMES.iter().find_map(|name| word.as_bytes().strip_prefix(name.as_bytes()));
        let value = match joined {
            Some(value) => value,
            None if word.as_bytes().starts_with(b"-") => return None,
            None => word.as_bytes(),
        };
        (!value.is_empty()).then(|| OsStr::from_bytes(value))
    })
}

/// What changes when the file is replaced or rewritten.
fn stamp(path: &Path) -> Option<OsString> {
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.is_dir() {
        return None;
    }
    let (inode, size) = (metadata.ino(), metadata.size());
    Some(format!("{inode}-{size}-{}-{}", metadata.mtime(), metadata.mtime_nsec()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_chooses_the_linker_is_kept_and_the_rest_is_not() {
        let line = "-O2 -fuse-ld=gold -B dir -Bother a.o -specs=x -target arm-linux -m32 -o x --config c \
                    --prefix=p -DB";
        let expected = "-fuse-ld=gold -B dir -Bother -specs=x -m32 --config c --prefix=p --target=arm-linux";
        assert_eq!(steering_words(&words(line)), words(expected));
        let named: Vec<&OsStr> = ["dir", "other", "x", "c", "p"].map(OsStr::new).into();
        assert_eq!(values(&words(expected)).collect::<Vec<_>>(), named);
    }

    #[test]
    fn a_linker_that_appears_in_a_directory_of_the_line_changes_the_circumstances() {
        let dir = tempfile::tempdir().unwrap();
        let line = words(&format!("-B{} main.o", dir.path().display()));
        let before = Steering::of(&line).circumstances;
        assert_eq!(Steering::of(&line).circumstances, before);
        std::fs::write(dir.path().join("main.o"), "").unwrap();
        assert_eq!(Steering::of(&line).circumstances, before);
        std::fs::write(dir.path().join("real-ld"), "").unwrap();
        assert_ne!(Steering::of(&line).circumstances, before);
    }
}
