//! Likeness, measured: another version of what was learned is found by `ogrt identify`, and what
//! was not learned is unknown.
//!
//! In the usual run, one half of an image's packages is learned, and the programs of this machine
//! are asked for, which are of another release. With OGRT_TEST_FULL=1, programs of science of one
//! release of Debian are learned, and those of the next are asked for. Each fifth code is not
//! learned at all. The threshold was chosen on one half of the codes, by their names in order. The
//! figures that must hold are those of the other half.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_integration::{
    debian_packages::{self, DebianPackage},
    images, needs,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What must hold.
const PRECISION_MIN: f64 = 0.98;
const RECALL_MIN: f64 = 0.8;

/// Packages with programs of science, most of them, and languages and tools that sites have.
const CODES: [&str; 86] = [
    "abyss",
    "bat",
    "bcftools",
    "bedtools",
    "bowtie2",
    "bwa",
    "cd-hit",
    "cdo",
    "clustalo",
    "cp2k",
    "diamond-aligner",
    "ergo",
    "exonerate",
    "fasttree",
    "fd-find",
    "freebayes",
    "fzf",
    "gmsh",
    "gnuplot-nox",
    "grads",
    "gromacs",
    "hdf5-tools",
    "hisat2",
    "hmmer",
    "hpcc",
    "hugo",
    "hyperfine",
    "infernal",
    "iqtree",
    "jellyfish",
    "kallisto",
    "kraken2",
    "last-align",
    "mafft",
    "megahit",
    "minimap2",
    "mopac",
    "mothur",
    "mrbayes",
    "mummer",
    "muscle",
    "ncbi-blast+",
    "nco",
    "netcdf-bin",
    "nwchem",
    "octave",
    "openbabel",
    "openmolcas",
    "openmpi-bin",
    "pari-gp",
    "phyml",
    "plink1.9",
    "podman",
    "povray",
    "prodigal",
    "quantum-espresso",
    "raxml",
    "rclone",
    "restic",
    "ripgrep",
    "rna-star",
    "salmon",
    "samtools",
    "seqtk",
    "slurm-client",
    "spades",
    "stringtie",
    "tachyon-bin-nox",
    "units",
    "vcftools",
    "velvet",
    "vsearch",
    "libgsl27",
    "libgsl28",
    "libhdf5-103-1",
    "libhdf5-310",
    "libnetcdf19",
    "libnetcdf22",
    "libopenblas0-pthread",
    "libfftw3-double3",
    "libscotch-7.0",
    "libpetsc-real3.18",
    "libpetsc-real3.22",
    "libopenmpi3",
    "libopenmpi40",
    "lammps",
];

/// Packages with programs that are never learned.
const STRANGERS: [&str; 20] = [
    "git",
    "vim-tiny",
    "nginx",
    "redis-server",
    "cmake",
    "gdb",
    "sqlite3",
    "rsync",
    "tmux",
    "zsh",
    "nano",
    "mutt",
    "sox",
    "tcpdump",
    "nmap",
    "haproxy",
    "squid",
    "gawk",
    "strace",
    "busybox-static",
];

/// A program that is asked for.
struct Query {
    software: String,
    file: PathBuf,
    is_learned: bool,
}

/// The server's answer: what it resembles most.
type Answers = BTreeMap<PathBuf, Option<(String, f64)>>;

