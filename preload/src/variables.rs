//! The variables of the environment that mean something to us, found in one pass.
//!
//! A name is looked up by its hash, in a table that is made when this is compiled. The table holds
//! no address, so the loader has nothing to change in it, and all of it is a tenth of the code that
//! compares names one by one.

use crate::process::Process;

/// Declares each meaning with the names that have it, the most important first.
macro_rules! meanings {
    ($($(#[$attribute:meta])* $meaning:ident: $($name:literal)*;)*) => {
        /// What variables can mean. Several names may mean the same.
        #[derive(Clone, Copy)]
        pub enum Meaning {
            $($(#[$attribute])* #[allow(missing_docs)] $meaning,)*
        }

        const NAMES: &[(Meaning, &[&str])] =
            &[$($(#[$attribute])* (Meaning::$meaning, &[$($name),*])),*];
    };
}

meanings! {
    Server: "OGRT_SERVER";
    JobIdVariables: "OGRT_JOBID_VARS";
    Environment: "OGRT_ENV";
    Skip: "OGRT_SKIP";
    Only: "OGRT_ONLY";
    SpoolDirectory: "OGRT_SPOOL_DIR";
    #[cfg(not(feature = "static"))] Silent: "OGRT_SILENT";
    #[cfg(not(feature = "static"))] Schleichfahrt: "OGRT_SCHLEICHFAHRT";
    #[cfg(not(feature = "static"))] End: "OGRT_END";
    #[cfg(not(feature = "static"))] DebugInfo: "OGRT_DEBUG_INFO";
    Cluster: "OGRT_CLUSTER" "SLURM_CLUSTER_NAME";
    Step: "SLURM_STEP_ID" "SLURM_STEPID";
    Array: "SLURM_ARRAY_TASK_ID" "PBS_ARRAY_INDEX" "PBS_ARRAYID" "LSB_JOBINDEX" "SGE_TASK_ID";
    Rank: "OMPI_COMM_WORLD_RANK" "PMIX_RANK" "PMI_RANK" "MV2_COMM_WORLD_RANK" "FLUX_TASK_RANK" "PALS_RANKID"
        "SLURM_PROCID";
    Size: "OMPI_COMM_WORLD_SIZE" "PMIX_SIZE" "PMI_SIZE" "MV2_COMM_WORLD_SIZE" "FLUX_JOB_SIZE"
        "SLURM_STEP_NUM_TASKS" "SLURM_NTASKS";
    PmixNamespace: "PMIX_NAMESPACE" "OMPI_MCA_ess_base_jobid";
    PmiJob: "PMI_JOBID" "PALS_APID";
    FluxJob: "FLUX_JOB_ID";
    SlurmJob: "SLURM_JOB_ID" "SLURM_JOBID";
    LocalRank: "MPI_LOCALRANKID";
    HydraUuid: "I_MPI_HYDRA_UUID";
    HydraGroup: "HYDRA_BSTRAP_PGID";
    // systemd-nspawn, Podman and others set `container` to their name.
    Container: "APPTAINER_CONTAINER" "SINGULARITY_CONTAINER" "APPTAINER_NAME" "SINGULARITY_NAME" "SARUS_CONTAINER"
        "CH_RUNNING" "container" "KUBERNETES_SERVICE_HOST";
    Account: "SLURM_JOB_ACCOUNT" "LSB_PROJECT_NAME";
    Partition: "SLURM_JOB_PARTITION" "PBS_QUEUE" "LSB_QUEUE";
    #[cfg(not(feature = "static"))] ArrayJob: "SLURM_ARRAY_JOB_ID";
    #[cfg(not(feature = "static"))] Nodes: "SLURM_JOB_NUM_NODES" "SLURM_NNODES" "PBS_NUM_NODES" "FLUX_JOB_NNODES";
    #[cfg(not(feature = "static"))] Tasks: "SLURM_NPROCS" "PBS_NP" "LSB_DJOB_NUMPROC";
    #[cfg(not(feature = "static"))] CpusPerTask: "SLURM_CPUS_PER_TASK";
    #[cfg(not(feature = "static"))] VisibleGpus: "CUDA_VISIBLE_DEVICES" "ROCR_VISIBLE_DEVICES" "HIP_VISIBLE_DEVICES"
        "ZE_AFFINITY_MASK" "SLURM_JOB_GPUS";
    #[cfg(not(feature = "static"))] Threads: "OMP_NUM_THREADS";
    #[cfg(not(feature = "static"))] CondaPrefix: "CONDA_PREFIX";
    #[cfg(not(feature = "static"))] VirtualEnvironment: "VIRTUAL_ENV";
    Modules: "LOADEDMODULES";
    ModuleFiles: "_LMFILES_";
    #[cfg(not(feature = "static"))] Preload: "LD_PRELOAD";
    #[cfg(not(feature = "static"))] Audit: "LD_AUDIT";
}

const MEANINGS: usize = NAMES.len();

/// The number of names.
const COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < MEANINGS {
        count += NAMES[at].1.len();
        at += 1;
    }
    count
};

/// Each name's hash, and behind them its meaning and its position among those for that meaning. Of
/// the names themselves nothing is needed: a hash of 64 bits belongs to no other variable.
struct Table {
    hashes: [u64; COUNT],
    codes: [Code; COUNT],
}

/// A meaning and a position in one number.
#[cfg(not(feature = "static"))]
type Code = u16;
#[cfg(feature = "static")]
type Code = u8;

/// Names for one meaning.
const RANKS: Code = 8;

static TABLE: Table = {
    let mut table = Table { hashes: [0; COUNT], codes: [0; COUNT] };
    let (mut count, mut at) = (0, 0);
    while at < MEANINGS {
        let (meaning, names) = NAMES[at];
        let mut rank = 0;
        assert!(names.len() <= RANKS as usize && MEANINGS * RANKS as usize <= Code::MAX as usize + 1);
        while rank < names.len() {
            table.hashes[count] = hash(names[rank].as_bytes());
            table.codes[count] = meaning as Code * RANKS + rank as Code;
            rank += 1;
            count += 1;
        }
        at += 1;
    }
    table
};

/// FNV-1a.
const fn hash(name: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut rest = name;
    while let Some((byte, others)) = rest.split_first() {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01B3);
        rest = others;
    }
    hash
}

/// The meaning of a name, and its position among those for that meaning.
fn find(name: &[u8]) -> Option<(u8, u8)> {
    let hash = hash(name);
    let at = TABLE.hashes.iter().position(|known| *known == hash)?;
    TABLE.codes.get(at).map(|code| ((code / RANKS) as u8, (code % RANKS) as u8))
}

/// A value, and which of the names for its meaning had it.
#[derive(Clone, Copy)]
struct Best {
    rank: u8,
    value: &'static [u8],
}

/// The values of all meanings.
pub struct Variables([Best; MEANINGS]);

impl Variables {
    /// Reads the environment. Where several names mean the same, the most important counts; where a
    /// name stands twice, the first. An empty value is none.
    pub fn read(process: &Process) -> Self {
        let mut best = [Best { rank: u8::MAX, value: &[] }; MEANINGS];
        for entry in process.environment {
            let Some((name, value)) = split(entry) else { continue };
            let Some((meaning, rank)) = find(name) else { continue };
            let value = value_of(meaning, rank, name, value);
            if let Some(best) = best.get_mut(usize::from(meaning))
                && rank < best.rank
                && !value.is_empty()
            {
                *best = Best { rank, value };
            }
        }
        Variables(best)
    }

    /// The value; empty where there is none.
    #[cfg_attr(feature = "static", inline(never))]
    pub fn value(&self, meaning: Meaning) -> &'static [u8] {
        self.0.get(meaning as usize).map_or(&[], |best| best.value)
    }

    /// The position of the name that the value is from among those for its meaning, the largest
    /// number where there is no value.
    pub fn rank(&self, meaning: Meaning) -> u8 {
        self.0.get(meaning as usize).map_or(u8::MAX, |best| best.rank)
    }
}

/// What the value says, which for a few names is not what it is.
fn value_of(meaning: u8, rank: u8, name: &'static [u8], value: &'static [u8]) -> &'static [u8] {
    const ARRAY: u8 = Meaning::Array as u8;
    const CONTAINER: u8 = Meaning::Container as u8;
    match (meaning, rank) {
        // LSF and Grid Engine set them outside arrays too, to a word that is not an index.
        (ARRAY, 3) if value == b"0" => b"",
        (ARRAY, 4) if value == b"undefined" => b"",
        // Of these containers only the variable's name tells the kind.
        (CONTAINER, 4 | 5) => name,
        (CONTAINER, 7) => b"kubernetes",
        _ => value,
    }
}

/// Name and value of an entry of the environment.
pub fn split(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().position(|&byte| byte == b'=')?;
    Some((entry.get(..at)?, entry.get(at + 1..)?))
}
