//! The job around a process, by the variables of its environment that libogrt.so sends as well.
//!
//! Of all other variables nothing is kept, not even their names. The order in which variables count
//! is that of `preload/src/variables.rs`; the test `the_library_reads_the_same_variables` holds
//! both together.

/// The names of variables that hold the job's id, unless the command line names others.
pub const JOB_ID_VARIABLES: &str = "SLURM_JOB_ID:PBS_JOBID:LSB_JOBID:FLUX_JOB_ID:JOB_ID:JOBID";

/// The fields of a start that come from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobVariables {
    /// The job's id; empty outside of jobs.
    pub job_id: Vec<u8>,
    /// The cluster whose scheduler gave it.
    pub cluster: Vec<u8>,
    /// Step of the job.
    pub job_step: Vec<u8>,
    /// Index in a job array.
    pub array_index: Vec<u8>,
    /// Id of the array, where its tasks have ids of their own.
    pub array_job: Vec<u8>,
    /// Rank in MPI_COMM_WORLD.
    pub mpi_rank: Option<u32>,
    /// Size of MPI_COMM_WORLD.
    pub mpi_size: Option<u32>,
    /// The launch that the rank belongs to.
    pub launch: Vec<u8>,
    /// Who pays for the job, and where it runs.
    pub account: Vec<u8>,
    pub partition: Vec<u8>,
    /// Nodes and tasks of the job, and CPUs of each task.
    pub nodes: Option<u32>,
    pub tasks: Option<u32>,
    pub cpus_per_task: Option<u32>,
    /// The GPUs that it may see.
    pub visible_gpus: Vec<u8>,
    /// OMP_NUM_THREADS.
    pub threads: Vec<u8>,
    /// CONDA_PREFIX and VIRTUAL_ENV.
    pub conda_prefix: Vec<u8>,
    pub virtual_environment: Vec<u8>,
    /// Name or kind of the container.
    pub container: Vec<u8>,
    /// The loaded modules, each with its file, which may be empty.
    pub modules: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Most modules that are told.
const MODULES_MAX: usize = 1024;

/// Longest value that is taken: a longer one is no name.
const VALUE_MAX: usize = 4096;

/// The value with the lowest rank so far; of two with the same rank the first.
#[derive(Clone, Copy)]
struct Best<'a> {
    rank: usize,
    value: &'a [u8],
}

impl<'a> Best<'a> {
    const NONE: Best<'static> = Best { rank: usize::MAX, value: &[] };

    fn offer(&mut self, rank: usize, value: &'a [u8]) {
        if rank < self.rank && !value.is_empty() && value.len() <= VALUE_MAX {
            *self = Best { rank, value };
        }
    }

    fn number(self) -> Option<u32> {
        str::from_utf8(self.value).ok()?.parse().ok()
    }
}

