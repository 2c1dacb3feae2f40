//! `ogrt verify`: it tells apart what was done to a file since its link.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// True when the program is there. In CI it must be.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// A copy that a tool, called with the copy as its last argument, has changed.
fn changed(program: &Path, name: &str, tool: &[&str]) -> PathBuf {
    let copy = program.with_file_name(name);
    fs::copy(program, &copy).unwrap();
    let output = see(Command::new(tool[0]).args(&tool[1..]).arg(&copy));
    assert!(output.status.success(), "{tool:?}: {}", text(&output.stderr));
    copy
}

/// A copy with one bit turned.
fn flipped(program: &Path, name: &str, at: usize) -> PathBuf {
    let copy = program.with_file_name(name);
    let mut bytes = fs::read(program).unwrap();
    bytes[at] ^= 1;
    fs::write(&copy, bytes).unwrap();
    copy
}

/// The offset of a byte sequence.
fn place(program: &Path, sequence: &[u8]) -> usize {
    let bytes = fs::read(program).unwrap();
    let at = bytes.windows(sequence.len()).position(|window| window == sequence);
    at.unwrap_or_else(|| panic!("{} does not hold {sequence:?}", program.display()))
}

fn verify(stage: &Stage, file: &Path, options: &[&str]) -> (Option<i32>, Value) {
    let output = see(stage.site.ogrt(&["verify", "--json"]).args(options).arg(file));
    let list: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code(), list[0].clone())
}

#[test]
fn stripped_patched_relocated_and_untouched_are_told_apart() {
    if !has("patchelf") || !has("strip") {
        return;
    }
    let stage = Stage::new();
    let source = stage.source("tool", "a text to find");
    let linked =
        see(stage.command("ogrt-cc").args(["gcc", "-g", "-Wl,-rpath,/opt/a/lib", &source, "-o", "tool"]));
    assert!(linked.status.success(), "{}", text(&linked.stderr));
    let tool = stage.folder().join("tool");

    let stripped = changed(&tool, "stripped", &["strip"]);
    let relocated =
        changed(&tool, "relocated", &["patchelf", "--set-rpath", "/a/much/longer/path/than/before"]);
    let both = changed(&relocated, "both", &["strip"]);
    let interpreter = changed(&tool, "interpreter", &["patchelf", "--set-interpreter", "/tmp/ld.so"]);
    let in_data = flipped(&tool, "in_data", place(&tool, b"a text to find"));
    // The first bytes of `.comment`, which is not loaded.
    let unloaded = flipped(&tool, "unloaded", place(&tool, b"GCC: ("));
    for (file, status, verdict, differs) in [
        (&tool, 0, "identical", vec![]),
        (&stripped, 0, "stripped", vec!["unloaded"]),
        (&relocated, 0, "relocated", vec!["run_path"]),
        (&both, 0, "relocated", vec!["run_path"]),
        (&interpreter, 1, "modified", vec!["linkage"]),
        (&in_data, 1, "modified", vec!["data"]),
        (&unloaded, 1, "modified", vec!["unloaded"]),
    ] {
        let (code, answer) = verify(&stage, file, &[]);
        let seen = (code, answer["verdict"].as_str().unwrap(), answer["differs"].clone());
        assert_eq!(seen, (Some(status), verdict, differs.into()), "{answer}");
        assert_eq!(answer["signature"], *stage.signature(&tool));
        let exact = verify(&stage, file, &["--exact"]).0;
        assert_eq!(exact, Some(i32::from(verdict != "identical")), "{answer}");
    }
    let (_, answer) = verify(&stage, &relocated, &[]);
    assert_eq!(
        (&answer["recorded_run_path"], &answer["run_path"]),
        (&"/opt/a/lib".into(), &"/a/much/longer/path/than/before".into())
    );

    let table = see(stage.site.ogrt(&["verify"]).args([&tool, &in_data]));
    assert_eq!(table.status.code(), Some(1));
    for line in [format!("{}: identical", tool.display()), format!("{}: modified", in_data.display())] {
        assert!(text(&table.stdout).contains(&line), "{line} in {}", text(&table.stdout));
    }
}

#[test]
fn each_byte_of_the_code_counts() {
    let stage = Stage::new();
    let program = stage.link("counted");
    let bytes = fs::read(&program).unwrap();
    let text_at = section(&bytes, ".text");
    for at in [text_at.0, text_at.0 + text_at.1 / 2, text_at.0 + text_at.1 - 1] {
        let (code, answer) = verify(&stage, &flipped(&program, "flipped", at), &[]);
        assert_eq!(
            (code, &answer["verdict"], &answer["differs"][0]),
            (Some(1), &"modified".into(), &"code".into())
        );
    }
}

/// Offset and size of a section, as `readelf` prints them.
fn section(bytes: &[u8], name: &str) -> (usize, usize) {
    let folder = std::env::temp_dir().join(format!("ogrt-verify-{}", std::process::id()));
    fs::write(&folder, bytes).unwrap();
    let output = see(Command::new("readelf").args(["-SW"]).arg(&folder));
    fs::remove_file(&folder).unwrap();
    let listing = text(&output.stdout);
    let line = listing.lines().find(|line| line.contains(&format!(" {name} "))).unwrap();
    let fields: Vec<&str> = line.split_once(name).unwrap().1.split_whitespace().collect();
    let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
    (number(fields[2]), number(fields[3]))
}

#[test]
fn a_file_that_nobody_registered_is_unknown() {
    let stage = Stage::new();
    let (code, answer) = verify(&stage, Path::new("/bin/true"), &[]);
    assert_eq!((code, &answer["verdict"]), (Some(1), &"unknown".into()), "{answer}");
    // It is linked with no server listening.
    let source = stage.source("alone", "alone");
    let mut link = stage.command("ogrt-cc");
    let linked =
        see(link.args(["gcc", &source, "-o", "alone"]).env("OGRT_SERVER", "unix:/nowhere/ogrt.sock"));
    assert!(linked.status.success());
    let (code, answer) = verify(&stage, &stage.folder().join("alone"), &[]);
    assert_eq!((code, &answer["verdict"]), (Some(1), &"unknown".into()), "{answer}");
}

#[test]
fn a_note_that_was_cut_out_is_not_overlooked() {
    let stage = Stage::new();
    let program = stage.link("marked");
    let signature = stage.signature(&program);
    let bytes: Vec<u8> = signature
        .split('-')
        .collect::<String>()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let forged = flipped(&program, "forged", place(&program, &bytes) + 15);
    assert_ne!(stage.signature(&forged), signature);
    let (code, answer) = verify(&stage, &forged, &[]);
    assert_eq!((code, &answer["verdict"]), (Some(1), &"modified".into()), "{answer}");
    assert_eq!(answer["signature"], *signature);
    assert!(answer["reason"].as_str().unwrap().contains("its note is not the one"), "{answer}");
}