fn learn(stage: &Stage, token: &Path, package: &DebianPackage) {
    let DebianPackage { software, version, tree, .. } = package;
    let tree = tree.to_str().unwrap();
    loop {
        let words = ["learn", "--tree", tree, "--name", software, "--version", version];
        let learned = see(stage.site.ogrt(&words).env("OGRT_TOKEN_FILE", token));
        match learned.status.code() {
            Some(0 | 1) => return,
            // The server reads its file of tokens from time to time.
            _ => assert!(text(&learned.stderr).contains("token"), "{}", text(&learned.stderr)),
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Asks for all of them. Leaves out those that are the same build in both releases.
fn ask(stage: &Stage, queries: &mut Vec<Query>) -> Answers {
    let mut answers = Answers::new();
    for batch in queries.chunks(200) {
        let mut identify = stage.site.ogrt(&["identify", "--json"]);
        let identified = see(identify.args(batch.iter().map(|query| &query.file)));
        assert!(matches!(identified.status.code(), Some(0 | 1)), "{}", text(&identified.stderr));
        let answer: Value = serde_json::from_slice(&identified.stdout).unwrap();
        for file in answer["files"].as_array().unwrap() {
            if !file["known"].is_null() {
                continue;
            }
            let best = file["resembles"].as_array().and_then(|all| all.first());
            let best = best
                .map(|best| (best["software"].as_str().unwrap().to_owned(), best["score"].as_f64().unwrap()));
            answers.insert(PathBuf::from(file["file"].as_str().unwrap()), best);
        }
    }
    queries.retain(|query| answers.contains_key(&query.file));
    answers
}

/// How often answers are right.
#[derive(Default)]
struct Tally {
    right: usize,
    wrong: usize,
    learned: usize,
    strangers: usize,
    of_strangers: usize,
}

impl Tally {
    fn of<'a>(queries: impl Iterator<Item = &'a Query>, answers: &Answers, score_min: f64) -> Self {
        let mut tally = Tally::default();
        for query in queries {
            let found = answers[&query.file].as_ref().filter(|(_, score)| *score >= score_min);
            let is_right = found.is_some_and(|(software, _)| *software == query.software);
            tally.learned += usize::from(query.is_learned);
            tally.strangers += usize::from(!query.is_learned);
            tally.right += usize::from(is_right);
            tally.wrong += usize::from(found.is_some() && !is_right);
            tally.of_strangers += usize::from(found.is_some() && !query.is_learned);
        }
        tally
    }

    fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.wrong).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.right as f64 / self.learned.max(1) as f64
    }

    fn line(&self) -> String {
        format!(
            "precision {:.3}, recall {:.3}: {} right, {} wrong of {} files of learned codes and {} of others \
             ({} of these resemble something)",
            self.precision(),
            self.recall(),
            self.right,
            self.wrong,
            self.learned,
            self.strangers,
            self.of_strangers
        )
    }
}

/// Prints what was measured. Returns the tally of the half that the threshold was not chosen on.
fn measure(queries: &[Query], answers: &Answers) -> Tally {
    let codes: BTreeSet<&str> = queries.iter().map(|query| query.software.as_str()).collect();
    let halves = [0, 1].map(|half| -> BTreeSet<&str> {
        codes.iter().enumerate().filter(|(index, _)| index % 2 == half).map(|(_, code)| *code).collect()
    });
    let of_half = |half: usize| {
        let codes = halves[half].clone();
        queries.iter().filter(move |query| codes.contains(query.software.as_str()))
    };
    for score_min in [0.4, 0.5, 0.6] {
        println!(
            "score {score_min}, the half it was chosen on: {}",
            Tally::of(of_half(0), answers, score_min).line()
        );
        println!(
            "score {score_min}, the other half:            {}",
            Tally::of(of_half(1), answers, score_min).line()
        );
    }
    for query in queries {
        match &answers[&query.file] {
            Some((software, score)) if *software != query.software => {
                println!(
                    "wrong: {} of {} resembles {software} ({score})",
                    query.file.display(),
                    query.software
                );
            }
            _ => {}
        }
    }
    let learned: BTreeSet<&str> =
        queries.iter().filter(|query| query.is_learned).map(|query| query.software.as_str()).collect();
    println!("{} codes, {} of them learned", codes.len(), learned.len());
    Tally::of(of_half(1), answers, 0.0)
}

