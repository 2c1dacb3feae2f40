//! The dashboard of the server's health, by a real Prometheus that reads `/metrics` of a real
//! server.

use super::{board, queries};
use crate::{
    daemon::{Daemon, wait_for},
    sending::{Ending, http::request, send, services::has, starts},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// A Prometheus that reads one server, each fifth of a second.
struct Prometheus {
    _process: Ending,
    _directory: TempDir,
    address: String,
}

impl Prometheus {
    /// Starts it; `None` where it is not installed.
    fn start(server: &str) -> Option<Prometheus> {
        if !has("prometheus") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let configuration = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n\
             scrape_configs:\n- job_name: ogrt\n  static_configs:\n  - targets: ['{server}']\n"
        );
        fs::write(directory.path().join("prometheus.yml"), configuration).unwrap();
        // It cannot be told to take a free port and to say which one.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Prometheus { _process: Ending(process), _directory: directory, address };
        wait_for("Prometheus to listen", || TcpStream::connect(&prometheus.address).ok());
        let is_ready = || request(&prometheus.address, "GET", "/-/ready", &[], b"").status == 200;
        wait_for("Prometheus to be ready", || is_ready().then_some(()));
        Some(prometheus)
    }

    /// Asks a question that has no error.
    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let answer = request(&self.address, "GET", &format!("{path}?{}", pairs.join("&")), &[], b"");
        let text = String::from_utf8(answer.body).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{parameters:?}: {text}"));
        assert_eq!(answer["status"], "success", "{parameters:?}: {text}");
        answer["data"].clone()
    }

    /// The series of an expression at this moment, each by its labels, with its value.
    fn now(&self, expression: &str) -> BTreeMap<String, f64> {
        let data = self.ask("/api/v1/query", &[("query", expression)]);
        assert_eq!(data["resultType"], "vector", "{expression}");
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        let series = data["result"].as_array().unwrap().iter();
        series.map(|series| (series["metric"].to_string(), value(series))).collect()
    }

    /// The series of an expression over the last five seconds, each with its last value.
    fn lately(&self, expression: &str) -> BTreeMap<String, f64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let (start, end) = ((now - 5.0).to_string(), now.to_string());
        let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", "1")];
        let data = self.ask("/api/v1/query_range", &parameters);
        assert_eq!(data["resultType"], "matrix", "{expression}");
        let last = |series: &Value| {
            let values = series["values"].as_array().unwrap();
            values.last().unwrap()[1].as_str().unwrap().parse().unwrap()
        };
        let series = data["result"].as_array().unwrap().iter();
        series.map(|series| (series["metric"].to_string(), last(series))).collect()
    }
}

/// A text as a parameter of an address.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// An expression with the values that Grafana puts in: all jobs, all servers.
fn filled(expression: &str) -> String {
    let filled = expression.replace("$job", ".*").replace("$instance", ".*");
    let filled = filled.replace("$__rate_interval", "1m");
    assert!(!filled.contains('$'), "{filled}: a variable is not known");
    filled
}

/// The metrics that an expression names.
fn metrics(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("ogrt_") || word.starts_with("process_") || *word == "up").collect()
}

const OUTPUT_THAT_FAILS: &str =
    "[outputs.search]\ntype = \"elasticsearch\"\nurls = [\"http://127.0.0.1:1\"]\n";

