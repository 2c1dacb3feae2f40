//! One process of a job, as far as its tree, its table and its sheet need it.
//!
//! A job may have a million processes, and the document of each may name fifty objects. So it is
//! read once and let go; texts that many processes share are kept once.

use crate::{
    json_field::{ending, software, text, user},
    what_ran,
};
use ogrt_proto::KERNEL;
use serde_json::Value;
use std::{collections::HashSet, rc::Rc};

/// The launch and the rank that a process says it is.
pub type RankName = (Rc<str>, u64);

/// See the module. A text that is not known is empty.
#[derive(Clone, Debug)]
pub struct JobProcess {
    /// An end that came without its start.
    pub is_end_alone: bool,
    /// The path of the executable, and the name of what it ran.
    pub program: Rc<str>,
    pub name: Rc<str>,
    /// The name and version of its build, and whether that is registered.
    pub software: Rc<str>,
    /// The signature of that build.
    pub signature: Rc<str>,
    pub is_registered: bool,
    /// The name is not of its build, but of a learned package.
    pub is_learned: bool,
    pub host: Rc<str>,
    /// -1 where they are not known.
    pub pid: i64,
    pub parent_pid: i64,
    pub ancestor_pid: i64,
    pub start_ns: i64,
    /// The user, who is said to be claimed where nobody proved it.
    pub user: Rc<str>,
    pub is_claimed: bool,
    pub rank: Option<RankName>,
    pub job: JobFacts,
    pub end: ProcessEnd,
}

/// What the scheduler says of the job that a process belongs to.
#[derive(Clone, Debug)]
pub struct JobFacts {
    pub account: Rc<str>,
    pub partition: Rc<str>,
    pub step: Rc<str>,
    pub array_index: Rc<str>,
    pub nodes: u64,
}

/// How a process ended, and what it used.
#[derive(Clone, Debug)]
pub struct ProcessEnd {
    pub time_ns: Option<i64>,
    pub duration_ns: Option<u64>,
    /// CPU time in microseconds: its own, and that of workers that it forked.
    pub cpu_us: Option<u64>,
    pub worker_us: Option<u64>,
    pub max_rss_kib: Option<u64>,
    /// How it ended, unless that was by exit with status 0.
    pub ending: Rc<str>,
}

/// Texts, each once.
#[derive(Default)]
pub struct Texts(HashSet<Rc<str>>);

impl Texts {
    fn one(&mut self, text: impl AsRef<str>) -> Rc<str> {
        let text = text.as_ref();
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let fresh: Rc<str> = text.into();
        self.0.insert(fresh.clone());
        fresh
    }
}

impl JobProcess {
    /// Reads the document of a process.
    pub fn read(document: &Value, texts: &mut Texts) -> JobProcess {
        let program = text(document, "binpath");
        let arguments = document["arguments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let arguments: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
        let build = &document["build"];
        let (mpi, end) = (&document["mpi"], &document["end"]);
        let rank = mpi["launch"].as_str().zip(mpi["rank"].as_u64());
        let own = end["user_time_us"].as_u64().zip(end["system_time_us"].as_u64());
        JobProcess {
            is_end_alone: document["type"] == "end",
            name: texts.one(what_ran::name(&program, &arguments)),
            program: texts.one(program),
            software: texts.one(software(build)),
            signature: texts.one(text(build, "signature")),
            is_registered: build["source"] == "record",
            is_learned: false,
            host: texts.one(document["hostname"].as_str().unwrap_or_default()),
            pid: number(document, "pid"),
            parent_pid: number(document, "parent_pid"),
            ancestor_pid: number(document, "ancestor_pid"),
            start_ns: start_ns(document),
            user: texts.one(user(document)),
            is_claimed: document["identity"] != KERNEL,
            rank: rank.map(|(launch, rank)| (texts.one(launch), rank)),
            job: JobFacts {
                account: texts.one(text(document, "account")),
                partition: texts.one(text(document, "partition")),
                step: texts.one(text(document, "job_step")),
                array_index: texts.one(text(document, "array_index")),
                nodes: document["nodes"].as_u64().unwrap_or(0),
            },
            end: ProcessEnd {
                time_ns: end["end_time_ns"].as_i64(),
                duration_ns: end["duration_ns"].as_u64(),
                cpu_us: own.map(|(user, system)| user.saturating_add(system)),
                worker_us: end["worker_time_us"].as_u64(),
                max_rss_kib: end["max_rss_kib"].as_u64(),
                ending: texts.one(ending(document)),
            },
        }
    }

    /// Gives it the name of the learned package that its file belongs to.
    pub fn set_learned_name(&mut self, name: &str, texts: &mut Texts) {
        self.software = texts.one(name);
        self.is_learned = true;
    }

    /// The launch and the rank that it says it is.
    pub fn rank_name(&self) -> Option<(&str, u64)> {
        self.rank.as_ref().map(|(launch, rank)| (&**launch, *rank))
    }
}

impl ProcessEnd {
    /// CPU time with that of workers behind a plus; empty where it is not known.
    pub fn cpu_time(&self) -> String {
        let seconds = |us: u64| format!("{:.2} s", us as f64 / 1e6);
        match (self.cpu_us, self.worker_us) {
            (Some(own), Some(workers)) => format!("{} + {}", seconds(own), seconds(workers)),
            (Some(own), None) => seconds(own),
            (None, _) => String::new(),
        }
    }

    /// Largest resident memory; empty where it is not known.
    pub fn memory(&self) -> String {
        self.max_rss_kib.map(|kib| format!("{} MiB", kib.div_ceil(1024))).unwrap_or_default()
    }
}

/// The number under `key`; -1 where there is none.
fn number(process: &Value, key: &str) -> i64 {
    process[key].as_i64().unwrap_or(-1)
}

/// The start of a process.
fn start_ns(process: &Value) -> i64 {
    let seconds = || process["time"].as_i64().map(|seconds| seconds.saturating_mul(1_000_000_000));
    process["start_time_ns"].as_i64().or_else(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cpu_time_and_memory_are_shown_where_they_are_known() {
        let of = |end: Value| {
            let end = JobProcess::read(&json!({ "end": end }), &mut Texts::default()).end;
            (end.cpu_time(), end.memory())
        };
        let all = json!({ "user_time_us": 1_500_000, "system_time_us": 10_000, "worker_time_us": 2_000_000,
            "max_rss_kib": 1025 });
        assert_eq!(of(all), ("1.51 s + 2.00 s".to_owned(), "2 MiB".to_owned()));
        assert_eq!(of(json!({ "user_time_us": 1, "system_time_us": 0 })).0, "0.00 s");
        assert_eq!(of(json!({ "worker_time_us": 5 })), (String::new(), String::new()));
        assert_eq!(of(Value::Null), (String::new(), String::new()));
    }
}
