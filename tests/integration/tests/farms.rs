//! Farms: jobs in Slurm that start several launches at once, each by one of the ways in which
//! people start them, with helpers, wrappers and launches inside. Every launch and every tree is
//! exact.
//!
//! A seed fixes the scripts, not the order in which their processes run. `OGRT_FARMS_SEED=n` runs
//! the farms of that seed. Four farms run, and all sixteen with OGRT_TEST_FULL=1.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_integration::{
    easybuild::success,
    mpi::{self, MPICH, OPEN_MPI, launches},
    needs,
    slurm::{self, Slurm},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Processors of the node, so that no launch waits for another.
const PROCESSORS: usize = 64;

/// The programs of the farms.
struct Programs {
    open_mpi: String,
    mpich: String,
    plain: String,
    /// Runs two helpers around the program that it is given.
    around: String,
    /// Runs a helper, and becomes the program that it is given.
    becomes: String,
}

impl Programs {
    fn new(stage: &Stage) -> Programs {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let script = |name: &str, lines: &str| {
            let script = stage.folder().join(name);
            fs::write(&script, lines).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
            path(script)
        };
        let plain = stage.folder().join("plain");
        let mut gcc = stage.command("gcc");
        success(gcc.args(["-DPLAIN", "-o"]).arg(&plain).arg(needs::file("sources/farm.c")));
        Programs {
            open_mpi: path(OPEN_MPI.compile(stage, "farm.c")),
            mpich: path(MPICH.compile(stage, "farm.c")),
            plain: path(plain),
            around: script("around", "#!/bin/bash\nuname >/dev/null\n\"$@\"\n( date ) | cat >/dev/null\n"),
            becomes: script("becomes", "#!/bin/sh\n[ -n \"$(hostname)\" ] && exec \"$@\"\n"),
        }
    }
}

/// What one farm is to start, and how.
#[derive(Default)]
struct Farm {
    script: String,
    /// The sizes of the launches with each label, in ascending order.
    sizes: BTreeMap<String, Vec<u64>>,
    /// The steps that Slurm starts for it: nobody of the job stands above their tasks.
    steps: usize,
}

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

impl Farm {
    fn new(number: u64, programs: &Programs, random: &mut Random) -> Farm {
        let mut farm = Farm::default();
        let launches = 4 + random.below(5);
        for launch in 0..launches {
            let label = format!("farm{number}-launch{launch}");
            // Each way is used at least once in the first farms.
            let line = farm.launch(number * 7 + launch, &label, programs, random);
            let shape = random.below(4);
            farm.script += &match shape {
                0 => format!("( {line} ) &\n"),
                1 => format!("{{ {line}; true; }} | cat &\n"),
                2 => format!("for i in 1; do {line} & done\n"),
                _ => format!("{line} &\n"),
            };
        }
        farm.script += "wait\n";
        farm
    }

