//! MPI programs for tests, the jobs that run them, and what the server says of those.

use crate::{easybuild::success, needs};
use ogrt_end_to_end::{Stage, see};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// One MPI library, whose programs Debian tells apart by its name.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// The wrapper of its compiler.
    pub compiler: &'static str,
    /// The variable that tells it which compiler to call.
    pub variable: &'static str,
    /// Its launcher.
    pub launcher: &'static str,
}

/// Open MPI.
pub const OPEN_MPI: Library =
    Library { compiler: "mpicc.openmpi", variable: "OMPI_CC", launcher: "mpirun.openmpi" };

/// MPICH.
pub const MPICH: Library =
    Library { compiler: "mpicc.mpich", variable: "MPICH_CC", launcher: "mpiexec.hydra" };

/// True where both libraries are there, and this is root.
pub fn has_all() -> bool {
    let tools: Vec<&str> =
        [OPEN_MPI, MPICH].iter().flat_map(|library| [library.compiler, library.launcher]).collect();
    needs::has(&tools, true)
}

impl Library {
    /// Compiles a source of this package.
    pub fn compile(&self, stage: &Stage, source: &str) -> PathBuf {
        let program = stage.folder().join(format!("{}-{source}", self.compiler));
        let mut command = stage.command(self.compiler);
        command.env(self.variable, "gcc").arg(needs::file("sources").join(source)).arg("-o").arg(&program);
        success(&mut command);
        program
    }
}

/// The job that a shell script is, once all its processes have ended.
pub fn job(stage: &Stage, id: &str, script: &str) -> Value {
    let path = stage.folder().join(format!("{id}.sh"));
    fs::write(&path, script).unwrap();
    let mut command = stage.site.ogrt(&["run", "--", "bash"]);
    command.arg(path).current_dir(stage.folder()).env("JOBID", id);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    let output = see(&mut command);
    assert!(output.status.success(), "{output:?}");
    whole_job(stage, id)
}

/// The document of a job, once all its processes have ended.
pub fn whole_job(stage: &Stage, id: &str) -> Value {
    stage.job(id, |document| {
        let empty = Vec::new();
        let processes = document["processes"].as_array().unwrap_or(&empty);
        processes.iter().any(|process| process["parent_pid"] != Value::Null)
            && processes.iter().all(|process| process["end"].is_object())
    })
}

/// The launches of a job's document.
pub fn launches(document: &Value) -> Vec<Value> {
    document["launches"].as_array().cloned().unwrap_or_default()
}
