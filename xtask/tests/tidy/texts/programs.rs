//! What the programs print about themselves: help of each command, and the server's default
//! configuration.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Cargo's target folder: this test lies in `debug/deps` in it.
pub fn target() -> PathBuf {
    env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// Each command with `--help` and what it prints, and the default configuration.
pub fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let server = built("ogrt-server", "ogrt-server");
    let arguments = ["print-default-config"];
    found.push(("ogrt-server print-default-config".to_owned(), output(&server, &arguments)));
    helps("ogrt-server", &server, &[], &mut found);
    helps("ogrt", &built("ogrt-cli", "ogrt"), &[], &mut found);
    helps("ogrt-observe", &built("ogrt-observe", "ogrt-observe"), &[], &mut found);
    helps("cargo xtask", Path::new(env!("CARGO_BIN_EXE_xtask")), &[], &mut found);
    found
}

/// The program as it was built with this test, where its sources are no younger than it; else built
/// now.
fn built(package: &str, program: &str) -> PathBuf {
    let path = env::current_exe().unwrap().ancestors().nth(2).unwrap().join(program);
    if !is_up_to_date(&path) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--package", package, "--bin", program]);
        let status = cargo.current_dir(crate::project::root()).status().unwrap();
        assert!(status.success(), "cargo build --package {package}: {status}");
    }
    path
}

/// Cargo lists a program's sources beside it: `program: source source`.
fn is_up_to_date(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Ok(sources) = fs::read_to_string(program.with_extension("d")) else { return false };
    let own = modified(program);
    own.is_some()
        && sources.split_whitespace().skip(1).all(|source| {
            let source = modified(Path::new(source));
            source.is_some() && source <= own
        })
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("COLUMNS", "100").env("NO_COLOR", "1").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// The help of a command of `program`, and of each that it lists.
fn helps(name: &str, program: &Path, command: &[&str], found: &mut Vec<(String, String)>) {
    let help = output(program, &[command, &["--help"]].concat());
    found.push(([&[name], command, &["--help"]].concat().join(" "), help.clone()));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // Further lines of a command's text are indented more.
    let commands = commands.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let commands = commands.filter_map(|line| line.split_whitespace().next());
    for below in commands.filter(|below| *below != "help") {
        helps(name, program, &[command, &[below]].concat(), found);
    }
}

/// The sentences of a help: paragraphs, and what stands beside commands and options.
pub fn paragraphs(help: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in help.lines() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        // `  -c, --config <FILE>      Configuration`
        let beside = text.split_once("  ").filter(|_| indent > 0 && indent < 10);
        match (text.is_empty() || text.ends_with(':') && indent == 0 || text.starts_with("Usage"), beside) {
            (true, _) => goes_on = false,
            (false, Some((_, text))) => {
                found.push(text.trim().to_owned());
                goes_on = true;
            }
            (false, None) if text.starts_with('-') || text.starts_with('$') => goes_on = false,
            (false, None) if goes_on => {
                let last = found.last_mut().unwrap();
                last.push(' ');
                last.push_str(text);
            }
            (false, None) => {
                found.push(text.to_owned());
                goes_on = true;
            }
        }
    }
    found
}

/// The comments of a configuration, each as one text.
pub fn comments(configuration: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in configuration.lines() {
        // `# key = value` is a setting that is not set.
        let comment = line.starts_with('#').then(|| line.trim_start_matches(['#', ' ']));
        let comment = comment.filter(|comment| !comment.contains(" = ") && !comment.starts_with('['));
        match comment {
            Some(comment) if goes_on => {
                let last = found.last_mut().unwrap();
                last.push(' ');
                last.push_str(comment);
            }
            Some(comment) => found.push(comment.to_owned()),
            None => {}
        }
        goes_on = comment.is_some();
    }
    found
}