impl JobVariables {
    /// Reads them from an environment: entries that end in NUL.
    pub fn read(environment: &[u8], job_id_variables: &str) -> Self {
        let [mut cluster, mut step, mut array, mut rank, mut size, mut container] = [Best::NONE; 6];
        let [mut pmix, mut pmi, mut flux, mut slurm_job, mut intel, mut group] = [Best::NONE; 6];
        let [mut account, mut partition, mut nodes, mut tasks, mut cpus_per_task, mut array_job] =
            [Best::NONE; 6];
        let [mut visible_gpus, mut threads, mut conda_prefix, mut virtual_environment] = [Best::NONE; 4];
        let (mut job, mut is_hydra) = (Best::NONE, false);
        let (mut modules, mut module_files): (&[u8], &[u8]) = (&[], &[]);
        let job_names: Vec<&str> = job_id_variables.split([':', ',', ' ']).collect();
        for entry in environment.split(|byte| *byte == 0) {
            let Some(at) = entry.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (&entry[..at], &entry[at + 1..]);
            if let Some(rank) = job_names.iter().position(|job_name| job_name.as_bytes() == name) {
                job.offer(rank, value);
            }
            match name {
                b"OGRT_CLUSTER" => cluster.offer(0, value),
                b"SLURM_CLUSTER_NAME" => cluster.offer(1, value),
                b"SLURM_STEP_ID" => step.offer(0, value),
                b"SLURM_STEPID" => step.offer(1, value),
                b"SLURM_ARRAY_TASK_ID" => array.offer(0, value),
                b"SLURM_ARRAY_JOB_ID" => array_job.offer(0, value),
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
                b"container" => container.offer(5, value),
                b"KUBERNETES_SERVICE_HOST" => container.offer(6, b"kubernetes"),
                b"SLURM_JOB_ACCOUNT" => account.offer(0, value),
                b"LSB_PROJECT_NAME" => account.offer(1, value),
                b"SLURM_JOB_PARTITION" => partition.offer(0, value),
                b"PBS_QUEUE" => partition.offer(1, value),
                b"LSB_QUEUE" => partition.offer(2, value),
                b"SLURM_JOB_NUM_NODES" => nodes.offer(0, value),
                b"SLURM_NNODES" => nodes.offer(1, value),
                b"PBS_NUM_NODES" => nodes.offer(2, value),
                b"FLUX_JOB_NNODES" => nodes.offer(3, value),
                b"SLURM_NPROCS" => tasks.offer(0, value),
                b"PBS_NP" => tasks.offer(1, value),
                b"LSB_DJOB_NUMPROC" => tasks.offer(2, value),
                b"SLURM_CPUS_PER_TASK" => cpus_per_task.offer(0, value),
                b"CUDA_VISIBLE_DEVICES" => visible_gpus.offer(0, value),
                b"ROCR_VISIBLE_DEVICES" => visible_gpus.offer(1, value),
                b"HIP_VISIBLE_DEVICES" => visible_gpus.offer(2, value),
                b"ZE_AFFINITY_MASK" => visible_gpus.offer(3, value),
                b"SLURM_JOB_GPUS" => visible_gpus.offer(4, value),
                b"OMP_NUM_THREADS" => threads.offer(0, value),
                b"CONDA_PREFIX" => conda_prefix.offer(0, value),
                b"VIRTUAL_ENV" => virtual_environment.offer(0, value),
                b"LOADEDMODULES" => modules = value,
                b"_LMFILES_" => module_files = value,
                _ => {}
            }
        }
        let named =
            |kind: &[u8], name: &[u8]| if name.is_empty() { Vec::new() } else { [kind, name].concat() };
        // By the variable that the rank is from: a launcher within a step has the step's, too.
        let launch = match rank.rank {
            0 | 1 => named(b"pmix:", pmix.value),
            2 if is_hydra && !intel.value.is_empty() => [b"hydra:", intel.value, b".", group.value].concat(),
            2 if is_hydra => b"hydra".to_vec(),
            2 if !pmi.value.is_empty() => named(b"pmi:", pmi.value),
            2 | 4 if !flux.value.is_empty() => named(b"flux:", flux.value),
            2 | 3 => b"pmi".to_vec(),
            5 => named(b"pmi:", pmi.value),
            6 => slurm_step(slurm_job.value, step),
            _ => Vec::new(),
        };
        JobVariables {
            job_id: job.value.to_vec(),
            cluster: cluster.value.to_vec(),
            job_step: step.value.to_vec(),
            array_index: array.value.to_vec(),
            array_job: array_job.value.to_vec(),
            mpi_rank: rank.number(),
            mpi_size: size.number(),
            launch,
            account: account.value.to_vec(),
            partition: partition.value.to_vec(),
            nodes: nodes.number(),
            tasks: tasks.number(),
            cpus_per_task: cpus_per_task.number(),
            visible_gpus: visible_gpus.value.to_vec(),
            threads: threads.value.to_vec(),
            conda_prefix: conda_prefix.value.to_vec(),
            virtual_environment: virtual_environment.value.to_vec(),
            container: container.value.to_vec(),
            modules: loaded_modules(modules, module_files),
        }
    }
}

/// The job whose control group a process is in: the word of the kernel, where the scheduler makes
/// such groups. `groups` is /proc/PID/cgroup.
pub fn job_of_groups(groups: &[u8]) -> Option<Vec<u8>> {
    let lines = groups.split(|byte| *byte == b'\n');
    lines.into_iter().find_map(|line| {
        let names: Vec<&[u8]> = line.split(|byte| matches!(byte, b'/' | b':')).collect();
        let is_of_slurm = names.iter().any(|name| name.starts_with(b"slurm"));
        let slurm = names.iter().filter(|_| is_of_slurm).find_map(|name| name.strip_prefix(b"job_"));
        // A PBS MoM: pbs_jobs.service/jobid/4711.server.
        let pbs = names.windows(2).find(|pair| pair[0] == b"jobid").map(|pair| pair[1]);
        slurm.or(pbs).filter(|id| id.first().is_some_and(u8::is_ascii_digit)).map(<[u8]>::to_vec)
    })
}

