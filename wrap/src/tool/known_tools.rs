//! The compilers, linkers and launchers that we know by name: one table.
//!
//! Most tools need no row: a driver is tried, and an unknown linker is run under the name that it
//! was asked for by. A row says what cannot be found out by trying: `ogrt doctor` looks for the
//! names, `cargo xtask install` makes the links, and the wrappers choose the way to the note by
//! them. `tests/wrappers/tests/known_tools.rs` runs each row.
//!
//! xtask includes this file by its path, so it uses nothing but std.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// A tool that we know by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTool {
    /// The name, without a version or a target.
    pub name: &'static str,
    /// What kind of tool it is.
    pub kind: ToolKind,
}

/// What kind of tool it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// A compiler driver: it compiles, and runs a linker.
    Driver(Language, DriverKind),
    /// A linker. A driver runs it as `ld.NAME` for `-fuse-ld=NAME`, or as `ld` if it was not told
    /// which.
    Linker {
        /// The NAME of `-fuse-ld=NAME`.
        choice: Option<&'static str>,
    },
    /// A program that runs the compiler which is its first argument.
    Launcher,
    /// A program that runs a command under changed conditions: another environment, priority,
    /// processor or time limit.
    Runner {
        /// Its options whose value is the next word.
        values: &'static [&'static str],
        /// The number of its words that are neither options nor assignments, before the command.
        words: usize,
    },
    /// The compiler wrapper under one of its names.
    Wrapper {
        /// The language whose system compilers it stands for.
        language: Language,
        /// The variable that names another compiler.
        variable: &'static str,
    },
}

/// The language that a driver compiles when it is not told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Fortran.
    Fortran,
}

/// What a driver can be asked to do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverKind {
    /// A name of gcc, by which a system calls its own compiler, too.
    System,
    /// It takes `-B`, or says where its start files are: clang, and what is built on gcc or clang.
    TakesOptions,
    /// It refuses options of gcc and answers no question, but takes an object by its name.
    TakesObject,
}

use DriverKind::{System, TakesObject, TakesOptions};
use Language::{C, Cxx, Fortran};

/// The table. The first of several that would do is taken: `cc` before `gcc`.
pub const TOOLS: &[KnownTool] = &[
    driver("cc", C, System),
    driver("gcc", C, System),
    driver("c++", Cxx, System),
    driver("g++", Cxx, System),
    driver("gfortran", Fortran, System),
    // LLVM
    driver("clang", C, TakesOptions),
    driver("clang++", Cxx, TakesOptions),
    driver("flang", Fortran, TakesOptions),
    driver("flang-new", Fortran, TakesOptions),
    // Arm, AMD: built on LLVM
    driver("armclang", C, TakesOptions),
    driver("armclang++", Cxx, TakesOptions),
    driver("armflang", Fortran, TakesOptions),
    driver("amdclang", C, TakesOptions),
    driver("amdclang++", Cxx, TakesOptions),
    driver("amdflang", Fortran, TakesOptions),
    // Intel
    driver("icx", C, TakesOptions),
    driver("icpx", Cxx, TakesOptions),
    driver("ifx", Fortran, TakesOptions),
    driver("dpcpp", Cxx, TakesOptions),
    driver("icc", C, TakesObject),
    driver("icpc", Cxx, TakesObject),
    driver("ifort", Fortran, TakesObject),
    // NVIDIA, and PGI before
    driver("nvc", C, TakesObject),
    driver("nvcc", C, TakesObject),
    driver("nvc++", Cxx, TakesObject),
    driver("nvfortran", Fortran, TakesObject),
    driver("pgcc", C, TakesObject),
    driver("pgc++", Cxx, TakesObject),
    driver("pgfortran", Fortran, TakesObject),
    // Fujitsu, IBM, NAG, Tiny C
    driver("fcc", C, TakesObject),
    driver("FCC", Cxx, TakesObject),
    driver("frt", Fortran, TakesObject),
    driver("xlc", C, TakesObject),
    driver("xlC", Cxx, TakesObject),
    driver("xlf", Fortran, TakesObject),
    driver("nagfor", Fortran, TakesObject),
    driver("tcc", C, TakesObject),
    // MPI and Cray: wrappers of one of the above
    driver("mpicc", C, TakesOptions),
    driver("mpicxx", Cxx, TakesOptions),
    driver("mpifort", Fortran, TakesOptions),
    driver("ftn", Fortran, TakesOptions),
    linker("ld", None),
    linker("ld.bfd", Some("bfd")),
    linker("ld.gold", Some("gold")),
    linker("ld.lld", Some("lld")),
    linker("ld.mold", Some("mold")),
    linker("ld.wild", Some("wild")),
    // Called as a linker by its own name, and as `mold -run`.
    linker("mold", None),
    KnownTool { name: "ccache", kind: ToolKind::Launcher },
    KnownTool { name: "sccache", kind: ToolKind::Launcher },
    KnownTool { name: "distcc", kind: ToolKind::Launcher },
    KnownTool { name: "icecc", kind: ToolKind::Launcher },
    KnownTool { name: "buildcache", kind: ToolKind::Launcher },
    // `diet gcc ...` links with dietlibc.
    KnownTool { name: "diet", kind: ToolKind::Launcher },
    runner("env", &["-u", "--unset", "-C", "--chdir"], 0),
    runner("nice", &["-n", "--adjustment"], 0),
    runner("ionice", &["-c", "--class", "-n", "--classdata"], 0),
    runner("chrt", &["-T", "-P", "-D"], 1),
    runner("taskset", &[], 1),
    runner("numactl", &["-i", "-N", "-m", "-C", "-p", "-P", "-w"], 0),
    runner("nohup", &[], 0),
    runner("setsid", &[], 0),
    runner("setarch", &[], 1),
    runner("linux32", &[], 0),
    runner("linux64", &[], 0),
    runner("stdbuf", &["-i", "-o", "-e"], 0),
    runner("time", &["-f", "-o"], 0),
    runner("timeout", &["-k", "-s"], 1),
    wrapper("ogrt-cc", C, "OGRT_REAL_CC"),
    wrapper("ogrt-c++", Cxx, "OGRT_REAL_CXX"),
    wrapper("ogrt-fc", Fortran, "OGRT_REAL_FC"),
];

