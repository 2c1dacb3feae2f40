//! Running other programs to their end, with nothing on their standard input and their output in
//! view.

use crate::cleanup::Group;
use anyhow::{Context, Result, bail};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    process::{Command, ExitStatus, Stdio},
    thread,
};

/// The last lines of a failed command's output: this many are shown.
const TAIL_LINES: usize = 60;

/// What is done with each line of output as it comes.
pub type Sink<'a> = dyn FnMut(&str) + 'a;

/// Runs `command`; standard output and error go to `sink`, line by line. An exit status other than
/// 0 is an error that ends with what the command printed last.
pub fn run(command: &mut Command, sink: &mut Sink<'_>) -> Result<()> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("cannot make a pipe")?).stderr(writer);
    let mut group = Group::spawn(command)?;
    let name = describe(command);
    // `command` holds both ends for writing; while it does, the pipe never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut tail = VecDeque::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(|| name.clone())? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        sink(text);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text.to_owned());
        line.clear();
    }
    let status = group.leader().wait().with_context(|| name.clone())?;
    check(&name, status, &Vec::from(tail).join("\n"))
}

/// Runs `command` and returns its standard output.
pub fn capture(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let name = describe(command);
    let errors = group.leader().stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let mut out = Vec::new();
    if let Some(mut pipe) = group.leader().stdout.take() {
        pipe.read_to_end(&mut out).with_context(|| name.clone())?;
    }
    let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let status = group.leader().wait().with_context(|| name.clone())?;
    check(&name, status, &errors)?;
    String::from_utf8(out).with_context(|| format!("{name}: its output is not UTF-8"))
}

/// True when the program runs and answers `--version`.
pub fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn check(name: &str, status: ExitStatus, output: &str) -> Result<()> {
    if !status.success() {
        bail!("{name}: {status}\n{output}");
    }
    Ok(())
}

/// The command as one would type it, without its environment.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_line_by_line_and_a_failure_quotes_it() {
        let mut lines = Vec::new();
        run(Command::new("sh").args(["-c", "echo one; echo two >&2"]), &mut |line| {
            lines.push(line.to_owned())
        })
        .unwrap();
        assert_eq!(lines, ["one", "two"]);
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"]), &mut |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("exit status: 3\nwhy"), "{text}");
    }

    #[test]
    fn captured_output_is_standard_output_alone() {
        let out = capture(Command::new("sh").args(["-c", "echo out; echo err >&2"])).unwrap();
        assert_eq!(out, "out\n");
        assert!(capture(&mut Command::new("/nowhere/program")).unwrap_err().to_string().contains("/nowhere"));
    }
}