/// A step of Slurm, unless the number is one of those that stand for what is no step: a batch
/// script, an interactive shell.
fn slurm_step(job: &[u8], step: Best<'_>) -> Vec<u8> {
    const FIRST_SPECIAL: u32 = 0xFFFF_FFF0;
    match step.number() {
        Some(number) if number < FIRST_SPECIAL => [b"slurm:", job, b".", step.value].concat(),
        _ => Vec::new(),
    }
}

fn loaded_modules(names: &[u8], files: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut files = files.split(|byte| *byte == b':');
    let pairs = names.split(|byte| *byte == b':').map(|name| (name, files.next().unwrap_or_default()));
    let named = pairs.filter(|(name, _)| !name.is_empty()).take(MODULES_MAX);
    named.map(|(name, file)| (name.to_vec(), file.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn read(entries: &[&str]) -> JobVariables {
        JobVariables::read(entries.join("\0").as_bytes(), JOB_ID_VARIABLES)
    }

    #[test]
    fn a_step_of_slurm_is_known_by_its_variables() {
        let found = read(&[
            "HOME=/home/ada",
            "JOBID=5",
            "SLURM_JOB_ID=4711",
            "SLURM_STEP_ID=2",
            "SLURM_PROCID=3",
            "SLURM_NTASKS=8",
            "SLURM_CLUSTER_NAME=alpha",
            "LOADEDMODULES=GCC/13.2:OpenMPI/4.1",
            "_LMFILES_=/m/GCC.lua",
        ]);
        assert_eq!((&found.job_id[..], &found.cluster[..]), (&b"4711"[..], &b"alpha"[..]));
        assert_eq!((found.mpi_rank, found.mpi_size), (Some(3), Some(8)));
        assert_eq!((&found.launch[..], &found.job_step[..]), (&b"slurm:4711.2"[..], &b"2"[..]));
        let modules: Vec<_> = found.modules.iter().map(|(name, file)| (&name[..], &file[..])).collect();
        assert_eq!(modules, [(&b"GCC/13.2"[..], &b"/m/GCC.lua"[..]), (b"OpenMPI/4.1", b"")]);
    }

    #[test]
    fn the_control_groups_of_schedulers_name_the_job() {
        let of = |groups: &str| job_of_groups(groups.as_bytes());
        let v2 = "0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n";
        assert_eq!(of(v2).as_deref(), Some(&b"4711"[..]));
        let v1 = "5:memory:/slurm/uid_1000/job_4711/step_batch\n1:name=systemd:/\n0::/\n";
        assert_eq!(of(v1).as_deref(), Some(&b"4711"[..]));
        assert_eq!(of("0::/pbs_jobs.service/jobid/12.head\n").as_deref(), Some(&b"12.head"[..]));
        for other in ["", "0::/", "0::/user.slice/job_1", "0::/slurm/job_x"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_is_kept_of_other_variables() {
        let found = read(&["SECRET=1", "PATH=/bin", "no equals sign", "=", "SLURM_JOB_ID="]);
        assert_eq!(found, JobVariables::default());
        let long = format!("SLURM_JOB_ID={}", "x".repeat(VALUE_MAX + 1));
        assert_eq!(read(&[&long]), JobVariables::default());
    }

    /// libogrt.so has neither allocator nor `std`, so it has a table of its own.
    #[test]
    fn the_library_reads_the_same_variables() {
        let is_name = |name: &&str| {
            name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let theirs = include_str!("../../preload/src/variables.rs");
        let (_, table) = theirs.split_once("\nmeanings! {\n").expect("the library's table");
        let (table, _) = table.split_once("\n}\n").expect("the end of the table");
        // Other settings are the library's own, and static programs have no loader.
        let is_ours =
            |name: &&str| *name == "OGRT_CLUSTER" || !name.starts_with("OGRT_") && !name.starts_with("LD_");
        let (ours, _) = include_str!("job_variables.rs").split_once("\n#[cfg(test)]").expect("the code");
        // What stands beside names in one of the two.
        let words = ["hydra", "jobid", "job_", "slurm", "kubernetes", "undefined", "static"];
        let theirs = table.split('"').skip(1).step_by(2).filter(is_name).filter(is_ours);
        let theirs: BTreeSet<_> = theirs.filter(|name| !words.contains(name)).collect();
        let ours = ours.split("b\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
        let ours: BTreeSet<_> = ours.filter(is_name).filter(|name| !words.contains(name)).collect();
        assert!(theirs.len() > 40, "the search itself is broken: {theirs:?}");
        assert_eq!(ours, theirs);
    }
}
