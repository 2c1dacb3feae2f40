//! The demo's software: where its sources come from, how it is built, and which of its programs
//! run.

use crate::{site::Site, steps::Step, workspace::Workspace};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The job that the demo's programs run in.
pub const JOB_ID: &str = "demo";

/// One package that was built.
pub struct Software {
    /// Its name, which OGRT_META_NAME is set to.
    pub name: &'static str,
    /// Its version, which OGRT_META_VERSION is set to.
    pub version: &'static str,
    /// Its shared library.
    pub library: PathBuf,
    /// A program that loads it.
    pub program: PathBuf,
    /// The end of a path that must be among the library's inputs.
    pub input: &'static str,
    folder: PathBuf,
}

/// The folder of the crate that ships both sources, fetched by cargo.
pub fn fetch(step: &Step, workspace: &Workspace) -> Result<PathBuf> {
    let manifest = workspace.root.join("demo/Cargo.toml");
    let metadata = step.capture(
        workspace.cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(&manifest),
    )?;
    let metadata: Value =
        serde_json::from_str(&metadata).context("the output of cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let package = packages.iter().find(|package| package["name"] == "libz-sys");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let sources = manifest
        .and_then(|path| Path::new(path).parent())
        .context("cargo metadata does not list libz-sys, whose sources the demo builds")?;
    Ok(sources.join("src"))
}

impl Software {
    /// Builds zlib by its own configure script and make.
    pub fn zlib(step: &Step, site: &Site, sources: &Path, folder: &Path) -> Result<Software> {
        copy_tree(&sources.join("zlib"), folder)?;
        let zlib = Software {
            name: "zlib",
            version: "1.3.1",
            library: folder.join("libz.so.1.3.1"),
            program: folder.join("minigzipsh"),
            input: "deflate.lo",
            folder: folder.to_owned(),
        };
        step.run(&mut zlib.build_command(site, "./configure"))?;
        step.run(zlib.build_command(site, "make").arg(jobs()))?;
        Ok(zlib)
    }

    /// Builds zlib-ng by CMake.
    pub fn zlib_ng(step: &Step, site: &Site, sources: &Path, folder: &Path) -> Result<Software> {
        copy_tree(&sources.join("zlib-ng"), folder)?;
        let build = folder.join("build");
        let zlib_ng = Software {
            name: "zlib-ng",
            version: "2.1.6",
            library: build.join("libz-ng.so.2.1.6"),
            program: build.join("minigzip"),
            input: "deflate.c.o",
            folder: folder.to_owned(),
        };
        let options = [
            "-S",
            ".",
            "-B",
            "build",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DBUILD_SHARED_LIBS=ON",
            "-DWITH_GTEST=OFF",
        ];
        step.run(zlib_ng.build_command(site, "cmake").args(options))?;
        let targets = ["--build", "build", "--target", "zlib", "minigzip", "example"];
        step.run(zlib_ng.build_command(site, "cmake").args(targets).arg(jobs()))?;
        Ok(zlib_ng)
    }

    fn build_command(&self, site: &Site, program: &str) -> Command {
        let mut command = site.command(program, &self.folder);
        command.env("CC", "ogrt-cc").env("CXX", "ogrt-c++");
        command.env("OGRT_META_NAME", self.name).env("OGRT_META_VERSION", self.version);
        command
    }

    /// Packs and unpacks a file with the package's own program, tracked. Returns how many processes
    /// ran.
    pub fn run_programs(&self, step: &Step, site: &Site) -> Result<usize> {
        let text = self.folder.join("text");
        let content = "What did my job really run?\n".repeat(1000);
        fs::write(&text, &content).with_context(|| text.display().to_string())?;
        let libraries = self.library.parent().unwrap_or(&self.folder);
        let tracked = |arguments: &[&str]| {
            let mut command = site.ogrt(&["run", "--"]);
            command.arg(&self.program).args(arguments).arg(if arguments.is_empty() {
                "text"
            } else {
                "text.gz"
            });
            command.current_dir(&self.folder).env("LD_LIBRARY_PATH", libraries).env("JOBID", JOB_ID);
            command
        };
        step.run(&mut tracked(&[]))?;
        step.run(&mut tracked(&["-d"]))?;
        let unpacked = fs::read_to_string(&text).with_context(|| text.display().to_string())?;
        anyhow::ensure!(unpacked == content, "{} did not unpack what it had packed", self.program.display());
        Ok(2)
    }
}

fn jobs() -> String {
    format!("-j{}", std::thread::available_parallelism().map_or(1, usize::from))
}

/// Copies regular files and folders, so that the build writes into the copy and not into cargo's
/// sources.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry.with_context(|| from.display().to_string())?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}
