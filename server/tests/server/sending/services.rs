//! Real receivers that are Java programs: fetched by Maven once, started once for all tests, ended
//! with them.
//!
//! `tests/services/NAME/` holds a pom.xml with pinned versions, and the Java file that starts the
//! service. What Maven brings and javac makes is kept in the target folder under a name that
//! changes with those files. Each service reads its standard input, a pipe that this process holds,
//! so that none outlives the tests.

use super::{
    Ending,
    http::{Answer, request},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, OnceLock,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a service may take to start on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// True when the tool exists. Otherwise the test is skipped with a line on a desk, and fails in CI.
pub fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "needs {tool}, and in CI a missing tool is a failure");
        println!("skipped: needs {tool}");
    }
    there
}

/// The folder of a service's sources.
fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/services").join(name)
}

/// Jars and classes of a service, made if need be, of one Java file; `None` without Maven or javac.
fn prepared(name: &str, class: &str, java: &str) -> Option<PathBuf> {
    if !has("mvn") || !has("javac") {
        return None;
    }
    let pom = sources(name).join("pom.xml");
    let digest = Sha256::new().chain_update(fs::read(&pom).unwrap()).chain_update(java).finalize();
    let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{digest}"));
    if cache.exists() {
        return Some(cache);
    }
    // Under its final name only when it is whole.
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(fresh.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&text));
    };
    let to = format!("-DoutputDirectory={}", fresh.path().join("lib").display());
    let file = format!("--file={}", pom.display());
    run("mvn", &["--quiet", "--batch-mode", &file, "dependency:copy-dependencies", &to]);
    for archive in files(&fresh.path().join("lib"), "zip") {
        // A distribution: its jars are wanted, wherever they are in it.
        run("jar", &["xf", archive.to_str().unwrap()]);
    }
    for jar in files(fresh.path(), "jar") {
        let to = fresh.path().join("lib").join(jar.file_name().unwrap());
        fs::rename(jar, to).unwrap();
    }
    fs::write(fresh.path().join(format!("{class}.java")), java).unwrap();
    run("javac", &["-d", "classes", "-cp", "lib/*", &format!("{class}.java")]);
    if fs::rename(fresh.path(), &cache).is_ok() {
        let _ = fresh.keep();
    }
    Some(cache)
}

/// Files with this extension, in the folder and below.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

/// A service that runs.
struct Service {
    child: Ending,
    port: u16,
    said: Receiver<String>,
}

impl Service {
    /// Starts it in `home`; when it is ready it has told its port.
    fn start(cache: &Path, class: &str, home: &Path, port: u16) -> Service {
        fs::create_dir_all(home).unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(home.join("log")).unwrap();
        let mut child = Command::new("java")
            .args([
                "-Xms256m",
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                "classes:lib/*",
            ])
            .arg(class)
            .arg(home)
            .arg(port.to_string())
            .current_dir(cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.ok()?.strip_prefix("port ")?.parse().ok());
        let Some(port) = port else {
            let log = fs::read_to_string(home.join("log")).unwrap_or_default();
            panic!("{class} did not start: {log}");
        };
        // What it says later must not fill the pipe.
        let (say, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Service { child: Ending(child), port, said }
    }
}

/// A real OpenSearch or Elasticsearch.
pub struct SearchEngine {
    service: Mutex<Option<Service>>,
    class: String,
    cache: PathBuf,
    home: PathBuf,
    /// Its folder. The home of a shared one is deleted when its input ends.
    _directory: Option<TempDir>,
    pub address: String,
}

impl SearchEngine {
    /// The OpenSearch that all tests share.
    pub fn opensearch() -> Option<&'static SearchEngine> {
        static SHARED: OnceLock<Option<SearchEngine>> = OnceLock::new();
        SHARED.get_or_init(|| SearchEngine::start("OpenSearch", shared_home(), None)).as_ref()
    }

