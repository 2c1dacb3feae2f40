//! The job around this process, as the environment describes it: scheduler, MPI, modules,
//! container.
//!
//! One pass over the environment finds everything but the job id. Where several variables mean the
//! same, the order below counts: the MPI library's own launcher comes before the scheduler.

use crate::{glob, literal, path_buffer::PathBuffer, process::Process, settings::split};

/// The fields of an event that come from the environment; empty where the environment has none.
#[derive(Default)]
pub struct Surroundings {
    /// The job id, by OGRT_JOBID_VARS.
    pub job_id: &'static [u8],
    /// The cluster whose scheduler gave the job id.
    pub cluster: &'static [u8],
    /// Step of the job.
    pub job_step: &'static [u8],
    /// Index in a job array.
    pub array_index: &'static [u8],
    /// Rank in MPI_COMM_WORLD.
    pub mpi_rank: Option<u32>,
    /// Size of MPI_COMM_WORLD.
    pub mpi_size: Option<u32>,
    /// The launch that the rank belongs to.
    pub launch: Launch,
    /// Name or kind of the container.
    pub container: &'static [u8],
    /// The value of LOADEDMODULES.
    pub modules: &'static [u8],
    /// The value of _LMFILES_.
    pub module_files: &'static [u8],
    /// The value of LD_PRELOAD.
    pub preload: &'static [u8],
    /// The value of LD_AUDIT.
    pub audit: &'static [u8],
}