    /// The line of one launch.
    fn launch(&mut self, way: u64, label: &str, programs: &Programs, random: &mut Random) -> String {
        let Programs { open_mpi, mpich, plain, around, becomes } = programs;
        let ranks = 1 + random.below(4);
        let does = random.one_of(&["", "system", "popen", "system popen", "popen exec"]);
        let wrapper = random.one_of(&["", around, becomes]);
        let (fork, slurm) = ("mpiexec.hydra -launcher fork", "mpiexec.hydra");
        // Launchers that share a folder for their sessions remove it under each other, which has
        // them fail now and then.
        let sessions = Path::new(open_mpi).with_file_name(label);
        fs::create_dir(&sessions).unwrap();
        let open = &format!("mpirun.openmpi --oversubscribe --mca orte_tmpdir_base {}", sessions.display());
        let mut expect = |label: &str, sizes: &[u64]| self.sizes.insert(label.to_owned(), sizes.to_vec());
        let (line, steps) = match way % 11 {
            0 => {
                expect(label, &[ranks]);
                (format!("{open} -np {ranks} {wrapper} {open_mpi} {label} {does}"), 0)
            }
            1 => {
                expect(label, &[ranks]);
                (format!("{fork} -np {ranks} {wrapper} {mpich} {label} {does}"), 0)
            }
            2 => {
                expect(label, &[ranks]);
                (format!("{slurm} -np {ranks} {wrapper} {mpich} {label} {does}"), 1)
            }
            3 => {
                expect(label, &[ranks]);
                (format!("srun --mpi=pmi2 -n {ranks} {wrapper} {mpich} {label} {does}"), 1)
            }
            4 => {
                expect(label, &[ranks]);
                (format!("srun --mpi=none -n {ranks} {wrapper} {plain} {label} {does}"), 1)
            }
            5 => {
                expect(label, &[ranks + 2]);
                (
                    format!(
                        "{open} -np {ranks} {open_mpi} {label} {does} : -np 2 {around} {open_mpi} {label}"
                    ),
                    0,
                )
            }
            6 => {
                expect(label, &[ranks + 2]);
                (format!("{fork} -np {ranks} {mpich} {label} {does} : -np 2 {becomes} {mpich} {label}"), 0)
            }
            7 => {
                expect(label, &[ranks]);
                expect(&format!("{label}-spawned"), &[2]);
                (format!("{open} -np {ranks} {open_mpi} {label} spawn {does}"), 0)
            }
            // Each rank of the outer launch starts another.
            8 => {
                expect(label, &[2, ranks, ranks]);
                (format!("{fork} -np 2 sh -c '{fork} -np {ranks} {mpich} {label} {does}; true'"), 0)
            }
            // The tasks of a step are launchers.
            9 => {
                expect(label, &[1, ranks]);
                (format!("srun --mpi=none -n 1 {open} -np {ranks} {open_mpi} {label} {does}"), 1)
            }
            // Ranks without a library of MPI.
            _ => {
                expect(label, &[ranks]);
                (format!("{open} -np {ranks} bash -c 'uname >/dev/null; {plain} {label} {does}; true'"), 0)
            }
        };
        self.sizes.values_mut().for_each(|sizes| sizes.sort_unstable());
        self.steps += steps;
        line
    }
}

/// The labels in a process's arguments.
fn labels(process: &Value) -> BTreeSet<String> {
    let arguments = process["arguments"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = arguments.flat_map(|argument| argument.split(|c: char| c.is_whitespace() || c == ';'));
    words.filter(|word| word.starts_with("farm") && word.contains("-launch")).map(str::to_owned).collect()
}

/// The sizes of the launches with each label.
fn sizes(document: &Value) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for launch in launches(document) {
        assert_eq!((&launch["missing"], &launch["ranks"]), (&Value::Null, &launch["size"]), "{launch}");
        let ranks = launch["processes"].as_array().unwrap().iter();
        let processes: Vec<&Value> =
            ranks.map(|at| &document["processes"][at.as_u64().unwrap() as usize]).collect();
        let numbers: BTreeSet<u64> =
            processes.iter().map(|rank| rank["mpi"]["rank"].as_u64().unwrap()).collect();
        assert_eq!(numbers.len() as u64, launch["ranks"].as_u64().unwrap(), "{launch}");
        let of_all: BTreeSet<String> = processes.iter().flat_map(|rank| labels(rank)).collect();
        let of_each = processes.iter().all(|rank| labels(rank) == of_all);
        assert!(of_each && of_all.len() <= 1, "{of_all:?} in {launch}");
        let label = of_all.into_iter().next().unwrap_or_default();
        found.entry(label).or_default().push(launch["ranks"].as_u64().unwrap());
    }
    found.values_mut().for_each(|sizes| sizes.sort_unstable());
    found
}

/// The nearest process above one that has a label.
fn above<'a>(processes: &'a [Value], process: &'a Value) -> Option<&'a Value> {
    let mut at = process;
    for _ in 0..processes.len() {
        let keys = ["parent_pid", "ancestor_pid"].into_iter().filter_map(|key| at[key].as_i64());
        at = keys.into_iter().find_map(|pid| processes.iter().find(|other| other["pid"] == pid))?;
        if !labels(at).is_empty() {
            return Some(at);
        }
    }
    None
}

/// Panics unless what stands above each process that has a label has it, too.
fn check_parents(document: &Value) {
    let processes = document["processes"].as_array().unwrap();
    for process in processes.iter().filter(|process| !labels(process).is_empty()) {
        let Some(above) = above(processes, process) else { continue };
        let mut own = labels(process);
        own.extend(
            labels(process).iter().filter_map(|label| Some(label.strip_suffix("-spawned")?.to_owned())),
        );
        assert!(!own.is_disjoint(&labels(above)), "{process:#} below {above:#}");
    }
}