#[test]
fn each_query_of_the_health_dashboard_has_the_right_answer() {
    let mut daemon = Daemon::start(OUTPUT_THAT_FAILS);
    let Some(prometheus) = Prometheus::start(&daemon.http) else { return };
    wait_for("the first reading", || (prometheus.now("ogrt_events_received_total").len() == 1).then_some(()));
    // Rates need several readings with something new in each.
    let readings = |prometheus: &Prometheus| {
        let counted = prometheus.now("count_over_time(ogrt_events_received_total[1m])");
        counted.values().next().copied().unwrap_or_default()
    };
    let mut number = 0;
    while readings(&prometheus) < 15.0 {
        send(&daemon, starts(31, number..number + 50));
        number += 50;
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for("a failed attempt", || {
        (daemon.metric("ogrt_output_retries_total{output=\"search\"}") > 0).then_some(())
    });
    wait_for("Prometheus to know it", || {
        let retries = prometheus.now("rate(ogrt_output_retries_total{output=\"search\"}[1m])");
        retries.values().any(|value| *value > 0.0).then_some(())
    });

    let exposed = String::from_utf8(daemon.http("GET", "/metrics", &[]).1).unwrap();
    let board = board("health");
    let mut answers = BTreeMap::new();
    for (title, target) in queries(&board) {
        let expression = filled(target["expr"].as_str().unwrap());
        let series = match target["instant"] == true {
            true => prometheus.now(&expression),
            false => prometheus.lately(&expression),
        };
        let mut named = metrics(&expression);
        assert!(!named.is_empty(), "{title}: {expression} asks for nothing of ours");
        named.retain(|name| *name != "up");
        for name in &named {
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            let head = format!("# TYPE {name} ");
            assert!(exposed.contains(&head), "{title}: the server has no metric {name}");
        }
        let has_sample = |name: &&str| {
            exposed
                .lines()
                .any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
        };
        let expected = named.iter().all(has_sample);
        assert_eq!(!series.is_empty(), expected, "{title}: {expression}: {series:?}");
        answers.insert((title, target["refId"].as_str().unwrap().to_owned()), series);
    }
    let answer = |title: &str, query: &str| &answers[&(title.to_owned(), query.to_owned())];
    let one = |title: &str| *answer(title, "A").values().next().unwrap();
    assert_eq!(one("Servers"), 1.0);
    assert_eq!(one("Outputs that fail"), 1.0, "{:?}", prometheus.now("ogrt_output_up"));
    assert_eq!(one("Events refused in an hour"), 0.0);
    assert!(one("Queue") > 0.0);
    assert!(one("Memory") > 1e6);
    assert!(one("Events received and queued") > 0.0);
    let written = answer("Documents written by output", "A");
    let of = |output: &str| *written.iter().find(|(labels, _)| labels.contains(output)).unwrap().1;
    assert!(of("\"lines\"") > 0.0 && of("\"search\"") == 0.0, "{written:?}");
    let lag = answer("Lag", "A").iter().find(|(labels, _)| labels.contains("\"search\"")).unwrap().1;
    assert!(*lag > 0.0);
    let durable = answer("From receipt until it is safe on disk", "B").values().next().unwrap();
    assert!(*durable > 0.0 && *durable < 60.0, "{durable}");
    assert!(answer("Senders over their share, in an hour", "A").is_empty());

    for variable in board["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"].as_str().unwrap().strip_prefix("label_values(") else { continue };
        let (selector, label) = query.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        let path = format!("/api/v1/label/{label}/values");
        let values = prometheus.ask(&path, &[("match[]", &filled(selector))]);
        assert_eq!(values.as_array().unwrap().len(), 1, "{query}");
    }

    daemon.stop();
    wait_for("the server to be seen as down", || {
        let servers = prometheus.now(&filled("min by (instance) (up{job=~\"$job\"})"));
        (servers.values().next() == Some(&0.0)).then_some(())
    });
}

#[test]
fn a_server_without_events_looks_well() {
    let daemon = Daemon::start("");
    let Some(prometheus) = Prometheus::start(&daemon.http) else { return };
    wait_for("the first reading", || (prometheus.now("ogrt_events_received_total").len() == 1).then_some(()));
    for (title, target) in queries(&board("health")) {
        if title == "Outputs that fail" {
            let expression = filled(target["expr"].as_str().unwrap());
            assert_eq!(prometheus.now(&expression).values().next(), Some(&0.0), "{expression}");
        }
    }
}
