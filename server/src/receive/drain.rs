//! The thread that drains UDP and the Unix sockets every few milliseconds.
//!
//! It sleeps a fixed time and waits on no socket, so no sender pays for waking it (measured: 30 us
//! less for each process). While nothing comes it sleeps longer. After [`SILENCE`] it does wait,
//! and an idle server costs nothing; then the first sender pays for all (`an_idle_server_sleeps`).

use super::{
    Arrivals, Intake,
    datagrams::{Udp, UnixDatagrams, headers},
    local_streams::{LocalStreams, StayingStream, make_way, open_to_all},
    observers::Observers,
};
use crate::{
    alarm::{SILENCE, SLEEP_MAX},
    config::Receive,
    follow::Receipts,
    priority,
    sockets::Sockets,
};
use anyhow::Result;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc::UnboundedSender};

/// Bytes taken from one socket before the others have their turn.
const TURN: usize = 512 * 1024;

/// Connections accepted before what they brought is queued, and their processes are watched. While
/// many processes start, a turn without such a bound would last for seconds.
const ACCEPTED_AT_ONCE: u64 = Receipts::AT_ONCE;

/// The time after the last event for which the short sleep is kept.
const BUSY: Duration = Duration::from_millis(500);

/// The sockets that are drained on a timer.
pub struct Drain {
    udp: Udp,
    unix: Option<(LocalStreams, UnixDatagrams)>,
    observers: Option<Observers>,
    paths: Vec<PathBuf>,
    intake: Intake,
    config: Receive,
}

impl Drain {
    /// Binds all of them.
    pub fn bind(
        listen: SocketAddr,
        unix: &Path,
        observe: &Path,
        config: &Receive,
        intake: Intake,
        staying: UnboundedSender<StayingStream>,
        sockets: &mut Sockets,
    ) -> Result<Self> {
        let udp = Udp::bind(sockets.udp.take(), listen, config)?;
        let mut paths = Vec::new();
        let unix = if unix.as_os_str().is_empty() {
            None
        } else {
            let datagram = datagram_path(unix);
            let (passed, passed_datagrams) = (sockets.unix.take(), sockets.datagrams.take());
            for (path, is_passed) in [(unix, passed.is_some()), (&datagram, passed_datagrams.is_some())] {
                // What was passed is the service manager's: its place, its mode, its end.
                if !is_passed {
                    make_way(path)?;
                    paths.push(path.to_owned());
                }
            }
            let pair = (
                LocalStreams::bind(passed, unix, staying)?,
                UnixDatagrams::bind(passed_datagrams, &datagram, &intake.follow)?,
            );
            for path in &paths {
                open_to_all(path)?;
            }
            Some(pair)
        };
        let observers = match sockets.observers.take() {
            Some(passed) => Some(Observers::passed(passed, intake.clone())?),
            None if observe.as_os_str().is_empty() => None,
            None => {
                paths.push(observe.to_owned());
                Some(Observers::bind(observe, intake.clone())?)
            }
        };
        Ok(Drain { udp, unix, observers, paths, intake, config: config.clone() })
    }

    /// The address for UDP: the port that TCP was given, if it is free there, too; else any.
    pub fn free_address(tcp: SocketAddr) -> SocketAddr {
        match std::net::UdpSocket::bind(tcp) {
            Ok(_) => tcp,
            Err(_) => SocketAddr::new(tcp.ip(), 0),
        }
    }

    /// The address where UDP is received.
    pub fn udp_address(&self) -> Result<SocketAddr> {
        self.udp.address()
    }

    /// Drains until the shutdown, and then what the kernel had taken by then. Runs in a thread of
    /// its own.
    pub fn run(mut self, runtime: &Handle) {
        // The backlog of thousands is full in a second.
        priority::put_in_front();
        let (shutdown, alarm) = (self.intake.shutdown.clone(), self.intake.alarm.clone());
        runtime.spawn(async move {
            shutdown.wait().await;
            alarm.ring();
        });
        let mut headers = headers();
        let mut last_event = Instant::now();
        // As much as came in the last turn comes in the next, more or less.
        let mut last_bytes = 0;
        loop {
            let ending = self.intake.shutdown.asked();
            let mut arrivals = Arrivals::default();
            arrivals.submission.entries.reserve(last_bytes);
            let more_udp = self.udp.drain(&mut headers, &self.intake, &mut arrivals, TURN);
            let (mut more_local, mut accepted) = (false, 0);
            if let Some((streams, datagrams)) = &mut self.unix {
                if ending {
                    streams.close();
                    datagrams.close();
                }
                accepted = streams.drain(&self.intake, &mut arrivals, TURN, ACCEPTED_AT_ONCE);
                more_local |= streams.may_have_more();
                // Where one link is registered, others follow.
                if streams.has_guests() {
                    last_event = Instant::now();
                }
                if datagrams.drain(&self.intake, &mut arrivals, TURN) {
                    (more_local, accepted) = (true, 0);
                }
            }
            if let Some(observers) = &mut self.observers {
                // After the others: what a process said of itself before its exec comes first.
                if observers.drain(&mut arrivals, TURN, ending) {
                    (more_local, accepted) = (true, 0);
                }
            }
            last_bytes = arrivals.submission.bytes();
            if !arrivals.submission.is_empty() {
                last_event = Instant::now();
                if self.intake.condition.takes_events() {
                    runtime.block_on(self.intake.submit(arrivals));
                } else {
                    // While the database is mended nobody else would count it.
                    self.intake.metrics.events_refused.add(arrivals.submission.entries.count());
                }
            }
            self.intake.receipts.have_come(accepted, !more_local);
            self.intake.drained.send_modify(|passes| *passes += 1);
            // UDP has no end that its senders could see.
            if ending && !more_local {
                break;
            }
            if more_udp || more_local {
                continue;
            }
            match last_event.elapsed() {
                silence if silence < BUSY => thread::sleep(self.config.poll_every.0),
                silence if silence < SILENCE => thread::sleep(self.config.idle_poll_every.0),
                _ => {
                    self.sleep();
                    last_event = Instant::now();
                }
            }
        }
        for path in &self.paths {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drain {
    /// Sleeps until something comes, or somebody wants the sockets to be looked at.
    fn sleep(&self) {
        let mut sockets = vec![self.udp.socket()];
        if let Some((streams, datagrams)) = &self.unix {
            sockets.extend([streams.socket(), datagrams.socket()]);
        }
        sockets.extend(self.observers.iter().flat_map(Observers::sockets));
        self.intake.alarm.sleep(&sockets, SLEEP_MAX);
    }
}

fn datagram_path(unix: &Path) -> PathBuf {
    let mut name = unix.as_os_str().to_owned();
    name.push(".dgram");
    PathBuf::from(name)
}
