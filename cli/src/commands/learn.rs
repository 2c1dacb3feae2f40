//! `ogrt learn`: teaches the server what unregistered programs and libraries are.
//!
//! Files are sent in batches, each whole and durable before the next one, so a command that was
//! interrupted goes on when it is run again.

use crate::{
    api_client::ApiClient,
    exit_status::{ExitStatus, complain, print, print_line},
    learn::{self, Package, ProgramFile, Root},
};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use ogrt_proto::hex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Most files of one batch, and most bytes of their paths and sketches.
const BATCH_FILES: usize = 5000;
const BATCH_BYTES: usize = 2 << 20;

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt learn --dpkg --conda /opt/conda/envs/ml --easybuild /apps\n\
\x20 ogrt learn --tree /opt/vasp/6.4.2 --name VASP --version 6.4.2\n\
\x20 ogrt learn --dpkg --root /srv/images/node-12 --source node-12";

/// Teach the server what unregistered programs and libraries are, by what is installed here.
///
/// Answers then name them, for the past as well. The server needs a token with the scope
/// "administer", in the file that OGRT_TOKEN_FILE names. docs/learn.md tells more.
///
/// Exit status: 0 files were learned, or all were known; 1 there are none; 2 error.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct LearnCommand {
    #[command(flatten)]
    packages: PackageSources,

    /// The name of the software in `--tree`.
    #[arg(long, value_name = "NAME", requires = "tree")]
    name: Option<String>,

    /// Its version.
    #[arg(long = "version", value_name = "VERSION", requires = "tree", default_value = "")]
    version: String,

    /// The directory that is `/` of what is learned, such as an unpacked container image.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The name of where this was learned, such as that of a node image. Default: this host's name.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Send no sketches: unknown programs will not be compared with what is learned.
    #[arg(long)]
    no_sketches: bool,

    /// Find the files, and teach nothing.
    #[arg(long)]
    dry_run: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The places where packages are looked for.
#[derive(Args)]
#[group(required = true, multiple = true)]
struct PackageSources {
    /// Packages of Debian and Ubuntu.
    #[arg(long)]
    dpkg: bool,

    /// Packages of RPM, as the command `rpm` lists them.
    #[arg(long)]
    rpm: bool,

    /// The packages of a conda environment.
    #[arg(long, value_name = "DIR")]
    conda: Vec<PathBuf>,

    /// The packages of a Python environment, or of a directory such as `dist-packages`.
    #[arg(long, value_name = "DIR")]
    venv: Vec<PathBuf>,

    /// The installations of Spack: `index.json` of its database, or the directory that has it.
    #[arg(long, value_name = "DB")]
    spack: Vec<PathBuf>,

    /// The installations of EasyBuild: its installpath, with `software/NAME/VERSION` below.
    #[arg(long, value_name = "ROOT")]
    easybuild: Vec<PathBuf>,

    /// What Lmod's modules show, by its spider cache: `spiderT.lua`, the directory that has it, or
    /// what `spider -o spider-json` prints.
    #[arg(long, value_name = "CACHE")]
    lmod: Vec<PathBuf>,

    /// A directory with one software, whose name and version are given.
    #[arg(long, value_name = "DIR", requires = "name")]
    tree: Option<PathBuf>,
}

impl LearnCommand {
    /// Reads what is installed, and sends it. Answers no where there is nothing to learn.
    pub fn run(self) -> Result<ExitStatus> {
        let root = self.root.canonicalize().with_context(|| format!("--root {}", self.root.display()))?;
        ensure!(root.is_dir(), "--root {}: not a directory", root.display());
        let mut root = Root::new(&root);
        let packages = self.packages(&mut root)?;
        let (files, unreadable) = learn::find(&packages, &mut root, !self.no_sketches);
        let mut sums = json!({ "packages": packages.len(), "files": files.len(), "new": 0, "changed": 0,
            "known": 0, "sketches": 0, "unreadable": unreadable });
        if !self.dry_run && !files.is_empty() {
            self.teach(&packages, &files, &mut sums)?;
        }
        if unreadable > 0 {
            complain(format_args!("{unreadable} files could not be read, and are not learned"));
        }
        if self.json {
            print(serde_json::to_string_pretty(&sums)? + "\n")?;
        } else {
            let found = format!("{} programs and libraries of {} packages", files.len(), packages.len());
            match self.dry_run {
                true => print_line(format_args!("{found}"))?,
                false => print_line(format_args!(
                    "{found}: {} new, {} changed, {} known, {} sketches",
                    sums["new"], sums["changed"], sums["known"], sums["sketches"]
                ))?,
            }
        }
        Ok(if files.is_empty() { ExitStatus::No } else { ExitStatus::Yes })
    }

