//! What tests and documents look for in a site, by its name.

use super::{
    End, Numbers, Site,
    jobs::JobPlan,
    software::{Code, Origin},
};
use ogrt_proto::hex;
use serde_json::{Value, json};

/// Names of things that are in every site, whatever its seed and size. All jobs are lately.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    /// A job of alice on alpha. Rank 3 of GROMACS was ended by signal 11.
    pub failed_job: String,
    /// A job of bob on beta, which the kernel ended because memory was short.
    pub out_of_memory_job: String,
    /// A job of carol that the scheduler ended at its time limit.
    pub time_limit_job: String,
    /// A job of dave with very many ranks.
    pub large_job: String,
    /// How many ranks.
    pub large_job_ranks: u32,
    /// A job of ann that ended well: Python with packages.
    pub completed_job: String,
    /// A job that runs still.
    pub running_job: String,
    /// An array; its tasks are 1 to 8, and task 7 failed.
    pub array: String,
    /// Signatures of two builds of one program, the older one first.
    pub two_builds: [String; 2],
    /// The name of their software.
    pub two_builds_name: String,
    /// A library of which some programs have a version below the second text.
    pub old_library: (String, String),
    /// Signature of a library that many programs contain.
    pub contained_library: String,
    /// Path of a program that nobody registered, and that nothing explains.
    pub unknown_program: String,
    /// The user of hostile names.
    pub hostile_user: String,
}

/// Jobs of landmarks.
const FAILED: u64 = 4711;
const FAILED_YESTERDAY: u64 = 4710;
const OUT_OF_MEMORY: u64 = 4712;
const TIME_LIMIT: u64 = 4713;
const COMPLETED: u64 = 4714;
const RUNNING: u64 = 4715;
const HOSTILE: u64 = 4716;
const OLD_LIBRARY: u64 = 4717;
const UNKNOWN: u64 = 4718;
const LARGE: u64 = 5000;
const ARRAY: u64 = 80;

impl Landmarks {
    /// All of it for programs.
    pub fn json(&self) -> Value {
        json!({
            "failed_job": self.failed_job,
            "out_of_memory_job": self.out_of_memory_job,
            "time_limit_job": self.time_limit_job,
            "large_job": self.large_job,
            "large_job_ranks": self.large_job_ranks,
            "completed_job": self.completed_job,
            "running_job": self.running_job,
            "array": self.array,
            "two_builds": self.two_builds,
            "two_builds_name": self.two_builds_name,
            "old_library": self.old_library.0,
            "old_library_version_below": self.old_library.1,
            "contained_library": self.contained_library,
            "unknown_program": self.unknown_program,
            "hostile_user": self.hostile_user,
        })
    }
}

impl Site {
    /// The newest program of a code, of this user where each has a copy.
    fn newest(&self, name: &str, owner: Option<usize>) -> u32 {
        let is_it = |code: &Code| code.name == name;
        let found = self
            .programs
            .iter()
            .rposition(|program| is_it(program.code) && (owner.is_none() || program.owner == owner));
        found.expect("a code of the list") as u32
    }

