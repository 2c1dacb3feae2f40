//! The real EasyBuild in one version, from PyPI, in a virtual environment under cargo's target
//! folder.
//!
//! Each test gives it a folder with configuration, sources, builds, installations and modules of
//! its own. The toolchain `GCC/system` is the machine's compiler behind a module: so RPATH wrappers
//! are in use, and nothing large is built.

use crate::{module_tools, needs};
use anyhow::Result;
use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};
use xtask::{child, workspace::Workspace};

/// The version that the hooks are tested with.
const VERSION: &str = "5.4.1";

/// The hooks file that is installed with OGRT.
pub const HOOKS: &str = "share/ogrt/easybuild/ogrt_hooks.py";

static ENVIRONMENT: LazyLock<PathBuf> =
    LazyLock::new(|| install().unwrap_or_else(|error| panic!("EasyBuild {VERSION}: {error:#}")));

/// The installed EasyBuild. It is kept between runs, and a test waits while another installs it.
fn install() -> Result<PathBuf> {
    let folder = Workspace::find()?.target.join(format!("easybuild-{VERSION}"));
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let complete = folder.join("complete");
    if !complete.exists() {
        child::run(Command::new("python3").args(["-m", "venv"]).arg(&folder), &mut |_| {})?;
        let packages = ["framework", "easyblocks"].map(|part| format!("easybuild-{part}=={VERSION}"));
        let mut pip = Command::new(folder.join("bin/python"));
        child::run(pip.args(["-m", "pip", "install", "--quiet"]).args(packages), &mut |_| {})?;
        File::create(complete)?;
    }
    Ok(folder)
}

/// The programs that EasyBuild needs.
pub fn has_all() -> bool {
    needs::has(&["python3", "gcc", "g++", "gfortran", "cmake", "make", "readelf", module_tools::LMOD], false)
}

/// One site's EasyBuild.
pub struct EasyBuild<'a> {
    stage: &'a Stage,
    folder: PathBuf,
}

impl<'a> EasyBuild<'a> {
    /// Makes one with the sources of the easyconfigs in this package, and nothing installed.
    pub fn new(stage: &'a Stage) -> Self {
        let folder = stage.folder().join("easybuild");
        for name in ["sources", "home", "tmp"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let this = EasyBuild { stage, folder };
        let zlib = stage.folder().join("zlib-1.3.1");
        copy_sources(&zlib_sources(), &zlib);
        fs::set_permissions(zlib.join("configure"), fs::Permissions::from_mode(0o755)).unwrap();
        this.pack(&zlib);
        for name in ["squeeze-0.2", "waves-1.0"] {
            this.pack(&needs::file("sources").join(name));
        }
        this
    }

    /// The folder of the site.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The directory that a package is installed into.
    pub fn software(&self, name: &str) -> PathBuf {
        self.folder.join("software").join(name)
    }

    /// The command `eb` of this site, with EasyBuild's check for root switched off.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.command("eb");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("EASYBUILD_") {
                command.env_remove(name);
            }
        }
        let bin = ENVIRONMENT.join("bin");
        let lmod = Path::new(module_tools::LMOD);
        let path = std::env::var("PATH").unwrap_or_default();
        let lmod_folder = lmod.parent().unwrap_or(lmod);
        command
            .env("PATH", format!("{}:{}:{path}", bin.display(), lmod_folder.display()))
            .env("EB_PYTHON", bin.join("python"))
            .env("LMOD_CMD", lmod)
            .env("HOME", self.folder.join("home"))
            .env("TMPDIR", self.folder.join("tmp"))
            .env("EASYBUILD_PREFIX", &self.folder)
            .env("EASYBUILD_ROBOT_PATHS", needs::file("easyconfigs"))
            .env("EASYBUILD_MODULES_TOOL", "Lmod")
            .env("EASYBUILD_OPTARCH", "GENERIC")
            .env("EASYBUILD_RPATH", "1")
            .env("EASYBUILD_PARALLEL", "2")
            .env("EASYBUILD_ALLOW_USE_AS_ROOT_AND_ACCEPT_CONSEQUENCES", "1")
            .args(arguments);
        command
    }

    /// The command `eb` with the installed hooks.
    pub fn with_hooks(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("EASYBUILD_HOOKS", ogrt_end_to_end::prefix().join(HOOKS));
        command
    }

    /// All lines of OGRT in the logs of the installed packages.
    pub fn log_lines(&self, package: &str) -> Vec<String> {
        let folder = self.software(package).join("easybuild");
        let logs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        logs.flatten()
            .filter(|log| log.path().extension().is_some_and(|extension| extension == "log"))
            .flat_map(|log| {
                let text = fs::read_to_string(log.path()).unwrap();
                text.lines().filter(|line| line.contains("OGRT: ")).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }

    fn pack(&self, folder: &Path) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(self.folder.join(format!("sources/{name}.tar.gz")));
        success(tar.arg("-C").arg(folder.parent().unwrap()).arg(name));
    }
}

/// Runs a command that must succeed.
pub fn success(command: &mut Command) -> Output {
    let output = see(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// The sources of zlib, in the crate that the demo builds, too.
fn zlib_sources() -> PathBuf {
    let workspace = Workspace::find().unwrap();
    let manifest = workspace.root.join("demo/Cargo.toml");
    let mut cargo = workspace.cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
    let metadata: Value = serde_json::from_str(&child::capture(cargo.arg(manifest)).unwrap()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "libz-sys").expect("libz-sys");
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("src/zlib")
}

fn copy_sources(from: &Path, to: &Path) {
    success(Command::new("cp").arg("-r").arg(from).arg(to));
}
