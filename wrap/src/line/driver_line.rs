//! A compiler driver's command line: does it end in a link?
//!
//! The answer decides only whether `-B` is added. After a "no" the line is handed over untouched. A
//! wrong "yes" adds a `-B` that nobody uses, which gcc and clang accept without a word. So an
//! unknown option does not mean "no".

use crate::line::response_file;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Options after which nothing is linked.
const STOPS: &[&str] = &[
    "-c",
    "-S",
    "-E",
    "-M",
    "-MM",
    "-fsyntax-only",
    "-###",
    "--version",
    "-dumpversion",
    "-dumpfullversion",
    "-dumpmachine",
    "-dumpspecs",
    "--target-help",
    "-emit-ast",
    "-cc1",
    "-cc1as",
    "-cc1gen-reproducer",
    "--analyze",
    "--precompile",
    "--compile",
    "--assemble",
    "--preprocess",
    "-analyze",
    "-emit-pch",
    // nvcc and hipcc: code for the device alone, and steps before the host's linker.
    "-dc",
    "-dw",
    "-dlink",
    "-ptx",
    "-cubin",
    "-fatbin",
    "-optix-ir",
    "-ltoir",
    "-cuda",
    "-dryrun",
    "--device-c",
    "--device-w",
    "--device-link",
    "--ptx",
    "--cubin",
    "--fatbin",
    "--optix-ir",
    "--ltoir",
    "--cuda",
    "--dryrun",
    "--lib",
    "--genco",
    "--cuda-device-only",
    "--emit-static-lib",
];

/// Beginnings of options after which nothing is linked.
const STOPS_BY_PREFIX: &[&str] = &["-print-", "--print-", "--help", "-help"];

/// Options whose value is the next word, so that it is not taken for an input.
const TAKES_NEXT: &[&str] = &[
    "-o",
    "-x",
    "-I",
    "-L",
    "-l",
    "-D",
    "-U",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-iprefix",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-isysroot",
    "-imultilib",
    "-MF",
    "-MT",
    "-MQ",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "-Xclang",
    "-mllvm",
    "-u",
    "-T",
    "-e",
    "-z",
    "-B",
    "-V",
    "-b",
    "-aux-info",
    "--param",
    "-wrapper",
    "-specs",
    "--sysroot",
    "-target",
    "-arch",
    "-G",
    "-dumpbase",
    "-dumpdir",
    "-J",
    "-A",
];

/// What a driver was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverJob {
    /// It ends in a final link.
    Link,
    /// It compiles, preprocesses, answers a question, or has nothing to do.
    Other,
}

/// Reads the arguments behind `argv[0]`.
pub fn driver_job(arguments: &[OsString]) -> DriverJob {
    let mut has_input = false;
    let mut skip = false;
    for word in response_file::expand_all(arguments) {
        if std::mem::take(&mut skip) {
            continue;
        }
        let bytes = word.as_bytes();
        let is = |name: &&str| bytes == name.as_bytes();
        if STOPS.iter().any(&is) || STOPS_BY_PREFIX.iter().any(|p| bytes.starts_with(p.as_bytes())) {
            return DriverJob::Other;
        }
        // An input: a name, `-` for stdin, or a library.
        has_input |= !bytes.starts_with(b"-") || bytes == b"-" || bytes.starts_with(b"-l");
        skip = TAKES_NEXT.iter().any(is);
    }
    if has_input { DriverJob::Link } else { DriverJob::Other }
}

