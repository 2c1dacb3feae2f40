//! What a site has installed: its codes and libraries, by their real names.

/// How a code came to the site, and so who knows its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// EasyBuild built it with our wrappers: its builds are registered.
    EasyBuild,
    /// Spack did.
    Spack,
    /// A user built it with our wrappers.
    Home,
    /// A package of Debian; learned.
    Dpkg,
    /// A package of a conda environment; learned.
    Conda,
    /// A vendor's directory; learned by its path.
    Vendor,
    /// Nobody registered it, and nothing explains it. Each user has an own copy.
    Unknown,
    /// The same, of one user who gives names that break what shows them.
    Hostile,
}

/// A code.
#[derive(Debug)]
pub struct Code {
    /// Its name.
    pub name: &'static str,
    /// How it came here.
    pub origin: Origin,
    /// Its versions, the oldest first.
    pub versions: &'static [&'static str],
    /// Path of its program, below the prefix of the version.
    pub program: &'static str,
    /// Arguments of a run.
    pub arguments: &'static str,
    /// The most ranks of a usual run; 1 of what knows no MPI.
    pub ranks: u32,
    /// Libraries that it loads, by their keys in [`LIBRARIES`].
    pub libraries: &'static [&'static str],
    /// Packages of Python that it imports, with their versions.
    pub packages: &'static [(&'static str, &'static str)],
    /// How often it runs.
    pub weight: u64,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// The word for it in `libraries` of a code.
    pub key: &'static str,
    /// The name of the software.
    pub name: &'static str,
    /// How it came here.
    pub origin: Origin,
    /// Its versions, the oldest first.
    pub versions: &'static [&'static str],
    /// Name of its file, which is its soname.
    pub soname: &'static str,
}

/// Everything that the codes load.
pub const LIBRARIES: &[Library] = &[
    library("glibc", "glibc", Origin::Dpkg, &["2.36-9+deb12u9"], "libc.so.6"),
    library("zlib", "zlib", Origin::EasyBuild, &["1.2.13", "1.3.1"], "libz.so.1"),
    library("old zlib", "zlib", Origin::Home, &["1.1.4"], "libz.so.1"),
    library("xz-utils", "xz-utils", Origin::Dpkg, &["5.6.1-1", "5.4.1-0.2"], "liblzma.so.5"),
    library("openssl", "openssl", Origin::Dpkg, &["3.0.14-1~deb12u2"], "libssl.so.3"),
    library("gcc-12", "gcc-12", Origin::Dpkg, &["12.2.0-14"], "libstdc++.so.6"),
    library("OpenMPI", "OpenMPI", Origin::EasyBuild, &["4.1.6", "5.0.3"], "libmpi.so.40"),
    library("FFTW", "FFTW", Origin::EasyBuild, &["3.3.8", "3.3.10"], "libfftw3.so.3"),
    library("OpenBLAS", "OpenBLAS", Origin::EasyBuild, &["0.3.23", "0.3.27"], "libopenblas.so.0"),
    library("ScaLAPACK", "ScaLAPACK", Origin::EasyBuild, &["2.2.0"], "libscalapack.so"),
    library("HDF5", "HDF5", Origin::EasyBuild, &["1.12.2", "1.14.3"], "libhdf5.so.200"),
    library("netCDF", "netCDF", Origin::EasyBuild, &["4.9.2"], "libnetcdf.so.19"),
    library("PETSc", "PETSc", Origin::Spack, &["3.19.6", "3.21.3"], "libpetsc.so.3"),
    library("CUDA", "CUDA", Origin::Vendor, &["12.4.1"], "libcudart.so.12"),
    library("libhelp", "libhelp", Origin::Unknown, &["0"], "libhelp.so"),
];

const fn library(
    key: &'static str,
    name: &'static str,
    origin: Origin,
    versions: &'static [&'static str],
    soname: &'static str,
) -> Library {
    Library { key, name, origin, versions, soname }
}

