//! Each chore, on a machine that has only what the README asks for.
//!
//! The chores build as the tests have built, so that only what is missing is compiled.

use ogrt_end_to_end::{bare_machine::bare_path, see, text};
use std::{env, path::Path, process::Output};
use xtask::{cleanup::Scratch, suite::FULL_VARIABLE, workspace::Workspace};

/// Runs `cargo xtask` with the PATH of a bare machine.
fn chore(path: &str, arguments: &[&str]) -> Output {
    let mut cargo = Workspace::find().unwrap().cargo(&["xtask"]);
    see(cargo.args(arguments).env("PATH", path))
}

/// The PATH, unless this machine cannot tell what a bare one has.
fn path(scratch: &Scratch) -> Option<String> {
    let path = bare_path(&scratch.path().join("bin")).unwrap();
    if path.is_none() {
        println!("skipped: not Debian");
    }
    path
}

#[test]
fn chores_need_no_more_than_the_readme_says() {
    let scratch = Scratch::new().unwrap();
    let Some(path) = path(&scratch) else { return };
    let found = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).exists());
    assert!(found("gcc") && found("sh") && found("cargo"), "{path}");
    assert!(!found("musl-gcc") && !found("clang") && !found("python3"), "{path}");

    let prefix = scratch.path().join("prefix");
    let mut chores = vec![
        vec!["install", "--prefix", prefix.to_str().unwrap()],
        vec!["bench", "--quick", "--only", "server"],
        vec!["bench", "--quick", "--only", "process"],
    ];
    if env::var_os(FULL_VARIABLE).is_some() {
        chores.extend([vec!["demo"], vec!["bench", "--quick", "--only", "link"]]);
    }
    for arguments in chores {
        let output = chore(&path, &arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "cargo xtask {arguments:?}: {}\n{said}", output.status);
        if arguments[0] == "bench" {
            assert!(said.contains("budget") && said.contains("Peers: "), "{arguments:?}\n{said}");
        }
    }
    assert!(Path::new(&prefix).join("bin/ogrt-server").exists());
}

#[test]
fn tests_say_which_packages_they_lack() {
    let scratch = Scratch::new().unwrap();
    let Some(path) = path(&scratch) else { return };
    // The PATH has no apt-get, as on a machine that is not Debian.
    let output = chore(&path, &["test", "--fast"]);
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let lacks = said.lines().find(|line| line.contains("this machine lacks the packages")).unwrap_or(&said);
    assert!(lacks.contains("clang") && lacks.contains("gfortran") && !lacks.contains(" gcc "), "{said}");
}
