//! The inputs of a record, compared with what the linker itself says: the link is made once more,
//! with `--trace`, where all that it read is still there.
//!
//! A file that the linker opened is an input, and nothing else is: not one more, not one less. A
//! shared library is an input that counts exactly where DT_NEEDED of the output names it.

use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use xtask::child;

/// The kind of inputs that a linker reads and does not trace: version scripts and their like.
const SCRIPT: &str = "linker_script";

/// What differs, in words, or nothing; `None` where the link cannot be made again: another linker
/// than GNU ld, or files of it are gone.
pub fn complaints(record: &Value, scratch: &Path) -> Result<Option<String>> {
    let folder = Path::new(record["working_directory"].as_str().unwrap_or_default());
    let inputs = record["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Option<Vec<&str>> =
        record["linker_command"].as_array().and_then(|words| words.iter().map(Value::as_str).collect());
    let (Some(words), Some(linker)) = (words, record["linker"]["path"].as_str()) else { return Ok(None) };
    let is_gnu = record["linker"]["version"].as_str().is_some_and(|text| text.starts_with("GNU ld"));
    let path_of = |input: &Value| folder.join(input["path"].as_str().unwrap_or_default());
    if !is_gnu || words.len() < 2 || inputs.is_empty() || !inputs.iter().all(|input| path_of(input).exists())
    {
        return Ok(None);
    }
    let output = scratch.join("linked-again");
    let mut again = Command::new(linker);
    again.args(&words[1..]).arg("-o").arg(&output).arg("--trace").current_dir(folder);
    let Ok(trace) = child::capture(&mut again) else { return Ok(None) };
    let needed = needed(&output)?;
    fs::remove_file(&output)?;

    // Where the line asks for it, the linker says more, with empty lines in between.
    let named = trace.lines().filter_map(|line| real(&folder.join(file_of(line))));
    let opened: BTreeSet<PathBuf> = named.filter(|path| path.is_file()).collect();
    let of = |keep: &dyn Fn(&Value) -> bool| -> BTreeSet<PathBuf> {
        inputs.iter().filter(|input| keep(input)).filter_map(|input| real(&path_of(input))).collect()
    };
    let recorded = of(&|_| true);
    let more = of(&|input| input["kind"] != SCRIPT);
    let libraries: BTreeSet<String> = inputs
        .iter()
        .filter(|input| input["kind"] == "shared_library" && input["dropped"] != true)
        .map(|input| soname(&path_of(input)))
        .collect::<Result<_>>()?;
    let mut said = String::new();
    let mut say = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            said += &format!("{what}: {names:?}\n");
        }
    };
    let text = |path: &PathBuf| path.display().to_string();
    say("the linker opened, and the record has not", opened.difference(&recorded).map(text).collect());
    say("the record has, and the linker did not open", more.difference(&opened).map(text).collect());
    say("needed, and not recorded", needed.difference(&libraries).cloned().collect());
    say("recorded, and not needed", libraries.difference(&needed).cloned().collect());
    Ok(Some(said))
}

/// The file that a line of `--trace` names: `path`, `(archive)member` or `archive(member)`.
fn file_of(line: &str) -> &str {
    if let Some((archive, _)) = line.strip_prefix('(').and_then(|line| line.split_once(')')) {
        return archive;
    }
    match line.split_once(".a(") {
        Some((archive, _)) => &line[..archive.len() + 2],
        None => line,
    }
}

/// The file behind links; `None` where it is gone, as what LTO makes for itself.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// DT_NEEDED of a file.
fn needed(file: &Path) -> Result<BTreeSet<String>> {
    Ok(dynamic_entries(file, "(NEEDED)")?.into_iter().collect())
}

/// The name of a library in the DT_NEEDED of what is linked with it.
fn soname(file: &Path) -> Result<String> {
    let names = dynamic_entries(file, "(SONAME)")?;
    let file_name = || file.file_name().map(|name| name.to_string_lossy().into_owned());
    names.into_iter().next().or_else(file_name).context("a library without a name")
}

fn dynamic_entries(file: &Path, tag: &str) -> Result<Vec<String>> {
    let text = child::capture(Command::new("readelf").args(["-dW"]).arg(file))?;
    let names = text.lines().filter(|line| line.contains(tag));
    Ok(names.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect())
}
