//! The record of a run: the start of a process, and its end where XALT saw it.
//!
//! XALT writes one record at the start and one at the end of a large MPI program, of others one at
//! the end, with the same fields. Its id is the event's, so the two are one process. XALT knows no
//! process number, node, CPU time or exit status: these stay unknown. It records rank 0 alone, and
//! some programs only with a probability; both are said in the event, and nothing is multiplied.

use super::{
    findings::{Findings, Trouble, Unusable},
    json::{Object, bytes, count, list, number, object, quoted_path, text, time_ns},
    packages::{PackageTable, run_id},
};
use crate::start_digest;
use bytes::Bytes;
use ogrt_proto::{BuildMetadata, Gpu, Module, Note, ProcessEnd, ProcessInfo, SharedObject};
use prost::Message;
use serde_json::Value;

/// Arguments, libraries, variables and modules of one process.
const LIST_MAX: usize = 16_384;

/// Fields that have a place, or that say nothing of the run: sums over the others, and repetitions.
const PLACED: [(&str, &[&str]); 5] = [
    ("", &["crc", "cmdlineA", "libA", "envT", "userT", "userDT", "xaltLinkT", "XALT_qaT"]),
    (
        "userT",
        &[
            "syshost",
            "run_uuid",
            "exec_path",
            "cwd",
            "start_date",
            "user",
            "account",
            "job_id",
            "queue",
            "container",
        ],
    ),
    (
        "userDT",
        &[
            "start_time",
            "end_time",
            "run_time",
            "probability",
            "num_tasks",
            "num_gpus",
            "num_threads",
            "num_cores",
            "num_nodes",
            "exec_epoch",
            "Build_Epoch",
        ],
    ),
    ("xaltLinkT", &["Build_UUID", "Build_User", "Build_compiler", "Build_Epoch", "Build_Year", "Build_date"]),
    ("XALT_qaT", &["XALT_GIT_VERSION"]),
];

/// A run.
pub struct Run {
    pub start: ProcessInfo,
    pub end: Option<ProcessEnd>,
}

/// Reads one.
pub fn read(json: &Object, packages: &PackageTable, findings: &mut Findings) -> Result<Run, Trouble> {
    let (user, numbers) = (object(json, "userT"), object(json, "userDT"));
    let run = text(user, "run_uuid").and_then(run_id).ok_or(Unusable::NotXalt)?;
    let start_ns = time_ns(numbers, "start_time").ok_or(Unusable::NotXalt)?;
    let path = text(user, "exec_path").ok_or(Unusable::NotXalt)?;
    say_unplaced(json, findings);

    let (ranks, job_id) = (count(numbers, "num_tasks").unwrap_or(1), bytes(user, "job_id"));
    let is_launch = ranks > 1;
    let first_of_list = |text: &str| text.split(',').next().unwrap_or_default().to_owned();
    let start = ProcessInfo {
        event_id: Some(Bytes::copy_from_slice(&run)),
        binpath: Some(quoted_path(path)),
        start_time_ns: Some(start_ns),
        cluster: bytes(user, "syshost"),
        username: bytes(user, "user"),
        account: bytes(user, "account"),
        partition: text(user, "queue").map(|queue| first_of_list(queue).into()),
        // Without a scheduler XALT writes 1.
        nodes: count(numbers, "num_nodes").filter(|_| job_id.is_some()),
        job_id,
        working_directory: bytes(user, "cwd"),
        container: bytes(user, "container"),
        mpi_rank: is_launch.then_some(0),
        mpi_size: is_launch.then_some(ranks),
        // Where OMP_NUM_THREADS is not set, XALT writes 1.
        threads: count(numbers, "num_threads").filter(|threads| *threads > 1).map(|n| n.to_string().into()),
        sampled_ppm: sampled_ppm(numbers),
        notes: note(json).into_iter().collect(),
        client: text(object(json, "XALT_qaT"), "XALT_GIT_VERSION").map(client),
        arguments: strings(list(json, "cmdlineA")),
        shared_objects: libraries(json),
        loaded_modules: modules(object(json, "envT")),
        environment_variables: variables(object(json, "envT")),
        ..ProcessInfo::default()
    };
    let end = time_ns(numbers, "end_time").map(|end_ns| end(&start, numbers, end_ns, packages.of(&run)));
    Ok(Run { start, end })
}

/// A build of XALT without git does not know its version.
fn client(version: &str) -> String {
    if version.contains("xalt") { version.to_owned() } else { "xalt".to_owned() }
}

