//! A running ogrt-observe beside the server of a stage, which tells of one test's processes alone.

use crate::{Stage, prefix, see, text};
use serde_json::Value;
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};
use xtask::cleanup::Group;

/// The longest wait for what is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a second start, or end, that would come to have come.
const A_WHILE: Duration = Duration::from_millis(700);

/// A stage with an observer.
pub struct ObservedStage {
    /// The stage.
    pub stage: Stage,
    /// The variable that names the job of this test's processes.
    pub job_variable: String,
    group: Option<Group>,
}

impl ObservedStage {
    /// Starts both; `None`, said aloud, where this machine cannot observe.
    pub fn open(options: &[&str]) -> Option<Self> {
        let check = see(Command::new(prefix().join("bin/ogrt-observe")).arg("--check"));
        if !check.status.success() {
            let why = text(&check.stderr);
            let is_ci = env::var_os("CI").is_some();
            assert!(!is_ci || why.contains("container"), "in CI observing is not skipped: {why}");
            println!("skipped: {}", why.trim());
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let job_variable = format!("OBSERVED_JOB_{}_{number}", std::process::id());
        let stage = Stage::new();
        open_to_others(stage.folder());
        let mut observed = ObservedStage { stage, job_variable, group: None };
        observed.start_observer(options);
        Some(observed)
    }

    /// Starts the observer with these options.
    pub fn start_observer(&mut self, options: &[&str]) {
        let server = self.stage.server.as_ref().expect("a running server").observe.clone();
        let log = fs::File::create(self.stage.folder().join("observer.log")).unwrap();
        let mut command = Command::new(prefix().join("bin/ogrt-observe"));
        command.arg("--server").arg(server).args(["--job-variables", &self.job_variable]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.group = Some(Group::spawn(&mut command).unwrap());
        self.wait_for("the observer", || self.metric("ogrt_observers") == Some(1));
    }

    /// Ends the observer.
    pub fn stop_observer(&mut self) {
        self.group.take().expect("a running observer").end();
    }

    /// The observer's process.
    pub fn observer_pid(&mut self) -> u32 {
        self.group.as_mut().expect("a running observer").leader().id()
    }

    /// A command of this test's job, in the stage's folder.
    pub fn command(&self, job: &str, program: impl AsRef<Path>) -> Command {
        let mut command = self.stage.command(&program.as_ref().to_string_lossy());
        command.env(&self.job_variable, job);
        command
    }

    /// Compiles the program of `data/probe.c` with these options; false if the compiler cannot.
    pub fn compile(&self, name: &str, options: &[&str]) -> bool {
        let source = self.stage.folder().join("probe.c");
        fs::write(&source, include_str!("../tests/data/probe.c")).unwrap();
        let output = see(self.stage.command("gcc").args(["-O1", "-o", name]).args(options).arg("probe.c"));
        output.status.success()
    }

    /// The value of a line of `/metrics`; `None` while no server answers.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let server = self.stage.server.as_ref()?;
        let body = crate::http::get_text(&server.http, "/metrics");
        body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until it is true.
    pub fn wait_for(&self, what: &str, is_true: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_true() {
            assert!(Instant::now() < deadline, "no {what}: {}", self.logs());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What both have logged.
    pub fn logs(&self) -> String {
        let observer = fs::read_to_string(self.stage.folder().join("observer.log")).unwrap_or_default();
        format!("{observer}{}", self.stage.server.as_ref().map(|server| server.log()).unwrap_or_default())
    }

    /// Each start of a job with its end, in the order of the starts, once there are so many; and
    /// none comes later, and none twice.
    pub fn processes(&self, job: &str, count: usize) -> Vec<(Value, Value)> {
        let of = |kind: &str| self.documents(job, kind);
        self.wait_for(&format!("{count} starts and ends of {job}"), || {
            of("").len() >= count && of("end").len() >= count
        });
        thread::sleep(A_WHILE);
        let (mut starts, ends) = (of(""), of("end"));
        assert_eq!((starts.len(), ends.len()), (count, count), "{starts:?} {ends:?}");
        starts.sort_by_key(|start| start["start_time_ns"].as_i64());
        let end_of = |start: &Value| {
            let own: Vec<&Value> = ends.iter().filter(|end| end["event_id"] == start["event_id"]).collect();
            assert_eq!(own.len(), 1, "{start}");
            own[0].clone()
        };
        starts.into_iter().map(|start| (end_of(&start), start)).map(|(end, start)| (start, end)).collect()
    }

    /// The documents of a job so far: of starts, or of a type.
    pub fn documents(&self, job: &str, kind: &str) -> Vec<Value> {
        let output = &self.stage.server.as_ref().expect("a running server").output;
        let text = fs::read_to_string(output.join("events.jsonl")).unwrap_or_default();
        // The last line may be on its way.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let documents = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        documents
            .filter(|document| document["job_id"] == job && document["type"].as_str().unwrap_or("") == kind)
            .collect()
    }

    /// Asserts that nothing is told of a job.
    pub fn nothing_of(&self, job: &str) {
        thread::sleep(A_WHILE);
        let told = self.documents(job, "");
        assert!(told.is_empty(), "{told:?}");
    }
}

/// Lets every user pass the folder, on its way from the root.
fn open_to_others(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
