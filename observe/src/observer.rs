//! The observer: one loop that waits for the kernel, and hands on to the server.

use crate::{
    capabilities::{self, Right},
    complaints::Complaints,
    cpu_share::CpuShare,
    ends::EndWatch,
    exec_events::ExecEventSocket,
    file_facts::FileCache,
    objects::ObjectWatch,
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
    fs, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Time between two looks while one is due, and while nothing is.
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(1);

/// The time in which something is done: the loop comes round each second.
const STANDSTILL: Duration = Duration::from_secs(30);

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
    /// What processes load, and which GPUs they use, is told.
    pub tells_objects: bool,
    /// What processes have used is told at their ends.
    pub tells_ends: bool,
}

/// See the module.
pub struct Observer {
    execs: ExecEventSocket,
    starts: Option<StartWatch>,
    objects: Option<ObjectWatch>,
    ends: Option<EndWatch>,
    files: FileCache,
    server: ServerLink,
    cpu: CpuShare,
    ends_problem: Option<io::Error>,
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
        let execs = ExecEventSocket::listen().context("cannot hear of execs (needs CAP_NET_ADMIN)")?;
        let mut rights = vec![Right::MarkFilesystems, Right::ReadProcesses];
        let (selection, names) = (config.selection, config.job_id_variables);
        let (ends, ends_problem) = match config.tells_ends.then(|| EndWatch::open(selection.users.clone())) {
            Some(Ok(ends)) => (Some(ends), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let starts = match config.tells_starts {
            true => Some(StartWatch::open(selection.clone(), names.clone()).context("starts")?),
            false => None,
        };
        let objects = config.tells_objects.then(|| ObjectWatch::new(selection, names));
        if fs::metadata(&config.server).is_ok_and(|socket| socket.uid() != 0) {
            rights.push(Right::ConnectToOthers);
        }
        capabilities::keep_only(&rights).context("cannot give up rights")?;
        Ok(Observer {
            execs,
            starts,
            objects,
            ends,
            files: FileCache::default(),
            server: ServerLink::new(config.server),
            cpu: CpuShare::new(config.cpu_percent),
            ends_problem,
            complaints: Complaints::default(),
        })
    }

    /// The reason why ends are not told though they should be: CPU time and memory are by samples.
    pub fn ends_problem(&self) -> Option<&io::Error> {
        self.ends_problem.as_ref()
    }

    /// Observes until something fails that cannot be mended.
    pub fn run(mut self) -> Result<()> {
        let mut tidied = Instant::now();
        let progress = watch_progress()?;
        loop {
            progress.fetch_add(1, Ordering::Relaxed);
            self.wait()?;
            self.look()?;
            if tidied.elapsed() > LATER {
                tidied = Instant::now();
                self.starts.iter_mut().for_each(|starts| starts.tidy(&mut self.server));
                self.objects.iter_mut().for_each(ObjectWatch::tidy);
            }
            let was_connected = self.server.is_connected();
            match self.server.flush() {
                Ok(()) if !was_connected && self.server.is_connected() => {
                    eprintln!("ogrt-observe: the server answers");
                    self.objects.iter_mut().for_each(ObjectWatch::begin_anew);
                    self.ends.iter().for_each(|ends| ends.announce(&mut self.server));
                }
                Ok(()) => {}
                Err(problem) => self.complaints.say(&format!("the server cannot be reached: {problem}")),
            }
            if let Some(rest) = self.cpu.rest() {
                thread::sleep(rest);
            }
        }
    }

    /// Takes what the kernel has told, and looks at what is due.
    fn look(&mut self) -> Result<()> {
        // Before the execs, so that the exec of each process that has ended is read as well.
        if let Some(ends) = &mut self.ends {
            ends.read(&mut self.server).context("the kernel's accounting of tasks")?;
        }
        let told = self.execs.read().context("the kernel's process connector")?;
        if told.overflows > 0 {
            self.server.add_lost(told.overflows);
            self.complaints.say("the kernel's queue of execs was full: a larger --cpu-percent helps");
            self.ends.iter_mut().for_each(EndWatch::lost_execs);
        }
        // First, because what was used before an exec is looked at.
        if let Some(ends) = &mut self.ends {
            ends.run(&told.execs, told.is_all, &mut self.server);
        }
        if let Some(starts) = &mut self.starts {
            starts.run(&told.execs, &mut self.files, &mut self.server);
        }
        if let Some(objects) = &mut self.objects {
            objects.executed(&told.execs);
            objects.run(&mut self.files, &mut self.server);
        }
        Ok(())
    }

    /// Waits until something is to be done.
    fn wait(&mut self) -> Result<()> {
        let mut descriptors = vec![PollFd::new(&self.execs, PollFlags::IN)];
        let mut patience = self.objects.as_ref().and_then(ObjectWatch::wait).unwrap_or(LATER).min(LATER);
        if let Some(starts) = &self.starts {
            descriptors.push(PollFd::from_borrowed_fd(starts.descriptor(), PollFlags::IN));
            if starts.is_undecided() {
                patience = patience.min(SOON);
            }
        }
        if let Some(ends) = &self.ends {
            descriptors.push(PollFd::from_borrowed_fd(ends.descriptor(), PollFlags::IN));
            if ends.is_undecided() {
                patience = patience.min(SOON);
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

/// Ends this program when it stands still: a process can have its arguments in a file of a
/// filesystem that never answers. The service manager then starts a new one.
fn watch_progress() -> Result<Arc<AtomicU64>> {
    let progress = Arc::new(AtomicU64::new(0));
    let watched = progress.clone();
    let watch = move || {
        let mut before = 0;
        loop {
            thread::sleep(STANDSTILL);
            let now = watched.load(Ordering::Relaxed);
            if now == before {
                eprintln!("ogrt-observe: it stood still for {} s, and ends", STANDSTILL.as_secs());
                std::process::exit(1);
            }
            before = now;
        }
    };
    thread::Builder::new().name("progress".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(progress)
}

fn is_in_namespace(name: &str, inode: u64) -> bool {
    fs::metadata(format!("/proc/self/ns/{name}")).is_ok_and(|namespace| namespace.ino() == inode)
}
