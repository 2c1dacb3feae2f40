//! The HTTP interface for a fuzz target: a server without sockets and, once it is filled, without
//! stages. Whatever an execution need not do is done once, before them.

use super::{
    listeners,
    shared::{Inlets, Shared},
};
use crate::{
    config::Config,
    database::Store,
    queue::{Credentials, EndSource, Entry, Kind, Submission, SubmissionAnswer, WriterMessage},
    shutdown::Shutdown,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use ogrt_proto::{
    BuildMetadata, BuildRecord, Input, Installation, InstalledFile, JobSummary, Note, ProcessEnd,
    ProcessInfo, SharedObject,
};
use prost::Message;
use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    select,
    task::yield_now,
};

/// Changes after which a server is a new one: an answer stays small.
const CHANGES_MAX: usize = 1024;

/// The longest that the line may take to fill a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of an answer.
const ANSWER_MAX: usize = 16 << 20;

/// A token that permits everything.
const TOKEN: &str = "t";

/// A server that answers one request after another.
pub struct Questions {
    runtime: Runtime,
    /// What each server begins with, and where the present one keeps that and what came to it.
    filled: PathBuf,
    directory: PathBuf,
    server: Option<Server>,
}

impl Questions {
    /// Keeps what the server keeps in this directory.
    pub fn new(directory: &Path) -> Self {
        // With sockets, each turn of a task would be a system call.
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let [filled, directory] = ["filled", "present"].map(|name| directory.join(name));
        fill(&runtime, &filled);
        Questions { runtime, filled, directory, server: None }
    }

    /// Answers a request. No answer is a failure of the server; each is of its declared type, and
    /// text has no control characters. A build that is registered can be read.
    pub fn ask(&mut self, input: &[u8]) {
        let Some(request) = read_request(input) else { return };
        let server = self.server.get_or_insert_with(|| {
            let _ = fs::remove_dir_all(&self.directory);
            copy(&self.filled, &self.directory);
            Server::new(&self.runtime, &self.directory)
        });
        let runtime = &self.runtime;
        let method = request.method().clone();
        let (status, body) = runtime.block_on(server.answer(request));
        if method.is_safe() || !status.is_success() {
            return;
        }
        server.changes += 1;
        if let (Method::POST, Some(signature)) = (method, read(&body)["signature"].as_str()) {
            let question = read_request(format!("GET /v1/builds/{signature}").as_bytes()).expect("a request");
            let (status, build) = runtime.block_on(server.answer(question));
            assert_eq!((status, read(&build)["signature"].as_str()), (StatusCode::OK, Some(signature)));
        }
        if server.changes >= CHANGES_MAX {
            self.server = None;
        }
    }
}

/// See the module.
struct Server {
    routes: TowerToHyperService<axum::Router>,
    shared: Shared,
    /// What the queue's writer would have.
    messages: Receiver<WriterMessage>,
    changes: usize,
}

impl Server {
    /// A server of what is in this directory.
    fn new(runtime: &Runtime, directory: &Path) -> Self {
        let (mut shared, _) = open(runtime, directory);
        let (writer, messages) = channel();
        shared.intake.writer = writer;
        runtime.block_on(async {
            select! {
                is_done = shared.uses.catch_up_within(PATIENCE) => assert!(is_done),
                () = shared.uses.count(Shutdown::new()) => unreachable!("nobody stops it"),
            }
        });
        let routes = TowerToHyperService::new(listeners::routes(&shared));
        Server { routes, shared, messages, changes: 0 }
    }

    /// The status and the answer.
    async fn answer(&self, request: Request) -> (StatusCode, Bytes) {
        let has_body = request.method() != Method::HEAD;
        let answered = async {
            let answer = self.routes.call(request).await.unwrap_or_else(|never| match never {});
            let (head, body) = answer.into_parts();
            let body = to_bytes(body, ANSWER_MAX).await.expect("a whole answer");
            (head, body)
        };
        let (head, body) = select! {
            biased;
            answered = answered => answered,
            () = self.stand_in() => unreachable!("the others go on"),
        };
        assert!(head.status.as_u16() < 500, "{}: {body:?}", head.status);
        if has_body {
            check_answer(&head.headers, &body);
        }
        if has_body && !head.status.is_success() {
            assert_eq!(head.headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(read(&body)["status"], head.status.as_u16());
        }
        (head.status, body)
    }

    /// Does what the drain and the queue's writer do for questions and registrations.
    async fn stand_in(&self) {
        loop {
            self.shared.intake.drained.send_modify(|passes| *passes += 1);
            while let Ok(WriterMessage::Submit(submission)) = self.messages.try_recv() {
                let builds = match submission.builds.is_empty() {
                    true => Vec::new(),
                    false => self.shared.registry.register(&submission.builds).expect("a registration"),
                };
                if let Some(receipt) = submission.receipt {
                    let _ = receipt.send(Ok(SubmissionAnswer { builds }));
                }
            }
            yield_now().await;
        }
    }
}

/// A request, written as HTTP/1.1 does it with simpler ends of lines.
fn read_request(input: &[u8]) -> Option<Request> {
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let (head, body) = (&input[..end], input.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Body::from(body.to_vec())).ok()
}

/// Reads an answer by its declared type.
fn check_answer(headers: &HeaderMap, body: &[u8]) {
    let kind = headers[header::CONTENT_TYPE].to_str().expect("a type");
    match kind {
        "application/json" | "application/problem+json" => check_json(body),
        "application/jsonl" => body.split_inclusive(|byte| *byte == b'\n').for_each(check_json),
        _ => {
            assert!(kind.starts_with("text/plain; "), "{kind}");
            let text = str::from_utf8(body).expect("text");
            assert!(text.chars().all(|c| c == '\n' || !ogrt_proto::printable::is_unprintable(c)), "{text:?}");
        }
    }
}

/// A JSON document.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

/// Reads JSON, keeping nothing of it: most of an execution's time would go there.
pub fn check_json(text: &[u8]) {
    let text = str::from_utf8(text).expect("UTF-8");
    serde_json::from_str::<IgnoredAny>(text).expect("JSON");
}

/// Opens a server on what is in this directory.
fn open(runtime: &Runtime, directory: &Path) -> (Shared, Inlets) {
    let _guard = runtime.enter();
    let config = Config { data_dir: directory.to_owned(), ..Config::default() };
    let store = Store::open(directory).expect("a store");
    Shared::open(config, store, Shutdown::new()).expect("a server")
}

/// Copies a directory that nobody uses.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        let to = to.join(file.file_name());
        match file.file_type().expect("a type").is_dir() {
            true => copy(&file.path(), &to),
            false => drop(fs::copy(file.path(), to).expect("a copy")),
        }
    }
}

