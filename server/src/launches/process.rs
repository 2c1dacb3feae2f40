//! What is kept of a process, to find the launches of its job: some 100 bytes, since a job may have
//! very many.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, sync::Arc};

/// The kind of launch of MPICH and Intel MPI.
const HYDRA: &str = "hydra";

/// The keys that are read of a process's document.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    binpath: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    build: Option<&'a RawValue>,
    #[serde(borrow)]
    job_step: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cluster: Cow<'a, str>,
    #[serde(borrow, default)]
    hostname: Cow<'a, str>,
    pid: Option<i32>,
    parent_pid: Option<i32>,
    ancestor_pid: Option<i32>,
    start_time_ns: Option<i64>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    shared_objects: Option<&'a RawValue>,
    #[serde(borrow)]
    mpi: Option<Mpi<'a>>,
    #[serde(borrow)]
    end: Option<End<'a>>,
}

#[derive(Deserialize)]
struct Mpi<'a> {
    rank: Option<u32>,
    size: Option<u32>,
    #[serde(borrow)]
    launch: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct End<'a> {
    end_time_ns: Option<i64>,
    max_rss_kib: Option<u64>,
    #[serde(borrow)]
    ended_by: Option<Cow<'a, str>>,
}

/// What is kept of a process.
#[derive(Debug)]
pub(super) struct Process {
    pub is_start: bool,
    pub hostname: Arc<str>,
    pub pid: Option<i32>,
    pub parent_pid: Option<i32>,
    pub ancestor_pid: Option<i32>,
    pub start_time_ns: Option<i64>,
    pub end: Option<ProcessEnd>,
    /// The launch whose proxy of MPICH's launcher it is.
    pub proxy_of: Option<Box<LaunchName>>,
    /// It is one of a launcher's own programs, such as a proxy.
    pub is_daemon: bool,
    pub rank: Option<Box<Rank>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessEnd {
    pub end_time_ns: Option<i64>,
    pub max_rss_kib: Option<u64>,
    pub is_exec: bool,
}

/// What a launcher calls a launch, in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaunchName {
    pub cluster: String,
    pub name: String,
}

impl LaunchName {
    /// True if the launcher gave it, and not only says of what kind it is.
    pub fn is_given(&self) -> bool {
        self.name.contains(':')
    }

    /// True if it is what a proxy of MPICH's launcher was told. What a rank starts cannot know it.
    pub fn is_of_proxy(&self) -> bool {
        self.name.strip_prefix(HYDRA).is_some_and(|rest| rest.starts_with(':'))
    }

    /// True if what says this name may be of a launch with that one: it is the same, or the kind
    /// alone.
    pub fn may_be(&self, other: &LaunchName) -> bool {
        let kind = other.name.split(':').next().unwrap_or_default();
        self.cluster == other.cluster && (self.name == other.name || self.name == kind)
    }
}

/// What is kept of a process that says it is a rank.
#[derive(Debug)]
pub(super) struct Rank {
    pub number: u32,
    pub size: Option<u32>,
    pub launch: Option<LaunchName>,
    pub binpath: String,
    pub signature: Option<String>,
    pub build: Option<Box<RawValue>>,
    pub job_step: Option<String>,
    /// It loads a library of MPI.
    pub is_mpi: bool,
}

impl Process {
    /// What is kept of a document; `None` where it is none. `hosts` holds each name once.
    pub fn of(document: &[u8], hosts: &mut HashSet<Arc<str>>) -> Option<Process> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        let hostname = match hosts.get(&*document.hostname) {
            Some(known) => known.clone(),
            None => {
                let hostname: Arc<str> = document.hostname.as_ref().into();
                hosts.insert(hostname.clone());
                hostname
            }
        };
        let end = document.end.as_ref().map(|end| ProcessEnd {
            end_time_ns: end.end_time_ns,
            max_rss_kib: end.max_rss_kib,
            is_exec: end.ended_by.as_deref() == Some("exec"),
        });
        let proxy_of = document.proxy_of().map(Box::new);
        Some(Process {
            is_start: document.kind.is_none(),
            hostname,
            pid: document.pid,
            parent_pid: document.parent_pid,
            ancestor_pid: document.ancestor_pid,
            start_time_ns: document.start_time_ns,
            end,
            is_daemon: proxy_of.is_some() || document.is_daemon(),
            proxy_of,
            rank: document.into_rank().map(Box::new),
        })
    }

    /// True if it had ended when `later` started.
    pub fn ended_before(&self, later: &Process) -> bool {
        let end = self.end.and_then(|end| end.end_time_ns);
        end.zip(later.start_time_ns).is_some_and(|(end, start)| end < start)
    }

    /// True if its pid may have been another's when `later` started. A process may tell its end
    /// before a copy of it starts a program.
    pub fn ended_long_before(&self, later: &Process) -> bool {
        const SECOND_NS: i64 = 1_000_000_000;
        let end = self.end.and_then(|end| end.end_time_ns);
        end.zip(later.start_time_ns).is_some_and(|(end, start)| end.saturating_add(SECOND_NS) < start)
    }

    /// True if both had one pid on one host.
    pub fn has_pid_of(&self, other: &Process) -> bool {
        self.pid.is_some() && self.pid == other.pid && self.hostname == other.hostname
    }
}

impl Document<'_> {
    /// MPICH tells each proxy of a launch the same control port, and the number of the group of
    /// ranks. Intel MPI has a program of its own for it, which becomes the proxy.
    fn proxy_of(&self) -> Option<LaunchName> {
        const PORTS: [&str; 2] = ["\"--control-port\"", "\"--upstream-port\""];
        let arguments = self.arguments.filter(|list| PORTS.iter().any(|port| list.get().contains(port)))?;
        let arguments: Vec<Cow<'_, str>> = serde_json::from_str(arguments.get()).ok()?;
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).map(|argument| &**argument)
        };
        let upstream = || Some(format!("{}:{}", after("--upstream-host")?, after("--upstream-port")?));
        let port = after("--control-port").map(str::to_owned).or_else(upstream)?;
        // As its ranks say it, where they know it.
        let name = format!("{HYDRA}:{port}.{}", after("--pgid").unwrap_or_default());
        Some(LaunchName { cluster: self.cluster.as_ref().to_owned(), name })
    }

    fn is_daemon(&self) -> bool {
        let name = self.binpath.rsplit('/').next().unwrap_or_default();
        matches!(name, "hydra_pmi_proxy" | "hydra_bstrap_proxy" | "orted" | "prted")
    }

    fn into_rank(self) -> Option<Rank> {
        let mpi = self.mpi?;
        Some(Rank {
            number: mpi.rank?,
            size: mpi.size,
            launch: mpi
                .launch
                .map(|name| LaunchName { cluster: self.cluster.into_owned(), name: name.into_owned() }),
            binpath: self.binpath.into_owned(),
            signature: self.signature.map(Cow::into_owned),
            build: self.build.map(RawValue::to_owned),
            job_step: self.job_step.map(Cow::into_owned),
            is_mpi: self.shared_objects.is_some_and(|objects| objects.get().contains("/libmpi")),
        })
    }
}