const C: &[&str] = &["glibc"];
const ZIP: &[&str] = &["glibc", "zlib"];
const OLD: &[&str] = &["glibc", "zlib", "xz-utils"];
const MPI: &[&str] = &["glibc", "gcc-12", "OpenMPI"];
const DENSE: &[&str] = &["glibc", "gcc-12", "OpenMPI", "FFTW", "OpenBLAS", "ScaLAPACK"];
const FFT: &[&str] = &["glibc", "gcc-12", "OpenMPI", "FFTW"];
const DATA: &[&str] = &["glibc", "zlib", "OpenMPI", "HDF5", "netCDF"];
const SPARSE: &[&str] = &["glibc", "gcc-12", "OpenMPI", "PETSc", "OpenBLAS"];
const GPU: &[&str] = &["glibc", "gcc-12", "CUDA"];
const NET: &[&str] = &["glibc", "openssl", "zlib"];
const OWN: &[&str] = &["glibc", "libhelp"];
const ANTIQUE: &[&str] = &["glibc", "old zlib", "OpenMPI"];

/// What has no packages.
const NONE: &[(&str, &str)] = &[];
const NUMPY: &[(&str, &str)] = &[("numpy", "1.26.4")];
const SCIPY: &[(&str, &str)] = &[("numpy", "1.26.4"), ("scipy", "1.13.0")];
const TORCH: &[(&str, &str)] = &[("numpy", "1.26.4"), ("torch", "2.3.1")];
const PANDAS: &[(&str, &str)] = &[("numpy", "2.0.1"), ("pandas", "2.2.2")];
const WORKFLOW: &[(&str, &str)] = &[("snakemake", "8.4.0")];

macro_rules! codes {
    ($($origin:ident $name:literal [$($version:literal)+] $program:literal $arguments:literal
        $ranks:literal $libraries:ident $packages:ident $weight:literal;)+) => {
        &[$(Code {
            name: $name,
            origin: Origin::$origin,
            versions: &[$($version),+],
            program: $program,
            arguments: $arguments,
            ranks: $ranks,
            libraries: $libraries,
            packages: $packages,
            weight: $weight,
        }),+]
    };
}

