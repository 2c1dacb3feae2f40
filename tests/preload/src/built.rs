//! The library, built as `cargo xtask` builds it, once for all tests of a run, and for other
//! machines too.

use crate::needs::{has_all, has_target};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A machine other than this one: Rust and Debian's cross compiler build for it, and qemu's user
/// mode runs its programs.
#[derive(Debug)]
pub struct Machine {
    /// Rust's name of the target.
    pub target: &'static str,
    /// The C compiler for it.
    pub gcc: &'static str,
    /// The program that runs its programs.
    pub qemu: &'static str,
    /// The folder of its loader and libc.
    pub root: &'static str,
}

/// All machines of `preload/src/arch/` except x86_64.
pub const MACHINES: [Machine; 3] = [
    Machine {
        target: "aarch64-unknown-linux-gnu",
        gcc: "aarch64-linux-gnu-gcc",
        qemu: "qemu-aarch64",
        root: "/usr/aarch64-linux-gnu",
    },
    Machine {
        target: "riscv64gc-unknown-linux-gnu",
        gcc: "riscv64-linux-gnu-gcc",
        qemu: "qemu-riscv64",
        root: "/usr/riscv64-linux-gnu",
    },
    Machine {
        target: "powerpc64le-unknown-linux-gnu",
        gcc: "powerpc64le-linux-gnu-gcc",
        qemu: "qemu-ppc64le",
        root: "/usr/powerpc64le-linux-gnu",
    },
];

impl Machine {
    /// Tells whether all that it takes is here; else says that the test is skipped.
    pub fn is_there(&self) -> bool {
        has_all(&[self.gcc, self.qemu]) && has_target(self.target)
    }

    /// The library for this machine.
    pub fn library(&self) -> PathBuf {
        let linker = format!("CARGO_TARGET_{}_LINKER", self.target.to_uppercase().replace('-', "_"));
        build(Some(self.target), &[(&linker, self.gcc)])
    }
}

fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("preload")
}

fn build(machine: Option<&str>, variables: &[(&str, &str)]) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../preload/Cargo.toml");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--manifest-path"]).arg(manifest);
    cargo.arg("--target-dir").arg(target()).envs(variables.iter().copied());
    if let Some(machine) = machine {
        cargo.args(["--target", machine]);
    }
    assert!(cargo.status().is_ok_and(|status| status.success()), "libogrt.so does not build: {machine:?}");
    let folder = machine.map_or_else(target, |machine| target().join(machine));
    folder.join("release/libogrt.so").canonicalize().unwrap_or_default()
}

/// Path of `libogrt.so`.
pub fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(None, &[]))
}

/// The library for this machine, and for each other that can be run here.
pub fn libraries() -> &'static [PathBuf] {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let others = MACHINES.iter().filter(|machine| machine.is_there()).map(Machine::library);
        [library().to_owned()].into_iter().chain(others).collect()
    })
}

/// Makes a shared object in `folder` that does nothing, to compare with: loading any library has a
/// cost.
pub fn empty_library(folder: &Path) -> PathBuf {
    let path = folder.join("libempty.so");
    let source = folder.join("empty.c");
    let built = fs::write(&source, "").is_ok()
        && Command::new("gcc")
            .args(["-shared", "-fPIC", "-nostdlib", "-Wl,-z,noseparate-code,-z,norelro", "-o"])
            .args([&path, &source])
            .status()
            .is_ok_and(|status| status.success());
    assert!(built, "gcc does not make {}", path.display());
    path
}
