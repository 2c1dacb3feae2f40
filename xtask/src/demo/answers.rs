//! The demo's questions, and what their answers must contain.

use super::software::{JOB_ID, Software};
use crate::{child, site::Site, steps::Step};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fmt::Write,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The longest wait for the job's document: the join alone waits up to 5 s for a record.
const JOIN: Duration = Duration::from_secs(20);

/// Asks everything, checks the answers, and returns what the commands printed.
pub fn ask(step: &Step, site: &Site, software: &[Software], runs: usize) -> Result<String> {
    let mut report = String::new();
    for software in software {
        for file in [&software.library, &software.program] {
            check_note(step, site, software, file)?;
            show(&mut report, step, site, &["show", text(file)?])?;
        }
    }
    for software in software {
        check_record(step, site, software)?;
    }
    if let Some(first) = software.first() {
        show(&mut report, step, site, &["query", &signature(step, site, &first.library)?])?;
    }
    let job = joined_job(step, site, software, runs)?;
    writeln!(report, "\n$ ogrt job --json {JOB_ID}\n{}", serde_json::to_string_pretty(&job)?)?;
    Ok(report)
}

/// Adds a command and what it printed to the report.
fn show(report: &mut String, step: &Step, site: &Site, arguments: &[&str]) -> Result<()> {
    let out = step.capture(&mut site.ogrt(arguments))?;
    writeln!(report, "\n$ ogrt {}\n{}", arguments.join(" "), out.trim_end())?;
    Ok(())
}

fn check_note(step: &Step, site: &Site, software: &Software, file: &Path) -> Result<()> {
    let files: Value = json(step, site, &["show", "--json", text(file)?])?;
    let notes = files[0]["watermarks"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(notes.len() == 1, "{}: {} notes instead of one", file.display(), notes.len());
    let metadata = &notes[0]["metadata"];
    ensure!(
        metadata["name"] == software.name && metadata["version"] == software.version,
        "{}: the note has other metadata: {metadata}",
        file.display()
    );
    Ok(())
}

/// Asks for the library's record by its signature and compares it with the file.
fn check_record(step: &Step, site: &Site, software: &Software) -> Result<()> {
    let signature = signature(step, site, &software.library)?;
    let record: Value = json(step, site, &["query", "--json", &signature])?;
    let about = |what: &str| format!("the build record of {} {what}", software.name);
    let digest = child::capture(Command::new("sha256sum").arg(&software.library))?;
    let digest = digest.split(' ').next().unwrap_or_default();
    ensure!(record["signature"] == *signature, about("has another signature than the file"));
    ensure!(record["metadata"]["name"] == software.name, about("does not have the name of the package"));
    ensure!(record["output"]["sha256"] == digest, about("has another digest than the file"));
    let inputs = record["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(
        inputs.iter().any(|input| input["path"].as_str().is_some_and(|path| path.ends_with(software.input))),
        about(&format!("has {} inputs, and {} is not among them", inputs.len(), software.input))
    );
    ensure!(
        inputs.iter().all(|input| input["sha256"].as_str().is_some_and(|digest| digest.len() == 64)),
        about("has an input without a digest")
    );
    ensure!(
        record["driver_command"][0].is_string() && record["linker_command"][0].is_string(),
        about("has no driver command or no linker command")
    );
    Ok(())
}

/// The job's document, once it holds all processes.
fn joined_job(step: &Step, site: &Site, software: &[Software], runs: usize) -> Result<Value> {
    let deadline = Instant::now() + JOIN;
    let job = loop {
        // The job is unknown before its first event is joined, so an error is not the answer yet.
        let job: Result<Value> = json(step, site, &["job", "--json", JOB_ID]);
        match job {
            Ok(job) if processes(&job).len() >= runs => break job,
            other if Instant::now() > deadline => {
                let job = other?;
                anyhow::bail!(
                    "only {} of {runs} processes are in the job's document: {job}",
                    processes(&job).len()
                );
            }
            _ => thread::sleep(Duration::from_millis(100)),
        }
    };
    ensure!(job["job_id"] == JOB_ID, "the job's document has the job_id {}", job["job_id"]);
    for software in software {
        let of_software: Vec<&Value> = processes(&job)
            .iter()
            .filter(|process| {
                process["binpath"].as_str().is_some_and(|path| Path::new(path) == software.program)
            })
            .collect();
        ensure!(
            !of_software.is_empty(),
            "the job's document has no process of {}: {job}",
            software.program.display()
        );
        for process in of_software {
            let objects = process["shared_objects"].as_array().map(Vec::as_slice).unwrap_or_default();
            let library = objects
                .iter()
                .find(|object| {
                    object["path"].as_str().is_some_and(|path| Path::new(path) == software.library)
                })
                .with_context(|| {
                    format!(
                        "{} is not among the shared objects of the process: {process}",
                        software.library.display()
                    )
                })?;
            for (what, object, file) in
                [("program", process, &software.program), ("library", library, &software.library)]
            {
                let expected = signature(step, site, file)?;
                ensure!(object["signature"] == *expected, "the {what} does not have its signature: {object}");
                let build = &object["build"];
                ensure!(
                    build["source"] == "record"
                        && build["name"] == software.name
                        && build["signature"] == *expected,
                    "the {what} does not have its build: {object}"
                );
            }
        }
    }
    Ok(job)
}

fn processes(job: &Value) -> &[Value] {
    job["processes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn signature(step: &Step, site: &Site, file: &Path) -> Result<String> {
    let files: Value = json(step, site, &["show", "--json", text(file)?])?;
    let signature = files[0]["watermarks"][0]["signature"].as_str();
    signature.map(str::to_owned).with_context(|| format!("{}: the file has no signature", file.display()))
}

fn json(step: &Step, site: &Site, arguments: &[&str]) -> Result<Value> {
    let out = step.capture(&mut site.ogrt(arguments))?;
    serde_json::from_str(&out)
        .with_context(|| format!("ogrt {}: the output is not JSON", arguments.join(" ")))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{}: the path is not UTF-8", path.display()))
}
