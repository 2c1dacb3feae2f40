//! A site in a box: users, accounts, clusters, software and jobs that follow from a seed.
//!
//! ```no_run
//! use ogrt_load::site::{Site, Size};
//! let site = Site::new(20_261_130, Size::of_jobs(3000, 1_796_000_000));
//! println!("{} processes, such as {}", site.processes.len(), site.landmarks.failed_job);
//! ```
//!
//! A [`Site`] is a plain list of processes, with the programs, libraries and people that they name.
//! [`Filling`] sends it to a server. [`plain_sums`] adds up the same list, the plain way.

mod builds;
mod clock;
mod data_dir;
mod events;
mod filling;
mod jobs;
mod landmarks;
mod learned;
mod numbers;
mod people;
pub mod plain_sums;
mod programs;
mod software;
mod stream;

pub use clock::{FakeClock, now_s};
pub use data_dir::fill_data_dir;
pub use filling::{Addresses, Filling};
pub use landmarks::Landmarks;
pub use numbers::Numbers;
pub use people::{CLUSTERS, PARTITIONS, account, uid, user};
pub use programs::{LibraryFile, Program};
pub use software::{Code, Origin};
pub use stream::EventStream;

use bytes::Bytes;
use ogrt_proto::BuildRecord;

/// The size of a site.
#[derive(Clone, Debug)]
pub struct Size {
    /// How many users there are.
    pub users: usize,
    /// How many accounts there are, at most 30.
    pub accounts: usize,
    /// How many jobs there are.
    pub jobs: u64,
    /// Ranks of the largest job.
    pub ranks: u32,
    /// The moments at which events are received, in seconds of Unix time, in order. Events come
    /// within ten minutes before.
    pub moments: Vec<i64>,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The days of history: 14 months.
const DAYS: i64 = 425;

impl Size {
    /// A size of so many jobs in 14 months until `now_s`. A job has seven processes on average.
    ///
    /// A server takes 3000 of them in ten seconds.
    pub fn of_jobs(jobs: u64, now_s: i64) -> Size {
        let users = (jobs / 40).clamp(20, 200) as usize;
        let accounts = (users / 6).clamp(6, 30);
        let ranks = (jobs / 3).clamp(100, 20_000) as u32;
        Size { users, accounts, jobs, ranks, moments: history(now_s, 2, 8) }
    }

    /// Moments that are so far apart from each other.
    pub fn apart(users: usize, accounts: usize, jobs: u64, first_s: i64, steps: usize, step_s: i64) -> Size {
        let moments = (0..steps as i64).map(|step| first_s + step * step_s).collect();
        Size { users, accounts, jobs, ranks: 300, moments }
    }
}

/// Moments of 14 months, so many a day, and in the last two weeks more.
fn history(now_s: i64, a_day: i64, lately: i64) -> Vec<i64> {
    let lately_s = now_s - 14 * DAY;
    let early =
        (0..).map(|step| now_s - DAYS * DAY + step * (DAY / a_day)).take_while(|time| *time < lately_s);
    let late = (0..).map(|step| lately_s + step * (DAY / lately)).take_while(|time| *time < now_s);
    early.chain(late).chain([now_s]).collect()
}

/// A process, with everything that answers may say of it.
#[derive(Clone, Debug)]
pub struct SiteProcess {
    /// Its number in the list.
    pub number: u64,
    /// The program, by its index.
    pub program: u32,
    /// The main program of its job, whose modules are loaded.
    pub main: u32,
    /// The user, by number.
    pub user: u16,
    /// The account, by number.
    pub account: u8,
    /// The cluster, by number.
    pub cluster: u8,
    /// The partition of this cluster, by number.
    pub partition: u8,
    /// `None` outside of jobs.
    pub job: Option<u64>,
    /// The array that the job is a task of, and the number of the task.
    pub array: Option<(u64, u32)>,
    /// Nodes of the job.
    pub nodes: u32,
    /// Tasks of the job.
    pub tasks: u32,
    /// Time of the start, in nanoseconds of Unix time.
    pub start_ns: i64,
    /// Time of the end.
    pub end_ns: i64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// How it ended.
    pub end: End,
    /// The moment at which its start is received.
    pub start_moment: u32,
    /// The moment at which its end is.
    pub end_moment: u32,
    /// Its rank, and the number of ranks.
    pub rank: Option<(u32, u32)>,
    /// The process that started it, by its number.
    pub parent: Option<u64>,
    /// No kernel proved it: it came over a network.
    pub is_claimed: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Exit(u8),
    /// This signal ended it.
    Signal(u8),
    /// The kernel killed it, because memory was short.
    OutOfMemory,
    /// It went on as another program.
    Exec,
    /// Nobody saw how.
    Unseen,
    /// No end is known.
    Open,
}

/// A site.
pub struct Site {
    /// Its size.
    pub size: Size,
    /// All files of libraries.
    pub libraries: Vec<LibraryFile>,
    /// All programs.
    pub programs: Vec<Program>,
    /// All processes, in the order of their jobs.
    pub processes: Vec<SiteProcess>,
    /// What tests and documents may look for.
    pub landmarks: Landmarks,
}

impl Site {
    /// A site that follows from the seed and the size.
    pub fn new(seed: u64, size: Size) -> Site {
        let libraries = programs::libraries();
        let programs = programs::programs(&libraries, size.users);
        let mut site =
            Site { libraries, programs, processes: Vec::new(), landmarks: Landmarks::default(), size };
        let mut numbers = Numbers::of(seed);
        site.add_jobs(&mut numbers);
        site.add_landmarks(&mut numbers);
        site
    }

    /// Records of all builds that are registered.
    pub fn builds(&self) -> Vec<BuildRecord> {
        builds::records(self)
    }

    /// What is learned of files that nobody registered: the body of `POST /v1/learned`.
    pub fn learned(&self) -> String {
        learned::body(self)
    }

    /// Frames with the start of a process, and with its end where it has one.
    pub fn frames(&self, process: &SiteProcess) -> (Bytes, Option<Bytes>) {
        (events::start(self, process), events::end(self, process))
    }

    /// The program of a process.
    pub fn program(&self, process: &SiteProcess) -> &Program {
        &self.programs[process.program as usize]
    }

    /// Environment modules of a process.
    pub fn modules(&self, process: &SiteProcess) -> Vec<String> {
        self.programs[process.main as usize].modules()
    }

    /// What is received at each moment: of each process the start, and its end.
    pub fn by_moment(&self) -> Vec<(Vec<&SiteProcess>, Vec<&SiteProcess>)> {
        let mut moments = vec![(Vec::new(), Vec::new()); self.size.moments.len()];
        for process in &self.processes {
            moments[process.start_moment as usize].0.push(process);
            moments[process.end_moment as usize].1.push(process);
        }
        moments
    }
}
