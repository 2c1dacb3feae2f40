//! The observer: one loop that waits for the kernel, and hands on to the server.

use crate::{
    capabilities::{self, Right},
    complaints::Complaints,
    cpu_share::CpuShare,
    process_directory::{FIRST_PID_NAMESPACE, FIRST_USER_NAMESPACE},
    scheduling,
    selection::Selection,
    server_link::ServerLink,
    starts::StartWatch,
};
use anyhow::{Context, Result, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// Time between two looks while one is due, and while nothing is.
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(1);

/// What the observer does, and for whom.
#[derive(Clone, Debug)]
pub struct ObserverConfig {
    /// The server's socket.
    pub server: PathBuf,
    /// The processes that are looked at.
    pub selection: Selection,
    /// Names of the variables that hold a job's id.
    pub job_id_variables: String,
    /// Processor time, in percent of one processor.
    pub cpu_percent: u32,
    /// It goes before ordinary processes, by real-time scheduling.
    pub in_real_time: bool,
    /// Starts of static and setuid programs are told.
    pub tells_starts: bool,
}

/// See the module.
pub struct Observer {
    starts: Option<StartWatch>,
    server: ServerLink,
    cpu: CpuShare,
    complaints: Complaints,
}

impl Observer {
    /// Opens what the parts need, and gives up every right that is not needed from then on.
    pub fn open(config: ObserverConfig) -> Result<Self> {
        ensure!(
            is_in_namespace("pid", FIRST_PID_NAMESPACE) && is_in_namespace("user", FIRST_USER_NAMESPACE),
            "it runs on the machine itself, not in a container: numbers of processes would be others'"
        );
        scheduling::hurry(config.in_real_time);
        let files = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files });
        let mut rights = Vec::new();
        let mut starts = None;
        if config.tells_starts {
            starts = Some(StartWatch::open(config.selection, config.job_id_variables).context("starts")?);
            rights.extend([Right::MarkFilesystems, Right::ReadProcesses]);
        }
        if fs::metadata(&config.server).is_ok_and(|socket| socket.uid() != 0) {
            rights.push(Right::ConnectToOthers);
        }
        capabilities::keep_only(&rights).context("cannot give up rights")?;
        Ok(Observer {
            starts,
            server: ServerLink::new(config.server),
            cpu: CpuShare::new(config.cpu_percent),
            complaints: Complaints::default(),
        })
    }

    /// Observes until something fails that cannot be mended.
    pub fn run(mut self) -> Result<()> {
        let mut tidied = Instant::now();
        loop {
            self.wait()?;
            if let Some(starts) = &mut self.starts {
                starts.run(&mut self.server)?;
                if tidied.elapsed() > LATER {
                    starts.tidy(&mut self.server);
                    tidied = Instant::now();
                }
            }
            let was_connected = self.server.is_connected();
            match self.server.flush() {
                Ok(()) if !was_connected && self.server.is_connected() => {
                    eprintln!("ogrt-observe: the server answers");
                }
                Ok(()) => {}
                Err(problem) => self.complaints.say(&format!("the server cannot be reached: {problem}")),
            }
            if let Some(rest) = self.cpu.rest() {
                thread::sleep(rest);
            }
        }
    }

    /// Waits until something is to be done.
    fn wait(&mut self) -> Result<()> {
        let mut descriptors = Vec::with_capacity(3);
        let mut patience = LATER;
        if let Some(starts) = &self.starts {
            descriptors.extend(starts.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            if starts.is_undecided() {
                patience = SOON;
            }
        }
        let watched = descriptors.len();
        if let Some(socket) = self.server.socket() {
            // That it is gone is told in any case.
            let wish = if self.server.has_waiting() { PollFlags::OUT } else { PollFlags::empty() };
            descriptors.push(PollFd::from_borrowed_fd(socket, wish));
        }
        let patience =
            Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
        match poll(&mut descriptors, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(problem) => return Err(problem).context("cannot wait for the kernel"),
        }
        let is_gone = descriptors
            .get(watched)
            .is_some_and(|server| server.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        if is_gone {
            self.server.disconnect();
        }
        Ok(())
    }
}

fn is_in_namespace(name: &str, inode: u64) -> bool {
    fs::metadata(format!("/proc/self/ns/{name}")).is_ok_and(|namespace| namespace.ino() == inode)
}