    /// Adds jobs that are in every site, and says what there is to look for.
    pub(super) fn add_landmarks(&mut self, numbers: &mut Numbers) {
        let last = self.size.moments.len() as u32 - 1;
        let gromacs = self.newest("GROMACS", None);
        let plan = JobPlan {
            job: Some(FAILED),
            array: None,
            user: 0,
            account: 0,
            cluster: 0,
            partition: 0,
            nodes: 2,
            main: gromacs,
            ranks: 8,
            commands: 4,
            end: End::Signal(11),
            failing_rank: Some(3),
            start_moment: last.saturating_sub(4),
            end_moment: last.saturating_sub(1),
            is_claimed: false,
        };
        self.add_job(&plan, numbers);
        let yesterday = last.saturating_sub(8);
        let failed = JobPlan {
            job: Some(FAILED_YESTERDAY),
            end: End::Exit(2),
            ranks: 1,
            failing_rank: None,
            start_moment: yesterday,
            end_moment: yesterday,
            ..plan.clone()
        };
        self.add_job(&failed, numbers);
        let dense = JobPlan {
            job: Some(OUT_OF_MEMORY),
            user: 2,
            account: 2,
            cluster: 1,
            main: self.newest("CP2K", None),
            end: End::OutOfMemory,
            ..plan.clone()
        };
        self.add_job(&dense, numbers);
        let limit = JobPlan {
            job: Some(TIME_LIMIT),
            user: 3,
            account: 3,
            main: self.newest("WRF", None),
            end: End::Signal(15),
            failing_rank: None,
            ..plan.clone()
        };
        self.add_job(&limit, numbers);
        let python = JobPlan {
            job: Some(COMPLETED),
            user: 1,
            account: 1,
            main: self.newest("Python", None),
            ranks: 1,
            nodes: 1,
            end: End::Exit(0),
            failing_rank: None,
            ..plan.clone()
        };
        self.add_job(&python, numbers);
        let lately = JobPlan { start_moment: last.saturating_sub(1), end_moment: last, ..python.clone() };
        let running =
            JobPlan { job: Some(RUNNING), main: gromacs, ranks: 4, end: End::Open, ..lately.clone() };
        self.add_job(&running, numbers);
        let old =
            JobPlan { job: Some(OLD_LIBRARY), main: self.newest("heat2d", None), ranks: 4, ..lately.clone() };
        self.add_job(&old, numbers);
        let owner = 1;
        let unknown = self.newest("a.out", Some(owner));
        self.add_job(&JobPlan { job: Some(UNKNOWN), main: unknown, ..lately.clone() }, numbers);
        let large = JobPlan {
            job: Some(LARGE),
            user: 4,
            account: 4,
            main: self.newest("LAMMPS", None),
            ranks: self.size.ranks,
            nodes: self.size.ranks.div_ceil(64),
            ..python.clone()
        };
        self.add_job(&large, numbers);
        for task in 1..=8 {
            let task_plan = JobPlan {
                job: Some(ARRAY + u64::from(task)),
                array: Some((ARRAY, task)),
                main: self.newest("SAMtools", None),
                end: if task == 7 { End::Exit(2) } else { End::Exit(0) },
                ..lately.clone()
            };
            self.add_job(&task_plan, numbers);
        }
        let hostile = |code: &Code| code.origin == Origin::Hostile || code.name.starts_with('<');
        let hostile: Vec<usize> =
            (0..self.programs.len()).filter(|index| hostile(self.programs[*index].code)).collect();
        for (index, main) in hostile.into_iter().enumerate() {
            let user = 11.min(self.size.users as u16 - 1);
            let job = HOSTILE * 100 + index as u64;
            let plan = JobPlan { job: Some(job), user, main: main as u32, ..lately.clone() };
            self.add_job(&plan, numbers);
        }
        self.name_landmarks(gromacs, unknown);
    }

    fn name_landmarks(&mut self, gromacs: u32, unknown: u32) {
        let signature = |signature: &Option<bytes::Bytes>| text(signature.as_deref().unwrap_or_default());
        let contained = self.libraries.iter().rfind(|file| file.library.key == "OpenMPI");
        self.landmarks = Landmarks {
            failed_job: FAILED.to_string(),
            out_of_memory_job: OUT_OF_MEMORY.to_string(),
            time_limit_job: TIME_LIMIT.to_string(),
            large_job: LARGE.to_string(),
            large_job_ranks: self.size.ranks,
            completed_job: COMPLETED.to_string(),
            running_job: RUNNING.to_string(),
            array: ARRAY.to_string(),
            two_builds: [gromacs - 1, gromacs]
                .map(|index| signature(&self.programs[index as usize].signature)),
            two_builds_name: "GROMACS".to_owned(),
            old_library: ("zlib".to_owned(), "1.2".to_owned()),
            contained_library: contained.map(|file| signature(&file.signature)).unwrap_or_default(),
            unknown_program: self.programs[unknown as usize].path.clone(),
            hostile_user: super::user(11),
        };
    }
}

/// A signature as text.
fn text(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}