#[test]
fn every_launch_and_every_tree_of_a_farm_is_exact() {
    if !slurm::has_all() || !mpi::has_all() {
        return;
    }
    let seed = env::var("OGRT_FARMS_SEED").map_or(20_261_129, |seed| seed.parse().expect("a number"));
    let stage = Stage::new();
    let programs = Programs::new(&stage);
    let slurm = Slurm::start(&stage, PROCESSORS);
    let mut random = Random(seed);
    for number in 0..if needs::is_full() { 16 } else { 4 } {
        let farm = Farm::new(number, &programs, &mut random);
        // Open MPI wants two variables from root; steps share the processors.
        let script = format!(
            "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 SLURM_OVERLAP=1\n{}",
            farm.script
        );
        let job = slurm.batch(PROCESSORS, &script);
        let document = mpi::whole_job(&stage, &job.id);
        let said = format!("seed {seed}, farm {number}:\n{script}{}", job.output);
        assert_eq!(sizes(&document), farm.sizes, "{said}{:#?}", document["launches"]);
        check_parents(&document);
        let tree = text(&see(&mut stage.site.ogrt(&["job", &job.id, "--tree"])).stdout);
        // The first line is the title. What stands below another line is indented.
        let roots = tree.lines().skip(1).filter(|line| !line.starts_with("  ") && !line.starts_with(" │"));
        let roots = roots.filter(|line| !line.starts_with(" ├") && !line.starts_with(" └"));
        assert_eq!(roots.count(), 1 + farm.steps, "{said}\n{tree}");
    }
}

/// A remote shell to a node that is this machine with another name.
fn remote_shell(stage: &Stage, keeps: &str) -> PathBuf {
    let shell = stage.folder().join("remote-shell");
    let lines = format!(
        "#!/bin/bash\nwhile [[ $1 = -* ]]; do shift; done\nnode=$1; shift\n\
         declare -a keep; for name in PATH HOME {keeps}; do keep+=(\"$name=${{!name}}\"); done\n\
         exec env -i \"${{keep[@]}}\" unshare --uts sh -c 'hostname \"$0\"; exec sh -c \"$1\"' \"$node\" \"$*\"\n"
    );
    fs::write(&shell, lines).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    shell
}

#[test]
fn ranks_of_several_nodes_are_one_launch_and_those_unseen_are_missing() {
    if !mpi::has_all() || !needs::has(&["unshare"], true) {
        return;
    }
    let stage = Stage::new();
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let hands_on = "LD_PRELOAD OGRT_ACTIVE OGRT_SERVER JOBID";
    let (open_mpi, mpich) = (OPEN_MPI.compile(&stage, "farm.c"), MPICH.compile(&stage, "farm.c"));
    let line = |library: &str, shell: &Path, more: &str| match library {
        "open" => format!(
            "mpirun.openmpi --mca plm rsh --mca plm_rsh_agent {} --oversubscribe -H {node}:1,ogrt-b:1,ogrt-c:1 {more} -np 3 {} many",
            shell.display(),
            open_mpi.display()
        ),
        _ => format!(
            "mpiexec.hydra -launcher ssh -launcher-exec {} -hosts {node},ogrt-b,ogrt-c -ppn 1 {more} -np 3 {} many",
            shell.display(),
            mpich.display()
        ),
    };
    // The remote shell hands the variables on, or the launcher does, or nobody.
    let cases = [
        ("open", hands_on, "", 3),
        ("mpich", hands_on, "", 3),
        ("open", "", "-x LD_PRELOAD -x OGRT_ACTIVE -x OGRT_SERVER -x JOBID", 3),
        ("open", "", "", 1),
        // The ranks have the launcher's environment, their proxies that of the remote shell.
        ("mpich", "", "", 3),
    ];
    for (number, (library, keeps, more, seen)) in cases.into_iter().enumerate() {
        let shell = remote_shell(&stage, keeps);
        let document = mpi::job(&stage, &format!("nodes{number}"), &line(library, &shell, more));
        let launches = launches(&document);
        assert_eq!(launches.len(), 1, "{library} {keeps} {more}: {launches:#?}");
        let counts = ["size", "ranks"].map(|key| launches[0][key].as_u64().unwrap());
        let missing = launches[0]["missing"].as_u64().unwrap_or(0);
        let hosts = launches[0]["hosts"].as_array().unwrap().len() as u64;
        assert_eq!((counts, missing, hosts), ([3, seen], 3 - seen, seen), "{}", launches[0]);
    }
}