/// The tools of a compiler that others derive from its name. `ogrt-` in front of each is a link to
/// `ogrt-cc`, which runs the real compiler's.
pub const COMPANION_TOOLS: &[&str] = &[
    "ar",
    "nm",
    "ranlib",
    "strip",
    "objcopy",
    "objdump",
    "readelf",
    "addr2line",
    "gcc-ar",
    "gcc-nm",
    "gcc-ranlib",
    "llvm-ar",
    "llvm-nm",
    "llvm-ranlib",
    "llvm-strip",
    "llvm-objcopy",
];

const fn driver(name: &'static str, language: Language, kind: DriverKind) -> KnownTool {
    KnownTool { name, kind: ToolKind::Driver(language, kind) }
}

const fn linker(name: &'static str, choice: Option<&'static str>) -> KnownTool {
    KnownTool { name, kind: ToolKind::Linker { choice } }
}

const fn runner(name: &'static str, values: &'static [&'static str], words: usize) -> KnownTool {
    KnownTool { name, kind: ToolKind::Runner { values, words } }
}

const fn wrapper(name: &'static str, language: Language, variable: &'static str) -> KnownTool {
    KnownTool { name, kind: ToolKind::Wrapper { language, variable } }
}

/// The row of this name.
pub fn tool(name: &str) -> Option<&'static KnownTool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// The driver rows, in the order of the table.
pub fn drivers() -> impl Iterator<Item = (&'static str, Language, DriverKind)> {
    TOOLS.iter().filter_map(|tool| match tool.kind {
        ToolKind::Driver(language, kind) => Some((tool.name, language, kind)),
        _ => None,
    })
}

/// The names by which a system calls its own compiler for a language.
pub fn system_compilers(language: Language) -> impl Iterator<Item = &'static str> {
    drivers().filter(move |driver| (driver.1, driver.2) == (language, System)).map(|(name, ..)| name)
}

/// The names of linkers, each with the NAME of its `-fuse-ld=NAME`.
pub fn linkers() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    TOOLS.iter().filter_map(|tool| match tool.kind {
        ToolKind::Linker { choice } => Some((tool.name, choice)),
        _ => None,
    })
}

/// The names of the compiler wrapper.
pub fn wrappers() -> impl Iterator<Item = &'static str> {
    let is_wrapper = |tool: &&KnownTool| matches!(tool.kind, ToolKind::Wrapper { .. });
    TOOLS.iter().filter(is_wrapper).map(|tool| tool.name)
}

