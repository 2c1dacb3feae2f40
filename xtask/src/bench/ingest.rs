//! How many events the server takes without loss, with the join and the file output on.
//!
//! A generator on the same machine offers them at rising rates. A rate counts only when every event
//! that was sent is in the output afterwards.

use super::figure::Figure;
use crate::{
    child,
    cleanup::Scratch,
    daemon::{Daemon, Ports},
    steps::Step,
};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Rates that are offered, in events a second. The climb ends at the first that loses an event.
const RATES: [u64; 6] = [50_000, 100_000, 125_000, 150_000, 175_000, 200_000];

/// The budget's rate.
const BUDGET_RATE: u64 = 100_000;

/// Builds that are registered before. Each event names one of them, by one of its three objects.
const BUILDS: u64 = 100_000;

/// How long the server may take to write out what it has received.
const DRAIN: Duration = Duration::from_secs(60);

/// One flood and its result.
struct Run {
    sent: u64,
    written: u64,
    seconds: f64,
    /// Seconds between the last event sent and the last one written.
    behind_s: f64,
    resident_kib: u64,
}

impl Run {
    /// Events sent, a second.
    fn rate(&self) -> f64 {
        self.sent as f64 / self.seconds
    }
}

/// How long the server is flooded.
#[derive(Clone, Copy)]
pub struct Lengths {
    /// Seconds at each rate of the climb, and over TCP.
    pub climb_s: u64,
    /// Seconds at the budget's rate.
    pub budget_s: u64,
}

/// The share written at the budget's rate, memory, the highest rate without loss, and TCP with
/// acknowledgements.
pub fn figures(step: &Step, generator: &Path, prefix: &Path, lengths: Lengths) -> Result<Vec<Figure>> {
    let run =
        |transport: &str, rate: u64, seconds: u64| flood(step, generator, prefix, transport, rate, seconds);
    let at_budget = run("udp", BUDGET_RATE, lengths.budget_s)?;
    let mut highest = 0.0;
    for rate in RATES {
        let seen = run("udp", rate, lengths.climb_s)?;
        if seen.written < seen.sent {
            break;
        }
        // The rate that was sent: on few cores the generator falls behind the rate it was asked
        // for.
        highest = f64::max(highest, seen.rate());
    }
    let tcp = run("tcp", 0, lengths.climb_s)?;
    let share = 100.0 * at_budget.written as f64 / at_budget.sent.max(1) as f64;
    let figure = |what: &str, ours: String| Figure::plain(what, ours);
    Ok(vec![
        figure("UDP, written of those sent", format!("{share:.3} % of {:.0}/s", at_budget.rate()))
            .of("100 %"),
        figure(
            "the same, for how long, behind at its end",
            format!("{:.0} s, {:.1} s", at_budget.seconds, at_budget.behind_s),
        )
        .of("60 s"),
        figure("resident memory at its peak", format!("{} MB", at_budget.resident_kib * 1024 / 1_000_000))
            .of("200 MB"),
        figure("UDP, highest rate with none lost", format!("{highest:.0}/s for {} s", lengths.climb_s))
            .of("100000/s"),
        figure(
            "TCP, acknowledged, all of them written",
            format!("{:.0}/s of {:.0}/s", tcp.written.min(tcp.sent) as f64 / tcp.seconds, tcp.rate()),
        ),
    ])
}

/// One flood on a fresh server.
fn flood(
    step: &Step,
    generator: &Path,
    prefix: &Path,
    transport: &str,
    rate: u64,
    seconds: u64,
) -> Result<Run> {
    let scratch = Scratch::new()?;
    let mut server =
        Daemon::start(&prefix.join("bin/ogrt-server"), &scratch.folder("server")?, &Ports::one_for_both()?)?;
    let mut command = Command::new(generator);
    command.args(["--server", &server.tcp, "--transport", transport]);
    command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--builds", &BUILDS.to_string()]);
    let printed: Value = serde_json::from_str(&child::capture(&mut command)?)
        .context("the generator's last line is not JSON")?;
    let sent = printed["sent"].as_u64().context("the generator did not print `sent`")?;
    let ended = Instant::now();
    let (written, at) = drained(&server, sent)?;
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()))
        .context("cannot read the server's memory")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let run = Run {
        sent,
        written,
        seconds: printed["seconds"].as_f64().context("the generator did not print `seconds`")?,
        behind_s: at.duration_since(ended).as_secs_f64(),
        resident_kib: peak
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .context("/proc/PID/status has no VmHWM in kB")?,
    };
    step.say(&format!(
        "{transport}, {rate}/s offered: {} sent, {} written {:.1} s later, {} MB of memory",
        run.sent,
        run.written,
        run.behind_s,
        run.resident_kib * 1024 / 1_000_000
    ));
    Ok(run)
}

/// How many events were written in the end, and when the last one was. The end is when all that
/// were sent are written, or none has come for longer than the join waits.
fn drained(server: &Daemon, sent: u64) -> Result<(u64, Instant)> {
    let begin = Instant::now();
    let (mut written, mut grew) = (0, Instant::now());
    loop {
        let now = metric(server, "ogrt_events_written_total")?;
        if now > written {
            (written, grew) = (now, Instant::now());
        }
        // The join waits for 5 s: events that have not moved for longer are lost.
        if written >= sent || grew.elapsed() > Duration::from_secs(8) || begin.elapsed() > DRAIN {
            return Ok((written, grew));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The sum of a metric over its labels.
fn metric(server: &Daemon, name: &str) -> Result<u64> {
    let address = server.http.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .context("cannot send GET /metrics")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("cannot read the answer to GET /metrics")?;
    let values = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values: Vec<f64> = values.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    anyhow::ensure!(!values.is_empty(), "the answer to GET /metrics has no {name}");
    Ok(values.iter().sum::<f64>() as u64)
}
