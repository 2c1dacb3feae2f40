//! Launches of a job: the ranks of one MPI program as one element, so that ten thousand processes
//! read as one line.
//!
//! Ranks of one program in one step, which agree on how many they are, belong together. A launch
//! has each rank once: a rank that comes again begins the next launch, so a script that runs
//! `mpirun` twice shows two. A rank alone is not a launch, because Slurm calls each process of a
//! batch script rank 0.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
};

/// Ranks of one launch, and where they ran.
#[derive(Debug, Serialize)]
pub struct Launch<'a> {
    binpath: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_step: Option<Cow<'a, str>>,
    /// Number of ranks, as the ranks say.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// Number of ranks that were seen.
    ranks: usize,
    /// Number of these ranks that have ended.
    ended: usize,
    hosts: BTreeSet<Cow<'a, str>>,
    /// Start of the first rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time_ns: Option<i64>,
    /// End of the last rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rss_kib: Option<u64>,
    /// Indices of the ranks in the job's `processes`, counted from 0.
    processes: Vec<usize>,
}

/// The keys that are read of a process's document.
#[derive(Deserialize)]
struct Process<'a> {
    #[serde(borrow, default)]
    binpath: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    build: Option<&'a RawValue>,
    #[serde(borrow)]
    job_step: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hostname: Cow<'a, str>,
    start_time_ns: Option<i64>,
    mpi: Mpi,
    end: Option<End>,
}

#[derive(Deserialize)]
struct Mpi {
    rank: u32,
    size: Option<u32>,
}

#[derive(Deserialize)]
struct End {
    end_time_ns: Option<i64>,
    max_rss_kib: Option<u64>,
}

/// What the ranks of one launch share: program, signature, step, number of ranks.
type Kinship<'a> = (Cow<'a, str>, Option<Cow<'a, str>>, Option<Cow<'a, str>>, Option<u32>);

/// The launches among the documents of a job's processes, in the order of their first ranks.
pub fn launches(processes: &[Vec<u8>]) -> Vec<Launch<'_>> {
    let mut launches: Vec<Launch<'_>> = Vec::new();
    // The launch of that kind that takes further ranks, and the ranks it has.
    let mut open: HashMap<Kinship<'_>, (usize, HashSet<u32>)> = HashMap::new();
    for (index, document) in processes.iter().enumerate() {
        // A process without a rank has no such key, and is no launch.
        let Ok(process) = serde_json::from_slice::<Process<'_>>(document) else { continue };
        let kinship =
            (process.binpath.clone(), process.signature.clone(), process.job_step.clone(), process.mpi.size);
        let (at, ranks) = open.entry(kinship).or_insert_with(|| (usize::MAX, HashSet::new()));
        if *at == usize::MAX || ranks.contains(&process.mpi.rank) {
            *at = launches.len();
            ranks.clear();
            launches.push(Launch::of(&process));
        }
        ranks.insert(process.mpi.rank);
        if let Some(launch) = launches.get_mut(*at) {
            launch.take(index, process);
        }
    }
    launches.retain(|launch| launch.ranks > 1);
    launches
}

impl<'a> Launch<'a> {
    fn of(process: &Process<'a>) -> Self {
        Launch {
            binpath: process.binpath.clone(),
            signature: process.signature.clone(),
            build: process.build,
            job_step: process.job_step.clone(),
            size: process.mpi.size,
            ranks: 0,
            ended: 0,
            hosts: BTreeSet::new(),
            start_time_ns: None,
            end_time_ns: None,
            max_rss_kib: None,
            processes: Vec::new(),
        }
    }

    fn take(&mut self, index: usize, process: Process<'a>) {
        self.ranks += 1;
        self.processes.push(index);
        if !process.hostname.is_empty() {
            self.hosts.insert(process.hostname);
        }
        self.start_time_ns = self.start_time_ns.into_iter().chain(process.start_time_ns).min();
        if let Some(end) = process.end {
            self.ended += 1;
            self.end_time_ns = self.end_time_ns.max(end.end_time_ns);
            self.max_rss_kib = self.max_rss_kib.max(end.max_rss_kib);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rank(program: &str, rank: u32, host: &str) -> Vec<u8> {
        let process = json!({
            "binpath": program, "hostname": host, "job_step": "0", "start_time_ns": 100 + rank,
            "mpi": { "rank": rank, "size": 3 },
            "end": { "end_time_ns": 1000 + rank, "max_rss_kib": 10 * rank },
        });
        process.to_string().into_bytes()
    }

    fn of(processes: &[Vec<u8>]) -> Value {
        serde_json::to_value(launches(processes)).unwrap()
    }

    #[test]
    fn ranks_of_a_launch_are_one_entry() {
        let mut processes = vec![br#"{"binpath":"/usr/bin/mpirun","hostname":"a"}"#.to_vec()];
        processes.extend([rank("/app", 2, "b"), rank("/app", 0, "a"), rank("/app", 1, "a")]);
        let expected = json!([{
            "binpath": "/app", "job_step": "0", "size": 3, "ranks": 3, "ended": 3, "hosts": ["a", "b"],
            "start_time_ns": 100, "end_time_ns": 1002, "max_rss_kib": 20, "processes": [1, 2, 3],
        }]);
        assert_eq!(of(&processes), expected);
    }

    #[test]
    fn a_second_launch_of_the_same_program_is_a_second_entry() {
        let ranks = [0, 1, 2, 0, 1, 2].map(|number| rank("/app", number, "a"));
        let found = of(&ranks);
        assert_eq!((&found[0]["processes"], &found[1]["processes"]), (&json!([0, 1, 2]), &json!([3, 4, 5])));
        // Two programs of one launch, started as a pair by each rank.
        let pairs = [rank("/sh", 0, "a"), rank("/app", 0, "a"), rank("/sh", 1, "a"), rank("/app", 1, "a")];
        let found = of(&pairs);
        assert_eq!((&found[0]["binpath"], &found[1]["ranks"]), (&json!("/sh"), &json!(2)));
    }

    #[test]
    fn a_rank_alone_and_what_is_no_document_are_none() {
        let batch_script = [rank("/bin/bash", 0, "a"), rank("/bin/ls", 0, "a"), rank("/bin/ls", 0, "a")];
        assert_eq!(of(&batch_script), json!([]));
        let no_ranks: [&[u8]; 4] = [b"", b"{}", br#"{"mpi":{}}"#, br#"{"mpi":{"size":4}}"#];
        assert_eq!(of(&no_ranks.map(<[u8]>::to_vec)), json!([]));
    }
}
