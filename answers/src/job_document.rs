//! A job as its tree, its table and its sheet need it, and parts of jobs: a task of an array, a
//! step.

use crate::{
    job_process::{JobProcess, Texts},
    learned_name::learned_name,
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Job {
    pub job_id: String,
    pub cluster: String,
    /// All clusters that have such a job, where several have.
    pub clusters: Vec<String>,
    pub processes: Vec<JobProcess>,
    pub launches: Vec<Launch>,
    /// Starts that the server only counted, beyond the job's limit.
    pub only_counted: u64,
    /// Something of the job is missing.
    pub is_cut: bool,
    /// The time of receipt from which on events are missing, where the server is behind.
    pub counted_until_ns: Option<i64>,
}

/// The ranks of a launch.
#[derive(Debug, Default)]
pub struct Launch {
    /// Indices of processes.
    pub processes: Vec<usize>,
    /// The number of ranks that nobody saw.
    pub missing: u64,
}

/// A part of a job: all of it where nothing is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPart {
    /// The task of an array, as its processes say it.
    pub task: Option<String>,
    pub step: Option<String>,
}

impl JobPart {
    /// True if nothing is named.
    pub fn is_all(&self) -> bool {
        *self == JobPart::default()
    }

    /// The part of the job that is the task by itself.
    pub fn of_task(&self) -> JobPart {
        JobPart { task: None, step: self.step.clone() }
    }

    fn has(&self, array_index: &str, step: &str) -> bool {
        self.task.as_ref().is_none_or(|task| task == array_index)
            && self.step.as_ref().is_none_or(|wanted| wanted == step_name(step))
    }
}

/// What a page of a job calls the files that something explains.
pub fn names_of_files(page: &Value) -> HashMap<(&str, &str), String> {
    let names = page["names"].as_array().into_iter().flatten();
    names.map(|file| (file_of(file, "path"), learned_name(file))).collect()
}

/// The build-id of a file, and its path, which stands under this key.
pub fn file_of<'a>(value: &'a Value, path: &str) -> (&'a str, &'a str) {
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    (text("build_id"), text(path))
}

/// The name of a step. Slurm has numbers for those of its own, and the batch script has none.
fn step_name(step: &str) -> &str {
    match step {
        "" | "4294967291" => "batch",
        "4294967292" => "extern",
        "4294967290" => "interactive",
        step => step,
    }
}

impl Job {
    /// Reads a job's document.
    pub fn of(document: &Value) -> Job {
        let mut job = Job::default();
        job.add_processes(document, &mut Texts::default());
        job.take_facts(document);
        job
    }

    /// Adds the processes of a page.
    pub fn add_processes(&mut self, page: &Value, texts: &mut Texts) {
        let processes = page["processes"].as_array().into_iter().flatten();
        let names = names_of_files(page);
        for document in processes {
            let mut process = JobProcess::read(document, texts);
            if let Some(name) = names.get(&file_of(document, "binpath")).filter(|_| !process.is_registered) {
                process.set_learned_name(name, texts);
            }
            self.processes.push(process);
        }
        for summary in page["summaries"].as_array().into_iter().flatten() {
            self.only_counted += summary["summary"]["starts"].as_u64().unwrap_or(0);
        }
    }

    /// Takes everything but the processes from a document.
    pub fn take_facts(&mut self, document: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.job_id = text(&document["job_id"]);
        self.cluster = text(&document["cluster"]);
        self.clusters = document["clusters"].as_array().into_iter().flatten().map(text).collect();
        self.is_cut = document["truncated"] == true;
        self.counted_until_ns = document["counted_until_ns"].as_i64();
        let indices = |launch: &Value| {
            let ranks = launch["processes"].as_array().into_iter().flatten();
            ranks.filter_map(|rank| usize::try_from(rank.as_u64()?).ok()).collect()
        };
        let launches = document["launches"].as_array().into_iter().flatten();
        self.launches = launches
            .map(|launch| Launch {
                processes: indices(launch),
                missing: launch["missing"].as_u64().unwrap_or(0),
            })
            .collect();
    }

    /// Leaves out what does not belong to the part.
    pub fn keep(&mut self, part: &JobPart) {
        if part.is_all() {
            return;
        }
        let of = |process: &JobProcess| part.has(&process.job.array_index, &process.job.step);
        let places = places(self.processes.iter().map(of));
        self.processes.retain(|process| of(process));
        for launch in &mut self.launches {
            launch.processes = launch.processes.iter().filter_map(|at| *places.get(*at)?).collect();
        }
        self.launches.retain(|launch| !launch.processes.is_empty());
        // A summary does not say of which part it is.
        self.is_cut |= self.only_counted > 0;
        self.only_counted = 0;
    }
}

/// Leaves out of a job's document what does not belong to the part. False if nothing is left.
pub fn keep_in_document(document: &mut Value, part: &JobPart) -> bool {
    let text = |process: &Value, key: &str| process[key].as_str().unwrap_or_default().to_owned();
    let of = |process: &Value| part.has(&text(process, "array_index"), &text(process, "job_step"));
    let Some(processes) = document["processes"].as_array_mut() else { return false };
    let places = places(processes.iter().map(of));
    processes.retain(of);
    let is_there = !processes.is_empty();
    for launch in document["launches"].as_array_mut().into_iter().flatten() {
        let ranks = launch["processes"].as_array().into_iter().flatten();
        let ranks = ranks.filter_map(|at| *places.get(usize::try_from(at.as_u64()?).ok()?)?);
        launch["processes"] = json!(ranks.collect::<Vec<usize>>());
    }
    if let Some(launches) = document["launches"].as_array_mut() {
        launches.retain(|launch| launch["processes"].as_array().is_some_and(|ranks| !ranks.is_empty()));
    }
    is_there
}

/// The place of each process among those that stay.
fn places(stay: impl Iterator<Item = bool>) -> Vec<Option<usize>> {
    let mut next = 0..;
    stay.map(|stays| if stays { next.next() } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_job_has_its_own_processes_and_launches() {
        let process = |index: &str, step: &str| json!({ "array_index": index, "job_step": step });
        let document = json!({
            "job_id": "80",
            "processes": [process("6", "0"), process("7", ""), process("7", "0"), process("7", "1")],
            "launches": [{ "processes": [0] }, { "processes": [2, 3] }],
        });
        let count = |task: Option<&str>, step: Option<&str>| {
            let part = JobPart { task: task.map(str::to_owned), step: step.map(str::to_owned) };
            let mut job = Job::of(&document);
            job.keep(&part);
            let mut json = document.clone();
            assert_eq!(keep_in_document(&mut json, &part), !job.processes.is_empty());
            let launches: Vec<Vec<usize>> = job.launches.iter().map(|one| one.processes.clone()).collect();
            let of_json: Vec<Value> =
                json["launches"].as_array().unwrap().iter().map(|one| one["processes"].clone()).collect();
            assert_eq!(json!(launches), json!(of_json));
            assert_eq!(json["processes"].as_array().unwrap().len(), job.processes.len());
            (job.processes.len(), launches)
        };
        assert_eq!(count(None, None), (4, vec![vec![0], vec![2, 3]]));
        assert_eq!(count(Some("7"), None), (3, vec![vec![1, 2]]));
        assert_eq!(count(Some("7"), Some("0")), (1, vec![vec![0]]));
        assert_eq!(count(None, Some("batch")), (1, vec![]));
        assert_eq!(count(Some("8"), None), (0, vec![]));
    }
}