fn end(start: &ProcessInfo, numbers: &Object, end_ns: i64, packages: Vec<ogrt_proto::Package>) -> ProcessEnd {
    let told = number(numbers, "run_time").filter(|seconds| *seconds < 1e9);
    let between = || end_ns.saturating_sub(start.start_time_ns()).max(0) as u64;
    // By these the server knows what the program had loaded.
    let message = start.encode_to_vec();
    let modules = start_digest::module_names(&message);
    let gpu = || Gpu { maker: Some("nvidia".to_owned()), did: Some(true), ..Gpu::default() };
    ProcessEnd {
        event_id: start.event_id.clone(),
        time_ns: Some(end_ns),
        duration_ns: Some(told.map_or_else(between, |seconds| (seconds * 1e9) as u64)),
        job_id: start.job_id.clone(),
        cluster: start.cluster.clone(),
        // XALT counts GPUs of NVIDIA on which something ran meanwhile.
        gpus: count(numbers, "num_gpus").map(|_| gpu()).into_iter().collect(),
        packages,
        start: Some(ProcessInfo {
            program_digest: Some(Bytes::copy_from_slice(&start_digest::of_program(&message))),
            modules_digest: modules.map(|names| Bytes::copy_from_slice(&start_digest::of_modules(&names))),
            event_id: None,
            job_id: None,
            cluster: None,
            working_directory: None,
            threads: None,
            client: None,
            sampled_ppm: None,
            arguments: Vec::new(),
            shared_objects: Vec::new(),
            loaded_modules: Vec::new(),
            environment_variables: Vec::new(),
            ..start.clone()
        }),
        ..ProcessEnd::default()
    }
}

/// The number of a million processes like this one that XALT records; `None` where that is all.
fn sampled_ppm(numbers: &Object) -> Option<u32> {
    let probability = number(numbers, "probability").filter(|probability| *probability < 1.0)?;
    Some(((probability * 1e6).round() as u32).max(1))
}

/// What XALT's note in the executable says.
fn note(json: &Object) -> Option<Note> {
    let link = object(json, "xaltLinkT");
    let key = |key: &str| text(link, key).or_else(|| text(link, &key.replacen('_', ".", 1)));
    let signature = key("Build_UUID").and_then(run_id)?;
    let metadata = BuildMetadata {
        builder: key("Build_User").map(str::to_owned),
        compiler: key("Build_compiler").map(str::to_owned),
        time: time_ns(link, "Build_Epoch").map(|ns| ns / 1_000_000_000),
        ..BuildMetadata::default()
    };
    let metadata = Some(metadata.encode_to_vec().into());
    Some(Note { signature: Some(Bytes::copy_from_slice(&signature)), metadata, version: None })
}

fn strings(values: &[Value]) -> Vec<Bytes> {
    let strings = values.iter().take(LIST_MAX).filter_map(Value::as_str);
    strings.map(|text| Bytes::from(text.to_owned())).collect()
}

fn libraries(json: &Object) -> Vec<SharedObject> {
    let path = |library: &Value| Some(Bytes::from(library.get(0)?.as_str()?.to_owned()));
    let paths = list(json, "libA").iter().take(LIST_MAX).filter_map(path);
    paths.map(|path| SharedObject { path: Some(path), ..SharedObject::default() }).collect()
}

/// The modules that were loaded, with their files.
fn modules(environment: &Object) -> Vec<Module> {
    let list = |key: &str| text(environment, key).map(|text| text.split(':').collect::<Vec<_>>());
    let names = list("LOADEDMODULES").unwrap_or_default();
    // Else nobody knows which belongs to which.
    let files = list("_LMFILES_").filter(|files| files.len() == names.len()).unwrap_or_default();
    let files = files.into_iter().map(Some).chain(std::iter::repeat(None));
    let named = names.into_iter().zip(files).filter(|(name, _)| !name.is_empty()).take(LIST_MAX);
    let owned = |text: &str| Bytes::from(text.to_owned());
    named.map(|(name, file)| Module { name: Some(owned(name)), file: file.map(owned) }).collect()
}

fn variables(environment: &Object) -> Vec<Bytes> {
    let kept = environment.iter().filter(|(key, _)| !["LOADEDMODULES", "_LMFILES_"].contains(&key.as_str()));
    let variable = |(key, value): (&String, &Value)| Some(Bytes::from(format!("{key}={}", value.as_str()?)));
    kept.take(LIST_MAX).filter_map(variable).collect()
}

/// Counts fields that have no place.
fn say_unplaced(json: &Object, findings: &mut Findings) {
    for (name, placed) in PLACED {
        let fields = if name.is_empty() { json } else { object(json, name) };
        for key in fields.keys() {
            let is_placed = placed.contains(&key.as_str()) || placed.contains(&&*key.replacen('.', "_", 1));
            let is_empty = fields[key] == Value::String("unknown".into());
            if !is_placed && !is_empty {
                findings.unplaced(&described(name, key));
            }
        }
    }
    if count(object(json, "userDT"), "num_gpus").is_some() {
        findings.unplaced("userDT.num_gpus: how many GPUs (that some were used is carried over)");
    }
    let has_digest = |library: &Value| library.get(1).and_then(Value::as_str).is_some_and(|d| d.len() == 40);
    if list(json, "libA").iter().any(has_digest) {
        findings.unplaced("libA: SHA-1 of libraries");
    }
}

fn described(object: &str, key: &str) -> String {
    match (object, key) {
        ("", "hash_id") => "hash_id: SHA-1 of the executable".to_owned(),
        ("", "ptA") => "ptA: the processes above, without their node".to_owned(),
        ("", "XALT_measureT") => "XALT_measureT: what XALT itself took".to_owned(),
        ("", key) => key.to_owned(),
        (object, key) => format!("{object}.{key}"),
    }
}