/// The codes that jobs run as their main program.
pub const CODES: &[Code] = codes! {
    EasyBuild "GROMACS" ["2023.4" "2024.3"] "bin/gmx_mpi" "gmx_mpi mdrun -deffnm md" 8 FFT NONE 40;
    EasyBuild "LAMMPS" ["2Aug2023" "29Aug2024"] "bin/lmp" "lmp -in in.melt" 8 FFT NONE 22;
    EasyBuild "NAMD" ["2.14" "3.0"] "bin/namd3" "namd3 +p8 apoa1.namd" 4 FFT NONE 12;
    EasyBuild "OpenFOAM" ["v2312" "v2406"] "bin/simpleFoam" "simpleFoam -parallel" 8 MPI NONE 18;
    EasyBuild "QuantumESPRESSO" ["7.2" "7.3.1"] "bin/pw.x" "pw.x -in scf.in" 8 DENSE NONE 16;
    EasyBuild "CP2K" ["2023.1" "2024.2"] "bin/cp2k.psmp" "cp2k.psmp -i h2o.inp" 8 DENSE NONE 10;
    EasyBuild "NWChem" ["7.2.2"] "bin/nwchem" "nwchem water.nw" 6 DENSE NONE 5;
    EasyBuild "WRF" ["4.5.1" "4.6.0"] "main/wrf.exe" "wrf.exe" 8 DATA NONE 10;
    EasyBuild "SU2" ["8.0.1"] "bin/SU2_CFD" "SU2_CFD wing.cfg" 6 MPI NONE 3;
    EasyBuild "SIESTA" ["5.0.1"] "bin/siesta" "siesta" 6 DENSE NONE 4;
    EasyBuild "CDO" ["2.2.2" "2.4.1"] "bin/cdo" "cdo monmean in.nc out.nc" 1 DATA NONE 9;
    EasyBuild "HMMER" ["3.4"] "bin/hmmsearch" "hmmsearch globins.hmm db.fasta" 1 C NONE 6;
    EasyBuild "BLAST+" ["2.14.1" "2.16.0"] "bin/blastp" "blastp -query q.fa -db nr" 1 ZIP NONE 9;
    EasyBuild "BWA" ["0.7.17" "0.7.18"] "bin/bwa" "bwa mem ref.fa reads.fq" 1 ZIP NONE 9;
    EasyBuild "SAMtools" ["1.18" "1.20"] "bin/samtools" "samtools sort out.bam" 1 OLD NONE 10;
    EasyBuild "Bowtie2" ["2.5.4"] "bin/bowtie2-align-s" "bowtie2-align-s -x hg38" 1 ZIP NONE 4;
    EasyBuild "STAR" ["2.7.11b"] "bin/STAR" "STAR --genomeDir hg38" 1 ZIP NONE 4;
    EasyBuild "R" ["4.3.3" "4.4.1"] "lib64/R/bin/exec/R" "R --file=fit.R" 1 ZIP NONE 12;
    EasyBuild "Octave" ["8.4.0"] "bin/octave-cli" "octave-cli fit.m" 1 DATA NONE 3;
    EasyBuild "Gnuplot" ["5.4.8"] "bin/gnuplot" "gnuplot energy.gp" 1 C NONE 5;
    EasyBuild "Python" ["3.11.3" "3.12.3"] "bin/python3" "python3 analyse.py" 1 ZIP SCIPY 20;
    Spack "code-saturne" ["8.0.3"] "libexec/code_saturne/cs_solver" "cs_solver --mpi" 6 MPI NONE 4;
    Spack "elmerfem" ["9.0"] "bin/ElmerSolver" "ElmerSolver case.sif" 4 SPARSE NONE 4;
    Spack "calculix" ["2.21"] "bin/ccx" "ccx -i beam" 1 SPARSE NONE 3;
    Spack "nekrs" ["23.0"] "bin/nekrs" "nekrs --setup pipe" 8 GPU NONE 4;
    Spack "paraview" ["5.12.0"] "bin/pvbatch" "pvbatch render.py" 2 DATA NUMPY 4;
    Spack "lulesh" ["2.0.3"] "bin/lulesh" "lulesh -s 30" 8 MPI NONE 2;
    Spack "hpl" ["2.3"] "bin/xhpl" "xhpl" 8 DENSE NONE 2;
    Spack "ior" ["3.3.0" "4.0.0"] "bin/ior" "ior -a MPIIO" 8 DATA NONE 2;
    Spack "osu-micro-benchmarks" ["7.4"] "libexec/osu_allreduce" "osu_allreduce" 8 MPI NONE 2;
    Home "solver" ["1.0" "1.1"] "solver" "solver --steps 1000" 4 SPARSE NONE 9;
    Home "heat2d" ["0.9"] "heat2d" "heat2d 4096 4096" 4 ANTIQUE NONE 5;
    Home "ICON" ["2024.07"] "bin/icon" "icon" 8 DATA NONE 6;
    Home "PLUTO" ["4.4"] "pluto" "pluto -i disk.ini" 8 DATA NONE 3;
    Home "athena" ["21.0"] "bin/athena" "athena -i athinput.blast" 6 DATA NONE 3;
    Conda "python" ["3.10.14" "3.11.9"] "bin/python3.11" "python3.11 train.py" 1 GPU TORCH 22;
    Conda "snakemake" ["8.4.0"] "bin/python3.12" "python3.12 /opt/conda/envs/snakemake/bin/snakemake -j 8" 1 C WORKFLOW 6;
    Conda "minimap2" ["2.28"] "bin/minimap2" "minimap2 -a ref.fa reads.fq" 1 ZIP NONE 4;
    Conda "kraken2" ["2.1.3"] "libexec/classify" "classify -d nt" 1 ZIP NONE 3;
    Conda "openmm" ["8.1.1"] "bin/python3.9" "python3.9 simulate.py" 1 GPU NUMPY 4;
    Vendor "VASP" ["6.4.2" "6.5.0"] "bin/vasp_std" "vasp_std" 8 DENSE NONE 26;
    Vendor "Gaussian" ["16.C.02"] "l502.exe" "l502.exe 4GB Gau-1.chk" 1 C NONE 7;
    Vendor "ANSYS Fluent" ["2024R1"] "fluent_mpi" "fluent_mpi -t8" 4 MPI NONE 5;
    Vendor "MATLAB" ["R2023b" "R2024b"] "bin/glnxa64/MATLAB" "MATLAB -batch fit" 1 NET NONE 8;
    Vendor "Abaqus" ["2024"] "bin/standard" "standard -job beam" 2 MPI NONE 4;
    Vendor "STAR-CCM+" ["19.04"] "bin/starccm+" "starccm+ -batch wing.sim" 4 MPI NONE 4;
    Vendor "ORCA" ["6.0.0"] "orca_scf_mpi" "orca_scf_mpi mol.gbw" 6 DENSE NONE 5;
    Vendor "Julia" ["1.10.5"] "bin/julia" "julia fit.jl" 1 C NONE 5;
    Unknown "a.out" ["0"] "a.out" "./a.out" 1 OWN NONE 12;
    Unknown "lmp" ["0"] "bin/lmp" "lmp -in in.lj" 4 FFT NONE 5;
    Unknown "mc_ising" ["0"] "ising/mc_ising" "mc_ising 128 2.27" 1 C NONE 6;
    Unknown "train" ["0"] "venv/bin/python" "python train.py" 1 GPU TORCH 6;
    Unknown "run.x" ["0"] "work/run.x" "run.x input.nml" 4 DENSE NONE 5;
    Home "<script>alert('ogrt')</script>" ["<b>1</b>"] "bin/x" "x <img src=x onerror=alert(1)>" 1 C NONE 1;
    Hostile "html" ["0"] "<img src=x onerror=alert(1)>" "\"><script>alert(2)</script>" 1 C NONE 1;
    Hostile "bidirectional" ["0"] "\u{202e}gnp.exe\u{2066}/\u{200f}run" "\u{202e}txt.elif" 1 C NONE 1;
    Hostile "long" ["0"] "{long}" "long" 1 C NONE 1;
    Hostile "spaces" ["0"] "my  program\n\tand; rm -rf $HOME" "'; DROP TABLE jobs; --" 1 C NONE 1;
};

