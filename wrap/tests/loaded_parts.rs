//! What strip, patchelf and chrpath do to a linked file, and what its parts then say.
//!
//! Each linker lays files out in its own way, so each is tried with each kind of output. A part
//! that changed without need would make `ogrt verify` call an honest file modified; one that stayed
//! would hide a change.

use ogrt_wrap::record::loaded_parts::{LoadedParts, of_bytes, of_file};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SOURCE: &str = "#include <stdio.h>\n#include <math.h>\nint table[] = {1, 2, 3};\n_Thread_local int mine = 7;\n\
    int answer(double x) { return (int) cos(x) + table[1] + mine; }\n\
    int main(int n, char **v) { printf(\"%d %s\\n\", answer(n), v[0]); return 0; }\n";

/// True when the program is there. In CI it must be.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).current_dir(dir).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn parts(path: &Path) -> LoadedParts {
    let bytes = fs::read(path).unwrap();
    let parts = of_bytes(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(parts, of_file(&fs::File::open(path).unwrap()).unwrap(), "in memory and in pieces");
    parts
}

/// The output of each linker that is there, of each kind.
fn linked(dir: &Path) -> Vec<(String, PathBuf)> {
    fs::write(dir.join("a.c"), SOURCE).unwrap();
    let mut outputs = Vec::new();
    for linker in ["bfd", "gold", "lld", "mold"] {
        if !has(&format!("ld.{linker}")) {
            continue;
        }
        let kinds: [(&str, &[&str]); 4] = [
            ("pie", &["-Wl,-rpath,/opt/first/lib"]),
            ("no-pie", &["-no-pie", "-Wl,-rpath,/opt/first/lib"]),
            ("shared", &["-shared", "-fPIC", "-Wl,-soname,liba.so.1"]),
            ("static", &["-static"]),
        ];
        for (kind, flags) in kinds {
            let name = format!("{kind}.{linker}");
            let by = format!("-fuse-ld={linker}");
            run(dir, "gcc", &[&["-g", "a.c", "-o", &name, &by][..], flags, &["-lm"]].concat());
            outputs.push((name.clone(), dir.join(name)));
        }
    }
    outputs
}

#[test]
fn stripping_leaves_every_part_alone() {
    if !has("gcc") {
        return;
    }
    let dir = TempDir::new().unwrap();
    for (name, path) in linked(dir.path()) {
        let before = parts(&path);
        for tool in [
            &["strip"][..],
            &["strip", "-g"],
            &["llvm-strip"],
            &["eu-strip"],
            &["objcopy", "--strip-unneeded"],
        ] {
            // llvm-strip 14 refuses the relocations of a static program.
            if !has(tool[0]) || (tool[0] == "llvm-strip" && name.starts_with("static")) {
                continue;
            }
            let stripped = path.with_extension("stripped");
            fs::copy(&path, &stripped).unwrap();
            run(dir.path(), tool[0], &[&tool[1..], &[stripped.to_str().unwrap()]].concat());
            assert!(fs::metadata(&stripped).unwrap().len() < fs::metadata(&path).unwrap().len());
            assert_eq!(parts(&stripped), before, "{name} after {tool:?}");
        }
    }
}

#[test]
fn another_search_path_changes_nothing_else() {
    if !has("gcc") || !has("patchelf") {
        return;
    }
    let dir = TempDir::new().unwrap();
    let long = format!("/opt/{}/lib", "very/long/".repeat(40));
    for (name, path) in linked(dir.path()) {
        if name.starts_with("static") {
            continue;
        }
        let before = parts(&path);
        let changes: [&[&str]; 5] = [
            &["patchelf", "--set-rpath", "/o"],
            &["patchelf", "--set-rpath", &long],
            &["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN/../lib"],
            &["patchelf", "--remove-rpath"],
            &["chrpath", "-r", "/opt/other"],
        ];
        for change in changes {
            if !has(change[0]) || (change[0] == "chrpath" && before.run_path.is_empty()) {
                continue;
            }
            let moved = path.with_extension("moved");
            fs::copy(&path, &moved).unwrap();
            run(dir.path(), change[0], &[&change[1..], &[moved.to_str().unwrap()]].concat());
            let after = parts(&moved);
            let wanted = if change.contains(&"--remove-rpath") { "" } else { change.last().unwrap() };
            assert_eq!(String::from_utf8_lossy(&after.run_path), wanted, "{name} after {change:?}");
            assert_eq!(
                LoadedParts { run_path: before.run_path.clone(), ..after },
                before,
                "{name} after {change:?}"
            );
        }
    }
}

