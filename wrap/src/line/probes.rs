//! Links that are a configure script's questions, not builds. They are neither marked nor
//! registered (`questions_of_configure_scripts_are_not_registered` in `tests/wrappers`).
//!
//! A driver that answers such a question is left alone altogether: autoconf and CMake read from its
//! `-v` output which directories it searches, and what they find there ends up on later command
//! lines and in installed files.

use crate::line::link_line::{InputName, LinkLine};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// The outputs of questions, each with the directory that it stands in.
const OUTPUTS: &[(&str, &str)] = &[
    ("objs", "autotest"),         // nginx
    ("build", "autotest"),        // NGINX Unit, njs
    ("config-temp", "qemu-conf"), // QEMU
    ("UU", "try"),                // Perl
];

/// The beginnings of directories that hold nothing but questions.
const DIRECTORIES: &[&str] = &[
    "config.tests", // Qt
    "ffconf.",      // FFmpeg, under the temporary directory
    ".conf_check_", // waf
    ".sconf_temp",  // SCons
];

/// The link answers a question of a configure script that we know.
pub fn is_probe(line: &LinkLine, driver_command: &[OsString], working_directory: &Path) -> bool {
    let absolute = working_directory.join(&line.output);
    let inputs = line.inputs.iter().filter_map(|input| match &input.name {
        InputName::File(path) => Some(path.as_path()),
        _ => None,
    });
    in_probe_directory(&absolute)
        || is_probe_name(&line.output)
        || inputs.into_iter().any(is_autoconf_name)
        || driver_command.iter().skip(1).any(|word| is_autoconf_name(Path::new(word)))
}

/// The driver's command line answers such a question.
pub fn is_probe_command(arguments: &[OsString], working_directory: &Path) -> bool {
    let output = arguments.iter().enumerate().rev().find_map(|(index, word)| {
        let joined = word.as_bytes().strip_prefix(b"-o").map(OsStr::from_bytes)?;
        if joined.is_empty() { arguments.get(index + 1).map(OsString::as_os_str) } else { Some(joined) }
    });
    let output = Path::new(output.unwrap_or(OsStr::new("a.out")));
    is_probe_name(output)
        || in_probe_directory(&working_directory.join(output))
        || arguments.iter().any(|word| is_autoconf_name(Path::new(word)))
}

fn is_autoconf_name(path: &Path) -> bool {
    // autoconf: conftest.c, conftest.o, conftest1.o, conftest; Python's distutils: _configtest.o
    let starts = [&b"conftest"[..], b"_configtest"];
    path.file_name().is_some_and(|name| starts.iter().any(|start| name.as_bytes().starts_with(start)))
}

fn is_probe_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    // CMake's try_compile: cmTC_1a2b3, older ones cmTryCompileExec123; meson: sanitycheckc.exe
    is_autoconf_name(path)
        || name.starts_with(b"cmTC_")
        || name.starts_with(b"libcmTC_")
        || name.starts_with(b"cmTryCompileExec")
        || name.starts_with(b"sanitycheck")
        // cgo links the objects of each package once, to read which symbols they import.
        || name == b"_cgo_.o"
}

fn in_probe_directory(path: &Path) -> bool {
    let names: Vec<&[u8]> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.as_bytes()),
            _ => None,
        })
        .collect();
    let under = |parent: &[u8], starts: &[&[u8]]| {
        names.iter().position(|name| *name == parent).is_some_and(|at| {
            names[at + 1..].iter().any(|name| starts.iter().any(|start| name.starts_with(start)))
        })
    };
    let mut from_the_end = names.iter().rev();
    let (output, parent) = (from_the_end.next(), from_the_end.next());
    let is_output = |(dir, name): &(&str, &str)| {
        parent.is_some_and(|parent| *parent == dir.as_bytes())
            && output.is_some_and(|output| output.starts_with(name.as_bytes()))
    };
    let is_dir = |name: &&[u8]| DIRECTORIES.iter().any(|start| name.starts_with(start.as_bytes()));
    OUTPUTS.iter().any(is_output)
        || names.iter().rev().skip(1).any(is_dir)
        || under(b"CMakeFiles", &[b"CMakeTmp", b"CMakeScratch", b"CompilerId"])
        || under(b"meson-private", &[b"tmp"])
        // Go's linker tries in a temporary directory of its own what the external linker can do.
        || parent.is_some_and(|parent| parent.starts_with(b"go-link-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(arguments: &[&str], directory: &str) -> bool {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        is_probe(&LinkLine::read(&arguments), &[], Path::new(directory))
    }

    #[test]
    fn questions_are_told_from_builds() {
        assert!(probe(&["-o", "conftest", "/tmp/ccX.o"], "/b"));
        assert!(probe(&["conftest.o"], "/b"));
        assert!(probe(&["-o", "cmTC_12345", "x.o"], "/b/CMakeFiles/CMakeScratch/TryCompile-x"));
        assert!(probe(&["x.o"], "/b/CMakeFiles/3.25.1/CompilerIdC"));
        assert!(probe(&["-o", "/b/meson-private/tmpab12/output.exe", "x.o"], "/b"));
        assert!(probe(&["-o", "meson-private/sanitycheckc.exe", "x.o"], "/b"));
        assert!(probe(&["-o", "objs/autotest", "x.o"], "/b"));
        assert!(probe(&["-o", "config-temp/qemu-conf.exe", "x.o"], "/b"));
        assert!(probe(&["-o", "/tmp/ffconf.Ab12/test", "x.o"], "/b"));
        assert!(probe(&["-o", "testprog", "x.o"], "/b/build/.conf_check_ab/testbuild"));
        assert!(probe(&["-o", "build/temp/_configtest", "_configtest.o"], "/b"));
        assert!(!probe(&["-o", "objs/nginx", "x.o"], "/b"));
        assert!(!probe(&["-o", "autotest", "x.o"], "/b"));
        assert!(!probe(&["-o", "prog", "CMakeFiles/prog.dir/main.c.o"], "/b"));
        assert!(!probe(&["x.o"], "/tmp/build"));
    }

    #[test]
    fn a_drivers_question_is_known_before_the_linker_is_asked() {
        let probe = |line: &str, directory: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            is_probe_command(&words, Path::new(directory))
        };
        assert!(probe("-o conftest -g -O2 -v conftest.f", "/b"));
        assert!(probe("-v CMakeCCompilerABI.c.o -o cmTC_1a2b3", "/b/CMakeFiles/CMakeScratch/TryCompile-x"));
        assert!(probe("CMakeCCompilerId.c", "/b/CMakeFiles/3.25.1/CompilerIdC"));
        assert!(probe("x.c -o/b/meson-private/tmpab12/output.exe", "/b"));
        assert!(probe("x.c -o meson-private/sanitycheckc.exe", "/b"));
        assert!(probe("-m64 -o /tmp/go-link-428/a.out -no-pie /tmp/go-link-428/trivial.c", "/b"));
        assert!(probe("-m64 -o /tmp/go-build1/b069/_cgo_.o /tmp/go-build1/b069/_cgo_main.o", "/b"));
        assert!(!probe("-m64 -o /tmp/go-build1/b001/exe/a.out /tmp/go-link-428/go.o", "/b"));
        assert!(!probe("-O2 sanitycheck.c -o prog", "/b"));
        assert!(!probe("CMakeFiles/prog.dir/main.c.o -o prog", "/b"));
        assert!(!probe("-o", "/b"));
    }
}