/// Fills an empty directory: a token, builds, an installation, and what a few processes told.
fn fill(runtime: &Runtime, directory: &Path) {
    fs::create_dir_all(directory).expect("a directory");
    let digest = ogrt_proto::hex(&Sha256::digest(TOKEN));
    fs::write(directory.join("tokens"), format!("all {digest} register,relay,read,administer\n"))
        .expect("a file of tokens");
    let (shared, inlets) = open(runtime, directory);
    run_line(runtime, &shared, inlets);
    drop(shared);
    // Opened again, the journal loses its empty rest, which would take long to copy.
    drop(Store::open(directory).expect("a store"));
}

/// Lets the line take what a small site has, and end.
fn run_line(runtime: &Runtime, shared: &Shared, Inlets { writer, registered, .. }: Inlets) {
    let join = shared.open_join(registered).expect("a join");
    let handle = runtime.handle().clone();
    let writing = thread::spawn(move || writer.run());
    let joining = thread::spawn(move || join.run(&handle));
    runtime.block_on(async {
        let give_up = Shutdown::new();
        let filled = async {
            let answer = shared.intake.submit_for_answer(site()).await.await;
            assert!(answer.is_ok_and(|answer| answer.is_ok()));
            shared.registry.register_installation(&installation()).expect("an installation");
            let _ = shared.jobs.catch_up().await;
            assert!(shared.uses.catch_up_within(PATIENCE).await);
        };
        select! {
            () = filled => {}
            () = shared.jobs.keep(give_up.clone()) => {}
            () = shared.uses.count(give_up) => {}
        }
    });
    let _ = shared.intake.writer.send(WriterMessage::Stop);
    writing.join().expect("the writer's thread").expect("a written queue");
    joining.join().expect("the join's thread").expect("a joined queue");
}

fn signature(build: u8) -> Bytes {
    Bytes::from(vec![build; 16])
}

/// A library, a program with it, and a program without builds; who ran them, in two jobs.
fn site() -> Submission {
    let mut submission =
        Submission { builds: vec![record(1, &[]), record(2, &[1])], ..Submission::default() };
    for process in 0..4u8 {
        let (event_id, job_id) = (Some(signature(process)), Some(Bytes::from(format!("job{}", process % 2))));
        let info = ProcessInfo {
            event_id: event_id.clone(),
            job_id: job_id.clone(),
            cluster: (process == 3).then(|| "beta".into()),
            binpath: Some(if process == 2 { "/usr/bin/other" } else { "/opt/program" }.into()),
            hostname: Some("node1".into()),
            username: Some("alice".into()),
            notes: (process != 2).then(|| note(2)).into_iter().collect(),
            shared_objects: vec![SharedObject {
                path: Some("/lib/libone.so.1".into()),
                build_id: Some(vec![0xAB; 20].into()),
                notes: vec![note(1)],
                ..SharedObject::default()
            }],
            ..ProcessInfo::default()
        };
        let end = ProcessEnd { event_id, job_id, duration_ns: Some(1), ..ProcessEnd::default() };
        submission.entries.push(&entry(process, Kind::Start, info.encode_to_vec()));
        submission.entries.push(&entry(process, Kind::End, end.encode_to_vec()));
    }
    let summary = JobSummary {
        event_id: Some(signature(9)),
        job_id: Some("job0".into()),
        starts: Some(7),
        ..JobSummary::default()
    };
    submission.entries.push(&entry(9, Kind::Summary, summary.encode_to_vec()));
    submission
}

fn entry(process: u8, kind: Kind, message: Vec<u8>) -> Entry {
    Entry {
        kind,
        received_ns: 1_700_000_000_000_000_000,
        assigned_id: None,
        credentials: (process == 1).then_some(Credentials { pid: 7, uid: 3_000_000_000, gid: 1 }),
        delivered_by: None,
        via: None,
        is_final: true,
        is_whole: true,
        end_source: EndSource::Client,
        message: message.into(),
    }
}

fn note(build: u8) -> Note {
    Note { signature: Some(signature(build)), ..Note::default() }
}

fn record(build: u8, inputs: &[u8]) -> Bytes {
    let input = |build: &u8| Input { signatures: vec![signature(*build)], ..Input::default() };
    let record = BuildRecord {
        signature: Some(signature(build)),
        time_ns: Some(i64::from(build)),
        metadata: Some(BuildMetadata { name: Some("gromacs".into()), ..BuildMetadata::default() }),
        inputs: inputs.iter().map(input).collect(),
        ..BuildRecord::default()
    };
    record.encode_to_vec().into()
}

fn installation() -> Installation {
    Installation {
        prefix: Some("/opt".into()),
        time_ns: Some(1),
        files: vec![InstalledFile { path: Some("program".into()), signatures: vec![signature(2)] }],
        ..Installation::default()
    }
}