/// The programs of a distribution that scripts call on their way.
pub const COMMANDS: &[Code] = codes! {
    Dpkg "coreutils" ["9.1-1"] "bin/cp" "cp restart.chk /scratch" 1 C NONE 30;
    Dpkg "sed" ["4.9-1"] "bin/sed" "sed -i s/STEPS/1000/ input.nml" 1 C NONE 30;
    Dpkg "mawk" ["1.3.4.20200120-3.1"] "bin/mawk" "mawk {print$2} energy.dat" 1 C NONE 12;
    Dpkg "tar" ["1.34+dfsg-1.2"] "bin/tar" "tar cJf results.tar.xz out" 1 OLD NONE 8;
    Dpkg "rsync" ["3.2.7-1"] "bin/rsync" "rsync -a out/ archive:/project" 1 NET NONE 6;
    Dpkg "perl" ["5.36.0-7"] "bin/perl" "perl collect.pl" 1 C NONE 5;
    Dpkg "python3.11" ["3.11.2-6"] "bin/python3.11" "python3.11 prepare.py" 1 ZIP PANDAS 12;
};

/// The shell that is the script of a job.
pub const SHELL: &Code = &Code {
    name: "bash",
    origin: Origin::Dpkg,
    versions: &["5.2.15-2"],
    program: "bin/bash",
    arguments: "bash /var/spool/slurmd/job/slurm_script",
    ranks: 1,
    libraries: C,
    packages: NONE,
    weight: 0,
};
