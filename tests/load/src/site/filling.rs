//! A site on its way into a server: builds, learned files, and each event at its time.

use super::{EventStream, FakeClock, Site, plain_sums::date};
use anyhow::{Result, ensure};
use ogrt_proto::{MessageType, encode_frame};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

/// The addresses of a server.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Host and port for TCP.
    pub tcp: String,
    /// Host and port of the HTTP API.
    pub http: String,
}

/// The largest step of the clock, in seconds. A server follows a day at once, so it may miss one.
const STEP_MAX_S: i64 = 40_000;

/// The time until a server knows a new token.
const TOKEN_PATIENCE: Duration = Duration::from_secs(20);

/// A server that is filled with a site. It runs with the clock's environment.
pub struct Filling<'a> {
    /// The site.
    pub site: &'a Site,
    /// The server.
    pub server: Addresses,
    /// A token of the server with the scopes register, relay and administer.
    pub token: String,
    /// The server's clock.
    pub clock: &'a FakeClock,
}

impl Filling<'_> {
    /// Sets the clock to the time at which the server must start.
    pub fn begin(site: &Site, clock: &FakeClock) -> Result<()> {
        clock.set(site.size.moments[0])
    }

    /// Sends everything. Afterwards the server has counted it, and its clock is right.
    pub fn run(&self) -> Result<()> {
        let first_s = self.site.size.moments[0];
        self.check_clock(first_s)?;
        self.learn()?;
        let mut proved = EventStream::connect(&self.server.tcp, Some(&self.token))?;
        let mut claimed = EventStream::connect(&self.server.tcp, None)?;
        let mut builds = self.site.builds();
        builds.sort_by_key(|record| record.time_ns());
        let mut builds = builds.into_iter().peekable();
        let mut now_s = first_s;
        for ((starts, ends), moment_s) in self.site.by_moment().into_iter().zip(&self.site.size.moments) {
            while now_s < *moment_s {
                now_s = (*moment_s).min(now_s + STEP_MAX_S);
                self.clock.set(now_s)?;
                // A server follows a step when it looks at its clock. Two steps at once could be a
                // jump, which it would not believe.
                EventStream::greet(&self.server.tcp)?;
            }
            while let Some(record) = builds.next_if(|record| record.time_ns() <= now_s * 1_000_000_000) {
                proved.send(&encode_frame(MessageType::BuildRecord, &record))?;
            }
            for process in starts {
                let stream = if process.is_claimed { &mut claimed } else { &mut proved };
                stream.send(&self.site.frames(process).0)?;
            }
            for process in ends {
                let stream = if process.is_claimed { &mut claimed } else { &mut proved };
                if let Some(end) = self.site.frames(process).1 {
                    stream.send(&end)?;
                }
            }
            proved.flush()?;
            claimed.flush()?;
        }
        self.check_clock(now_s)?;
        self.clock.set_true()?;
        self.wait_until_counted()
    }

    /// Fails where the server has another day. Some minutes may have passed since that time.
    fn check_clock(&self, time_s: i64) -> Result<()> {
        let answer = self.get("/v1/report?by=")?;
        let has = |time_s: i64| {
            let day = date(time_s * 1_000_000_000);
            answer.contains(&format!("\"last_day\":\"{day}\""))
        };
        ensure!(
            has(time_s) || has(time_s + 600),
            "the server does not see the time {time_s}; is it linked statically? {answer}"
        );
        Ok(())
    }

    /// Teaches the server what nobody registered; waits until it knows the token.
    pub fn learn(&self) -> Result<()> {
        let body = self.site.learned();
        let request = format!(
            "POST /v1/learned HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let since = Instant::now();
        loop {
            let answer = self.http(&request)?;
            let head = answer.lines().next().unwrap_or_default().to_owned();
            if head.contains(" 200 ") {
                return Ok(());
            }
            // A new token is known after some seconds.
            ensure!(head.contains(" 401 ") && since.elapsed() < TOKEN_PATIENCE, "cannot learn: {answer}");
            sleep(Duration::from_millis(50));
        }
    }

    fn wait_until_counted(&self) -> Result<()> {
        let since = Instant::now();
        let expected = format!("\"processes\":{},", self.site.processes.len());
        loop {
            let answer = self.get("/v1/report?by=")?;
            let total = answer.split("\"total\":").nth(1).unwrap_or_default();
            if total.split('}').next().unwrap_or_default().contains(&expected)
                && !answer.contains("counted_until_ns")
            {
                return Ok(());
            }
            ensure!(
                since.elapsed() < Duration::from_secs(120),
                "the server counts other processes: {answer}"
            );
            sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, path: &str) -> Result<String> {
        self.http(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    fn http(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.server.http)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