/// What the launcher calls a launch: the pieces of its name, the launcher's kind first. A kind
/// alone stands for launchers that name none, but start each rank themselves.
#[derive(Clone, Copy, Default)]
pub struct Launch([&'static [u8]; 4]);

impl Launch {
    const HYDRA: Launch = Launch([b"hydra", b"", b"", b""]);

    fn named(kind: &'static [u8], name: &'static [u8]) -> Self {
        if name.is_empty() { Launch::default() } else { Launch([kind, name, b"", b""]) }
    }

    /// A step of Slurm, unless the number is one of those that stand for what is no step: a batch
    /// script, an interactive shell.
    fn step(job: &'static [u8], step: &'static [u8]) -> Self {
        const FIRST_SPECIAL: u32 = 0xFFFF_FFF0;
        match literal::number(step, 10, u32::MAX) {
            Some(number) if number < FIRST_SPECIAL => Launch([b"slurm:", job, b".", step]),
            _ => Launch::default(),
        }
    }

    /// True if only the proxy that starts the ranks knows more.
    pub fn is_by_proxy(&self) -> bool {
        self.0 == Self::HYDRA.0
    }

    /// The pieces of its name; `None` where no launch is known.
    pub fn pieces(&self) -> Option<&[&'static [u8]]> {
        (!self.0[0].is_empty()).then_some(&self.0)
    }
}

/// The value with the lowest rank so far; of two with the same rank the first.
#[derive(Clone, Copy)]
struct Best {
    rank: usize,
    value: &'static [u8],
}

impl Best {
    const NONE: Best = Best { rank: usize::MAX, value: &[] };

    fn offer(&mut self, rank: usize, value: &'static [u8]) {
        if rank < self.rank && !value.is_empty() {
            *self = Best { rank, value };
        }
    }

    fn number(self) -> Option<u32> {
        literal::number(self.value, 10, u32::MAX)
    }
}

impl Surroundings {
    /// Reads the fields.
    pub fn read(process: &Process, job_id_variables: &[u8]) -> Self {
        let mut found = Surroundings::default();
        let [mut cluster, mut step, mut array, mut rank, mut size, mut container] = [Best::NONE; 6];
        let [mut pmix, mut pmi, mut flux, mut slurm_job, mut intel, mut group] = [Best::NONE; 6];
        let mut is_hydra = false;
        for entry in process.environment {
            let Some((name, value)) = split(entry) else { continue };
            match name {
                b"OGRT_CLUSTER" => cluster.offer(0, value),
                b"SLURM_CLUSTER_NAME" => cluster.offer(1, value),
                b"SLURM_STEP_ID" => step.offer(0, value),
                b"SLURM_STEPID" => step.offer(1, value),
                b"SLURM_ARRAY_TASK_ID" => array.offer(0, value),
                b"PBS_ARRAY_INDEX" => array.offer(1, value),
                b"PBS_ARRAYID" => array.offer(2, value),
                // LSF and Grid Engine set these outside arrays too, to a word that is not an index.
                b"LSB_JOBINDEX" if value != b"0" => array.offer(3, value),
                b"SGE_TASK_ID" if value != b"undefined" => array.offer(4, value),
                b"OMPI_COMM_WORLD_RANK" => rank.offer(0, value),
                b"PMIX_RANK" => rank.offer(1, value),
                b"PMI_RANK" => rank.offer(2, value),
                b"MV2_COMM_WORLD_RANK" => rank.offer(3, value),
                b"FLUX_TASK_RANK" => rank.offer(4, value),
                b"PALS_RANKID" => rank.offer(5, value),
                b"SLURM_PROCID" => rank.offer(6, value),
                b"OMPI_COMM_WORLD_SIZE" => size.offer(0, value),
                b"PMIX_SIZE" => size.offer(1, value),
                b"PMI_SIZE" => size.offer(2, value),
                b"MV2_COMM_WORLD_SIZE" => size.offer(3, value),
                b"FLUX_JOB_SIZE" => size.offer(4, value),
                b"SLURM_STEP_NUM_TASKS" => size.offer(5, value),
                b"SLURM_NTASKS" => size.offer(6, value),
                b"PMIX_NAMESPACE" => pmix.offer(0, value),
                b"OMPI_MCA_ess_base_jobid" => pmix.offer(1, value),
                b"PMI_JOBID" => pmi.offer(0, value),
                b"PALS_APID" => pmi.offer(1, value),
                b"FLUX_JOB_ID" => flux.offer(0, value),
                b"SLURM_JOB_ID" => slurm_job.offer(0, value),
                b"SLURM_JOBID" => slurm_job.offer(1, value),
                b"MPI_LOCALRANKID" => is_hydra = true,
                b"I_MPI_HYDRA_UUID" => intel.offer(0, value),
                b"HYDRA_BSTRAP_PGID" => group.offer(0, value),
                b"APPTAINER_CONTAINER" => container.offer(0, value),
                b"SINGULARITY_CONTAINER" => container.offer(1, value),
                b"APPTAINER_NAME" => container.offer(2, value),
                b"SINGULARITY_NAME" => container.offer(3, value),
                b"SARUS_CONTAINER" | b"CH_RUNNING" => container.offer(4, name),
                // systemd-nspawn, Podman and others set it to their name.
                b"container" => container.offer(5, value),
                b"KUBERNETES_SERVICE_HOST" => container.offer(6, b"kubernetes"),
                b"LOADEDMODULES" => found.modules = value,
                b"_LMFILES_" => found.module_files = value,
                b"LD_PRELOAD" => found.preload = value,
                b"LD_AUDIT" => found.audit = value,
                _ => {}
            }
        }
        // Name by name: most variables differ at their first byte, so this costs less than a look
        // into the list for each variable.
        found.job_id = glob::entries(job_id_variables)
            .find_map(|name| process.variable(name).filter(|value| !value.is_empty()))
            .unwrap_or_default();
        found.cluster = cluster.value;
        found.job_step = step.value;
        found.array_index = array.value;
        found.mpi_rank = rank.number();
        found.mpi_size = size.number();
        // By the variable that the rank is from: a launcher within a step has the step's, too.
        found.launch = match rank.rank {
            0 | 1 => Launch::named(b"pmix:", pmix.value),
            2 if is_hydra && !intel.value.is_empty() => Launch([b"hydra:", intel.value, b".", group.value]),
            2 if is_hydra => Launch::HYDRA,
            2 if !pmi.value.is_empty() => Launch::named(b"pmi:", pmi.value),
            2 | 4 if !flux.value.is_empty() => Launch::named(b"flux:", flux.value),
            2 | 3 => Launch([b"pmi", b"", b"", b""]),
            5 => Launch::named(b"pmi:", pmi.value),
            6 => Launch::step(slurm_job.value, step.value),
            _ => Launch::default(),
        };
        found.container = container.value;
        found
    }

    /// Tells whether the user asked the loader for this loaded object.
    pub fn is_preloaded(&self, object: &[u8]) -> bool {
        let file_name = object.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let names = |list: &'static [u8]| list.split(|byte| matches!(byte, b':' | b' '));
        names(self.preload).chain(names(self.audit)).any(|name| match name.contains(&b'/') {
            true => is_expansion(name, object),
            false => !name.is_empty() && is_expansion(name, file_name),
        })
    }

    /// The loaded modules, each with its file where that is known.
    pub fn loaded_modules(&self) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
        let mut files = self.module_files.split(|&byte| byte == b':');
        self.modules
            .split(|&byte| byte == b':')
            .map(move |name| (name, files.next().unwrap_or_default()))
            .filter(|(name, _)| !name.is_empty())
    }
}

/// Tells whether the loader may have made this path of a name in which `$LIB`, `${ORIGIN}` and
/// their like stand for text that only the loader knows (ld.so(8)).
fn is_expansion(name: &[u8], path: &[u8]) -> bool {
    const TOKENS: [&[u8]; 6] = [b"LIB", b"ORIGIN", b"PLATFORM", b"{LIB}", b"{ORIGIN}", b"{PLATFORM}"];
    if !name.contains(&b'$') {
        return name == path;
    }
    let mut pattern = PathBuffer::new();
    for (at, part) in name.split(|&byte| byte == b'$').enumerate() {
        let after = TOKENS.iter().find_map(|token| part.strip_prefix(*token)).filter(|_| at > 0);
        let pieces: [&[u8]; 2] = match (at, after) {
            (0, _) => [b"", part],
            (_, Some(after)) => [b"*", after],
            (_, None) => [b"$", part],
        };
        if pieces.into_iter().any(|piece| pattern.push(piece).is_none()) {
            return false;
        }
    }
    glob::matches(pattern.as_bytes(), path)
}