/// The programs of this machine's packages that have the same sources.
fn installed(software: &BTreeSet<String>) -> Vec<(String, PathBuf)> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${source:Package} ${Package}:${Architecture}\n"])
        .output();
    let packages = text(&output.unwrap().stdout);
    let mut files = BTreeSet::new();
    for line in packages.lines() {
        let Some((source, package)) = line.split_once(' ') else { continue };
        let source = debian_packages::without_number(source);
        if !software.contains(&source) {
            continue;
        }
        let package = package.trim_end_matches(":all");
        let listed = Command::new("dpkg-query").args(["-L", package]).output().unwrap();
        for path in text(&listed.stdout).lines() {
            let Ok(path) = fs::canonicalize(path) else { continue };
            if path.is_file() && debian_packages::counts(&path).unwrap_or(false) {
                files.insert((source.clone(), path));
            }
        }
    }
    files.into_iter().collect()
}

#[test]
fn programs_of_another_release_resemble_those_of_an_image() {
    if !needs::has(&[images::DEBOOTSTRAP, "dpkg-deb", "dpkg-query"], true) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let archives = debian_packages::of_image(&images::debian()).unwrap();
    let packages = debian_packages::unpack(&archives, folder.path()).unwrap();
    let all: BTreeSet<String> = packages.iter().map(|package| package.software.clone()).collect();
    let learned: BTreeSet<&String> =
        all.iter().enumerate().filter(|(index, _)| index % 4 < 2).map(|(_, code)| code).collect();
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    for package in packages.iter().filter(|package| learned.contains(&package.software)) {
        learn(&stage, &token, package);
    }
    let query = |(software, file): (String, PathBuf)| {
        let is_learned = learned.contains(&software);
        Query { software, file, is_learned }
    };
    let mut queries: Vec<Query> = installed(&all).into_iter().map(query).collect();
    let answers = ask(&stage, &mut queries);
    measure(&queries, &answers);
    let tally = Tally::of(queries.iter(), &answers, 0.0);
    assert!(tally.learned >= 100 && tally.strangers >= 100, "{}", tally.line());
    assert!(tally.precision() >= PRECISION_MIN && tally.recall() >= RECALL_MIN, "{}", tally.line());
}

#[test]
fn the_next_version_of_a_code_is_found_and_a_code_that_was_not_learned_is_not() {
    if !needs::is_full() {
        println!("skipped: downloads 600 MB of packages, which OGRT_TEST_FULL=1 permits");
        return;
    }
    if !needs::has(&["apt-get", "dpkg-deb"], true) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let packages = |release: &str, names: &[&str]| {
        let archives = debian_packages::download(release, names).unwrap();
        debian_packages::unpack(&archives, &folder.path().join(release)).unwrap()
    };
    let old = packages("bookworm", &CODES);
    let new = packages("trixie", &CODES);
    let names = |packages: &[DebianPackage]| -> BTreeSet<String> {
        packages.iter().map(|package| package.software.clone()).collect()
    };
    let both: Vec<String> = names(&old).intersection(&names(&new)).cloned().collect();
    let learned: BTreeSet<&String> =
        both.iter().enumerate().filter(|(index, _)| index % 5 != 4).map(|(_, code)| code).collect();
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    for package in old.iter().filter(|package| learned.contains(&package.software)) {
        learn(&stage, &token, package);
    }
    let mut asked = new;
    asked.extend(packages("bookworm", &STRANGERS));
    let query = |package: &DebianPackage| {
        let (software, is_learned) = (package.software.clone(), learned.contains(&package.software));
        let of_file =
            move |file: &PathBuf| Query { software: software.clone(), file: file.clone(), is_learned };
        package.files.iter().map(of_file).collect::<Vec<_>>()
    };
    let mut queries: Vec<Query> = asked.iter().flat_map(query).collect();
    let answers = ask(&stage, &mut queries);
    let tally = measure(&queries, &answers);
    assert!(learned.len() >= 50, "{} codes", learned.len());
    assert!(tally.precision() >= PRECISION_MIN && tally.recall() >= RECALL_MIN, "{}", tally.line());
}