/// The index of the command among the words of a [`ToolKind::Runner`]. `None` if there is none, or
/// it stands inside another word (`env -S`).
pub fn command_after(arguments: &[OsString], values: &[&str], mut words: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        let bytes = word.as_bytes();
        if bytes.starts_with(b"-S") || bytes.starts_with(b"--split-string") {
            return None;
        } else if values.iter().any(|option| word == option) {
            at += 2;
        } else if bytes.starts_with(b"-") || bytes.contains(&b'=') {
            at += 1;
        } else if words > 0 {
            (at, words) = (at + 1, words - 1);
        } else {
            return Some(at);
        }
    }
    None
}

/// The language of a driver, which may have a version behind its name or a target in front: `gcc`,
/// `gcc-12`, `aarch64-linux-gnu-gcc`.
pub fn driver_language(name: &str) -> Option<Language> {
    let bare = match name.rsplit_once('-') {
        Some((bare, version)) if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => bare,
        _ => name,
    };
    let is = |known: &str| {
        bare == known
            || bare
                .strip_suffix(known)
                .is_some_and(|target| target.contains("-linux") && target.ends_with('-'))
    };
    drivers().find(|(known, ..)| is(known)).map(|(_, language, _)| language)
}

/// The target in the name of a gcc that was built as a cross compiler: T of `T-gcc-12`.
pub fn cross_target(gcc: &str) -> Option<&str> {
    let names = drivers().filter(|(.., kind)| *kind == System).map(|(name, ..)| name);
    let at = names.filter_map(|name| gcc.rfind(&format!("-{name}"))).max()?;
    Some(&gcc[..at])
}

/// The program is a linker, or `collect2`, by which gcc runs one.
pub fn is_linker(program: &str) -> bool {
    program == "collect2"
        || program.starts_with("ld.")
        || program.ends_with("-ld")
        || linkers().any(|(name, choice)| name == program || choice == Some(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        for (index, tool) in TOOLS.iter().enumerate() {
            assert!(TOOLS[..index].iter().all(|before| before.name != tool.name), "{} twice", tool.name);
        }
    }

    #[test]
    fn drivers_are_known_with_a_version_or_a_target() {
        for name in ["gcc", "gcc-12", "aarch64-linux-gnu-gcc-12", "clang++-14", "x86_64-linux-gnu-gfortran"] {
            assert!(driver_language(name).is_some(), "{name}");
        }
        for name in
            ["gcc-ar", "gcc-nm-12", "clang-format", "colorgcc", "ogrt-cc", "gccgo", "x86_64-w64-mingw32-gcc"]
        {
            assert!(driver_language(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_command_behind_words_in_front_is_found() {
        let at = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let Some(ToolKind::Runner { values, words: own }) =
                tool(words[0].to_str().unwrap()).map(|tool| tool.kind)
            else {
                panic!("{line}");
            };
            command_after(&words[1..], values, own).map(|at| words[at + 1].to_str().unwrap().to_owned())
        };
        for line in [
            "env X=1 gcc a.o",
            "env -i -u Y -- gcc a.o",
            "nice gcc a.o",
            "nice -n 5 gcc",
            "nice -5 gcc",
            "ionice -c 3 gcc",
            "taskset -c 0,1 gcc",
            "chrt -b 0 gcc",
            "timeout -k 5 10 gcc",
            "setarch x86_64 -R gcc",
            "stdbuf -oL gcc",
        ] {
            assert_eq!(at(line).as_deref(), Some("gcc"), "{line}");
        }
        assert_eq!(at("env"), None);
        assert_eq!(at("env -S gcc"), None);
    }

    #[test]
    fn a_cross_compiler_bears_its_target() {
        assert_eq!(cross_target("aarch64-linux-gnu-gcc-12"), Some("aarch64-linux-gnu"));
        assert_eq!(cross_target("x86_64-conda-linux-gnu-c++"), Some("x86_64-conda-linux-gnu"));
        assert_eq!(cross_target("gcc-12"), None);
    }

    #[test]
    fn linkers_are_known_by_each_of_their_names() {
        for name in ["ld", "collect2", "ld.lld-19", "aarch64-linux-gnu-ld", "mold"] {
            assert!(is_linker(name), "{name}");
        }
        for name in ["as", "cc1", "lto-wrapper", "bold"] {
            assert!(!is_linker(name), "{name}");
        }
    }
}