/// The words of a driver's line that reach the linker: inputs, libraries and their directories, the
/// output, and what is passed on with `-Wl,` and `-Xlinker`.
pub fn linker_words(arguments: &[OsString]) -> Vec<OsString> {
    const FOR_LINKER: [&str; 5] = ["-o", "-L", "-l", "-T", "-e"];
    let mut linker = Vec::new();
    let mut words = response_file::expand_all(arguments).map(Cow::into_owned);
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if let Some(list) = bytes.strip_prefix(b"-Wl,") {
            linker.extend(list.split(|&byte| byte == b',').map(|word| OsStr::from_bytes(word).to_owned()));
        } else if word == "-Xlinker" {
            linker.extend(words.next());
        } else if FOR_LINKER.iter().any(|option| word == *option) {
            linker.extend([word].into_iter().chain(words.next()));
        } else if TAKES_NEXT.iter().any(|option| word == *option) {
            words.next();
        } else if !bytes.starts_with(b"-")
            || starts_any(bytes, &[b"-o", b"-L", b"-l", b"-T", b"-static", b"-r"])
            || ["-N", "-n", "-shared"].iter().any(|option| word == *option)
        {
            linker.push(word);
        }
    }
    linker
}

/// The driver makes a program, and was told to leave the C library's start files out.
pub fn is_freestanding(arguments: &[OsString]) -> bool {
    let has = |option: &str| response_file::expand_all(arguments).any(|word| &*word == option);
    !has("-shared") && ["-nostdlib", "-nostartfiles"].into_iter().any(has)
}

fn starts_any(word: &[u8], starts: &[&[u8]]) -> bool {
    starts.iter().any(|start| word.starts_with(start))
}

/// The target of a cross link by clang: the value of `-target` or `--target=`.
pub fn target_triple(arguments: &[OsString]) -> Option<OsString> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "-target" || word == "--target" {
            return words.next().cloned();
        }
        if let Some(triple) = word.as_bytes().strip_prefix(b"--target=") {
            return Some(OsStr::from_bytes(triple).to_owned());
        }
    }
    None
}

/// The linker that clang was given by its path: the last `--ld-path=`, or an absolute `-fuse-ld=`.
pub fn linker_by_path(arguments: &[OsString]) -> Option<PathBuf> {
    let value = |option: &'static [u8]| {
        let mut values = arguments.iter().filter_map(move |word| word.as_bytes().strip_prefix(option));
        values.next_back().map(|path| PathBuf::from(OsStr::from_bytes(path)))
    };
    value(b"--ld-path=").or_else(|| value(b"-fuse-ld=").filter(|path| path.is_absolute()))
}

/// The values of `-B`, in order.
pub fn tool_prefixes(arguments: &[OsString]) -> Vec<OsString> {
    let mut prefixes = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "-B" {
            prefixes.extend(words.next().cloned());
        } else if let Some(prefix) = word.as_bytes().strip_prefix(b"-B") {
            prefixes.push(OsStr::from_bytes(prefix).to_owned());
        }
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> DriverJob {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        driver_job(&words)
    }

    #[test]
    fn what_reaches_the_linker() {
        let line =
            "-O2 -I inc -D X -x c a.c -L/d -Wl,-z,now -Xlinker --gc-sections b.o -l m -lz -MF dep -o out";
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let expected = "a.c -L/d -z now --gc-sections b.o -l m -lz -o out";
        let expected: Vec<OsString> = expected.split_whitespace().map(OsString::from).collect();
        assert_eq!(linker_words(&words), expected);
    }

    #[test]
    fn final_links_are_told_from_the_rest() {
        for line in [
            "a.o",
            "-o a a.c",
            "-MD a.c",
            "-MMD -MF d a.c",
            "-shared a.o",
            "-x c -",
            "-v a.o",
            "-lfoo",
            "-r -o b.o a.o",
        ] {
            assert_eq!(job(line), DriverJob::Link, "{line}");
        }
        for line in [
            "-c a.c",
            "-E a.c",
            "-S a.c",
            "-M a.c",
            "-MM a.c",
            "-fsyntax-only a.c",
            "-### a.o",
            "--version",
            "-v",
            "-print-prog-name=ld",
            "--print-search-dirs",
            "-dumpmachine",
            "",
            "--help=target",
            "-o a",
            "-x c",
            "-dc b.cu -o b.o",
            "-arch=sm_80 --fatbin b.cu",
            "--genco k.hip -o k.co",
        ] {
            assert_eq!(job(line), DriverJob::Other, "{line}");
        }
    }
}