    fn packages(&self, root: &mut Root) -> Result<Vec<Package>> {
        let mut packages = Vec::new();
        let from = &self.packages;
        if from.dpkg {
            packages.extend(learn::dpkg(root)?);
        }
        if from.rpm {
            packages.extend(learn::rpm(root)?);
        }
        for environment in &from.conda {
            packages.extend(learn::conda(&absolute(environment)?, root)?);
        }
        for environment in &from.venv {
            packages.extend(learn::venv(&absolute(environment)?, root)?);
        }
        for database in &from.spack {
            packages.extend(learn::spack(&absolute(database)?, root)?);
        }
        for installpath in &from.easybuild {
            packages.extend(learn::easybuild(&absolute(installpath)?, root)?);
        }
        for cache in &from.lmod {
            packages.extend(learn::lmod(&absolute(cache)?, root)?);
        }
        if let (Some(tree), Some(name)) = (&from.tree, &self.name) {
            packages.extend(learn::tree(&absolute(tree)?, name, &self.version, root)?);
        }
        Ok(packages)
    }

    /// Sends the files batch by batch, and adds up what the server says.
    fn teach(&self, packages: &[Package], files: &[ProgramFile], sums: &mut Value) -> Result<()> {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let source = self.source.clone().unwrap_or_else(host);
        let server = ApiClient::from_environment()?;
        let mut sent = 0;
        while sent < files.len() {
            let (mut bytes, begin) = (0, sent);
            while sent < files.len() && sent - begin < BATCH_FILES && bytes < BATCH_BYTES {
                let sketch = files[sent].sketch.as_ref().map_or(0, Vec::len);
                bytes += files[sent].path.as_os_str().len() + sketch.div_ceil(3) * 4;
                sent += 1;
            }
            let batch = json!({ "source": source, "packages": in_json(packages, &files[begin..sent]) });
            let answer = server.learn(&batch).with_context(|| match begin {
                0 => "nothing is learned".to_owned(),
                _ => format!("only the first {begin} files are learned; run the command again"),
            })?;
            for key in ["new", "changed", "known", "sketches"] {
                let of = |value: &Value| value[key].as_u64().unwrap_or(0);
                sums[key] = (of(sums) + of(&answer)).into();
            }
        }
        Ok(())
    }
}

/// The path from the root on. Inside of another root a path has no current directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// Files of a batch, by their packages. A path that is not text cannot be told, but its build-id
/// can.
fn in_json(packages: &[Package], files: &[ProgramFile]) -> Vec<Value> {
    let by_package = files.chunk_by(|left, right| left.package == right.package);
    let of_package = |files: &[ProgramFile]| {
        let Package { software, version, name, packager, .. } = &packages[files[0].package];
        let file = |file: &ProgramFile| {
            let path = file.path.to_str().unwrap_or_default();
            let sketch = file.sketch.as_ref().map(|sketch| STANDARD.encode(sketch)).unwrap_or_default();
            (!path.is_empty() || !file.build_id.is_empty())
                .then(|| json!({ "path": path, "build_id": hex(&file.build_id), "sketch": sketch }))
        };
        json!({ "packager": packager, "software": software, "version": version, "package": name,
            "files": files.iter().filter_map(file).collect::<Vec<_>>() })
    };
    by_package.map(of_package).collect()
}