    /// The Elasticsearch that all tests share.
    pub fn elasticsearch() -> Option<&'static SearchEngine> {
        static SHARED: OnceLock<Option<SearchEngine>> = OnceLock::new();
        SHARED.get_or_init(|| SearchEngine::start("Elasticsearch", shared_home(), None)).as_ref()
    }

    /// An OpenSearch that a test may stop and start.
    pub fn own() -> Option<SearchEngine> {
        let directory = tempfile::tempdir().unwrap();
        SearchEngine::start("OpenSearch", directory.path().join("home"), Some(directory))
    }

    fn start(name: &str, home: PathBuf, directory: Option<TempDir>) -> Option<SearchEngine> {
        let java = fs::read_to_string(sources("opensearch").join("OpenSearchForTests.java")).unwrap();
        // OpenSearch began as a copy of Elasticsearch: only these names differ in what we need.
        let java = java.replace("org.opensearch", &format!("org.{}", name.to_lowercase()));
        let java = java.replace("OpenSearch", name);
        let class = format!("{name}ForTests");
        let cache = prepared(&name.to_lowercase(), &class, &java)?;
        let service = Service::start(&cache, &class, &home, 0);
        let address = format!("127.0.0.1:{}", service.port);
        let service = Mutex::new(Some(service));
        Some(SearchEngine { service, class, cache, home, _directory: directory, address })
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        *self.service.get_mut().unwrap() = None;
    }

    /// Starts it again, at the same port, with the data that it had.
    pub fn restart(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().parse().unwrap();
        let service = Service::start(&self.cache, &self.class, &self.home, port);
        *self.service.get_mut().unwrap() = Some(service);
    }

    /// A request that must work.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let since = Instant::now();
        loop {
            let Answer { status, body, .. } = request(
                &self.address,
                method,
                path,
                &[("content-type", "application/json")],
                body.as_bytes(),
            );
            let text = String::from_utf8(body).unwrap();
            // A shard that was just made or is being recovered does not answer yet.
            if status == 503 && since.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            assert!((200..300).contains(&status), "{method} {path}: {status}: {text}");
            return serde_json::from_str(&text).unwrap();
        }
    }

    /// How many documents there are; none where there is no index.
    pub fn count(&self, index: &str) -> u64 {
        self.ask("POST", &format!("/{index}/_refresh?allow_no_indices=true&ignore_unavailable=true"), "");
        let found =
            self.ask("GET", &format!("/{index}/_count?allow_no_indices=true&ignore_unavailable=true"), "");
        found["count"].as_u64().unwrap()
    }

    /// The identifiers of all documents.
    pub fn ids(&self, index: &str) -> std::collections::BTreeSet<String> {
        self.ask("POST", &format!("/{index}/_refresh"), "");
        let mut ids = std::collections::BTreeSet::new();
        let mut after = String::new();
        loop {
            let body = format!(
                r#"{{"size":5000,"_source":false,"sort":[{{"event_id":"asc"}},{{"type":{{"order":"asc","missing":"_first"}}}}]{after}}}"#
            );
            let page = self.ask("POST", &format!("/{index}/_search"), &body);
            let hits = page["hits"]["hits"].as_array().unwrap();
            let Some(last) = hits.last() else { return ids };
            after = format!(r#","search_after":{}"#, last["sort"]);
            ids.extend(hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()));
        }
    }
}

/// The Java program removes it at its end.
fn shared_home() -> PathBuf {
    tempfile::Builder::new().prefix("search").tempdir().unwrap().keep()
}

/// A real Kafka broker that a test may stop and start.
pub struct Kafka {
    service: Option<Service>,
    cache: PathBuf,
    directory: TempDir,
    pub address: String,
}

/// A record, as Kafka's own consumer gives it.
pub struct Record {
    pub partition: String,
    pub key: String,
    pub value: String,
}

impl Kafka {
    pub fn own() -> Option<Kafka> {
        let java = fs::read_to_string(sources("kafka").join("KafkaForTests.java")).unwrap();
        let cache = prepared("kafka", "KafkaForTests", &java)?;
        let directory = tempfile::tempdir().unwrap();
        let service = Service::start(&cache, "KafkaForTests", &directory.path().join("home"), 0);
        let address = format!("127.0.0.1:{}", service.port);
        Some(Kafka { service: Some(service), cache, directory, address })
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.service = None;
    }

    /// Starts it again, at the same port, with the data that it had.
    pub fn restart(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().parse().unwrap();
        let home = self.directory.path().join("home");
        self.service = Some(Service::start(&self.cache, "KafkaForTests", &home, port));
    }

    /// All records of a topic; those of a partition in its order.
    pub fn read(&mut self, topic: &str) -> Vec<Record> {
        let file = self.directory.path().join("records");
        let service = self.service.as_mut().unwrap();
        let input = service.child.0.stdin.as_mut().unwrap();
        writeln!(input, "read {topic} {}", file.display()).unwrap();
        assert_eq!(service.said.recv_timeout(PATIENCE).unwrap(), "read");
        let text = fs::read_to_string(file).unwrap();
        let record = |line: &str| {
            let mut fields = line.splitn(3, '\t').map(str::to_owned);
            let mut next = || fields.next().unwrap();
            Record { partition: next(), key: next(), value: next() }
        };
        text.lines().map(record).collect()
    }
}