#[test]
fn what_the_loader_is_told_is_a_part_of_its_own() {
    if !has("gcc") || !has("patchelf") {
        return;
    }
    let dir = TempDir::new().unwrap();
    for (name, path) in linked(dir.path()) {
        if name.starts_with("static") {
            continue;
        }
        let before = parts(&path);
        let mut changes: Vec<&[&str]> =
            vec![&["--replace-needed", "libm.so.6", "libevil.so.6"], &["--add-needed", "libevil.so.6"]];
        changes.push(if name.starts_with("shared") {
            &["--set-soname", "libb.so.1"]
        } else {
            &["--set-interpreter", "/tmp/ld.so"]
        });
        for change in changes {
            let changed = path.with_extension("changed");
            fs::copy(&path, &changed).unwrap();
            run(dir.path(), "patchelf", &[change, &[changed.to_str().unwrap()]].concat());
            let after = parts(&changed);
            assert_ne!(after.linkage, before.linkage, "{name} after {change:?}");
            assert_eq!((after.code, after.data), (before.code, before.data), "{name} after {change:?}");
        }
    }
}

#[test]
fn each_loaded_byte_counts() {
    if !has("gcc") {
        return;
    }
    let dir = TempDir::new().unwrap();
    for (name, path) in linked(dir.path()) {
        if name.starts_with("static") {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        let before = of_bytes(&whole).unwrap();
        for (section, part) in [
            (".text", "code"),
            (".rodata", "data"),
            (".data", "data"),
            (".note.gnu.build-id", "linkage"),
            (".dynsym", "linkage"),
        ] {
            let Some((offset, size)) = place_of(&whole, section) else {
                // Not every linker writes a build-id unless asked.
                assert_eq!(section, ".note.gnu.build-id", "{name} has no {section}");
                continue;
            };
            for at in [offset + size / 2, offset + size - 1] {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x01;
                let Ok(after) = of_bytes(&damaged) else {
                    // A symbol may name what is gone; of code and data every byte
                    // makes sense.
                    assert_eq!(part, "linkage", "{name}: a byte of {section}");
                    continue;
                };
                let changed = [
                    ("code", after.code != before.code),
                    ("data", after.data != before.data),
                    ("linkage", after.linkage != before.linkage),
                ];
                let changed: Vec<_> = changed.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
                assert_eq!(changed, [part], "{name}: a byte of {section}");
            }
        }
        // The entry point stands in the file's header.
        let mut damaged = whole.clone();
        damaged[24] ^= 0x10;
        assert_ne!(of_bytes(&damaged).unwrap().linkage, before.linkage);
    }
}

fn place_of(bytes: &[u8], name: &str) -> Option<(usize, usize)> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).unwrap();
    let (offset, size) = file.section_by_name(name)?.file_range()?;
    Some((offset as usize, size as usize))
}

#[test]
fn crafted_files_end_in_an_error_or_an_answer() {
    if !has("gcc") {
        return;
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.c"), SOURCE).unwrap();
    run(dir.path(), "gcc", &["a.c", "-o", "a", "-lm"]);
    let whole = fs::read(dir.path().join("a")).unwrap();
    // A small generator of its own: what is tried is the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 4 {
            // Mostly the headers: at the start, and the section table at the end.
            let span = if next() % 2 == 0 { 1024 } else { 2048 };
            let from_end = next() % 2 == 0;
            let at = next() as usize % span.min(bytes.len());
            let at = if from_end { bytes.len() - 1 - at } else { at };
            bytes[at] = next() as u8;
        }
        bytes.truncate(if next() % 8 == 0 { next() as usize % whole.len() } else { whole.len() });
        let _ = of_bytes(&bytes);
    }
}
