//! What the machine must have: Debian packages, and rustup's target and components.
//!
//! On Debian as root missing packages are installed; anywhere else one line says what is missing.
//! The programs are linked statically for musl, whose target rustup adds. Where it cannot, they are
//! linked for glibc with `crt-static`.

use crate::{child, steps::Step, workspace::Workspace};
use anyhow::{Context, Result, bail};
use std::{path::Path, process::Command};

/// A program that a chore calls, by its name on PATH or by its path, and its Debian package.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    program: &'static str,
    package: &'static str,
}

/// The tools that build the project and the demo's sources.
pub const BUILD_TOOLS: &[Tool] = &[
    Tool { program: "gcc", package: "gcc" },
    Tool { program: "ld", package: "binutils" },
    Tool { program: "make", package: "make" },
    Tool { program: "cmake", package: "cmake" },
];

/// What the demo's site in a box needs besides.
pub const SITE_TOOLS: &[Tool] =
    &[Tool { program: "clang", package: "clang" }, Tool { program: "patchelf", package: "patchelf" }];

/// The tools that the tests use besides: other compilers and linkers, tracers, libcs, and programs
/// that must not notice us.
pub const TEST_TOOLS: &[Tool] = &[
    Tool { program: "g++", package: "g++" },
    Tool { program: "gfortran", package: "gfortran" },
    Tool { program: "clang", package: "clang" },
    Tool { program: "ld.gold", package: "binutils" },
    Tool { program: "ld.lld", package: "lld" },
    Tool { program: "wasm-ld", package: "lld" },
    Tool { program: "mold", package: "mold" },
    Tool { program: "bwrap", package: "bubblewrap" },
    Tool { program: "bear", package: "bear" },
    Tool { program: "aarch64-linux-gnu-gcc", package: "gcc-aarch64-linux-gnu" },
    Tool { program: "riscv64-linux-gnu-gcc", package: "gcc-riscv64-linux-gnu" },
    Tool { program: "powerpc64le-linux-gnu-gcc", package: "gcc-powerpc64le-linux-gnu" },
    Tool { program: "arm-linux-gnueabihf-gcc", package: "gcc-arm-linux-gnueabihf" },
    Tool { program: "s390x-linux-gnu-gcc", package: "gcc-s390x-linux-gnu" },
    Tool { program: "qemu-aarch64", package: "qemu-user" },
    Tool { program: "/usr/aarch64-linux-gnu/lib/libc.a", package: "libc6-dev-arm64-cross" },
    Tool { program: "/usr/riscv64-linux-gnu/lib/libc.a", package: "libc6-dev-riscv64-cross" },
    Tool { program: "/usr/powerpc64le-linux-gnu/lib/libc.a", package: "libc6-dev-ppc64el-cross" },
    Tool { program: "/usr/arm-linux-gnueabihf/lib/libc.a", package: "libc6-dev-armhf-cross" },
    Tool { program: "/usr/s390x-linux-gnu/lib/libc.a", package: "libc6-dev-s390x-cross" },
    Tool { program: "arm-none-eabi-gcc", package: "gcc-arm-none-eabi" },
    Tool { program: "avr-gcc", package: "gcc-avr" },
    Tool { program: "/usr/lib/avr/lib/libc.a", package: "avr-libc" },
    Tool { program: "x86_64-w64-mingw32-gcc", package: "gcc-mingw-w64-x86-64" },
    Tool { program: "klcc", package: "libklibc-dev" },
    Tool { program: "diet", package: "dietlibc-dev" },
    Tool { program: "tcc", package: "tcc" },
    Tool { program: "proot", package: "proot" },
    Tool { program: "musl-gcc", package: "musl-tools" },
    Tool { program: "llvm-strip", package: "llvm" },
    Tool { program: "eu-strip", package: "elfutils" },
    Tool { program: "patchelf", package: "patchelf" },
    Tool { program: "rpmbuild", package: "rpm" },
    Tool { program: "chrpath", package: "chrpath" },
    Tool { program: "strace", package: "strace" },
    Tool { program: "gdb", package: "gdb" },
    Tool { program: "valgrind", package: "valgrind" },
    Tool { program: "faketime", package: "faketime" },
    Tool { program: "git", package: "git" },
    Tool { program: "ssh", package: "openssh-client" },
    Tool { program: "perl", package: "perl" },
    Tool { program: "python3", package: "python3" },
    Tool { program: "pip3", package: "python3-pip" },
    Tool { program: "/usr/share/doc/python3-seccomp/copyright", package: "python3-seccomp" },
    Tool { program: "/usr/lib32/libc.so", package: "libc6-dev-i386" },
    Tool { program: "openssl", package: "openssl" },
    Tool { program: "python3-config", package: "python3-dev" },
    Tool { program: "meson", package: "meson" },
    Tool { program: "ninja", package: "ninja-build" },
    Tool { program: "ccache", package: "ccache" },
    Tool { program: "bzip2", package: "bzip2" },
    Tool { program: "xz", package: "xz-utils" },
    Tool { program: "node", package: "nodejs" },
    Tool { program: "npm", package: "npm" },
    Tool { program: "chromium", package: "chromium" },
    Tool { program: "firefox-esr", package: "firefox-esr" },
    Tool { program: "go", package: "golang-go" },
    Tool { program: "javac", package: "default-jdk-headless" },
    Tool { program: "mvn", package: "maven" },
    Tool { program: "prometheus", package: "prometheus" },
    Tool { program: "socat", package: "socat" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "mpicc.openmpi", package: "libopenmpi-dev" },
    Tool { program: "mpirun.openmpi", package: "openmpi-bin" },
    Tool { program: "mpicc.mpich", package: "libmpich-dev" },
    Tool { program: "mpirun.mpich", package: "mpich" },
    Tool { program: "/usr/share/lmod/lmod/libexec/lmod", package: "lmod" },
    Tool { program: "tclsh", package: "tcl" },
    Tool { program: "/usr/sbin/munged", package: "munge" },
    Tool { program: "/usr/sbin/slurmctld", package: "slurmctld" },
    Tool { program: "/usr/sbin/slurmd", package: "slurmd" },
    Tool { program: "sbatch", package: "slurm-client" },
    Tool { program: "/usr/sbin/debootstrap", package: "debootstrap" },
    // Its own programs are off PATH; this one comes with them.
    Tool { program: "pg_lsclusters", package: "postgresql" },
    Tool { program: "systemd-analyze", package: "systemd" },
    Tool { program: "tcsh", package: "tcsh" },
    Tool { program: "zsh", package: "zsh" },
    Tool { program: "mksh", package: "mksh" },
    Tool { program: "busybox", package: "busybox" },
    Tool { program: "ruby", package: "ruby" },
    Tool { program: "lua5.4", package: "lua5.4" },
    Tool { program: "sqlite3", package: "sqlite3" },
    Tool { program: "rsync", package: "rsync" },
    Tool { program: "parallel", package: "parallel" },
    Tool { program: "sudo", package: "sudo" },
    Tool { program: "tmux", package: "tmux" },
    Tool { program: "screen", package: "screen" },
    Tool { program: "fakeroot", package: "fakeroot" },
    Tool { program: "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", package: "libjemalloc2" },
    Tool { program: "/usr/share/doc/python3-setproctitle/copyright", package: "python3-setproctitle" },
    Tool { program: "fish", package: "fish" },
    Tool { program: "man", package: "man-db" },
    Tool { program: "file", package: "file" },
    Tool { program: "nim", package: "nim" },
    Tool { program: "/usr/include/sqlite3.h", package: "libsqlite3-dev" },
];

/// The tools of real builds that run at full size only, because they are large.
pub const FULL_TEST_TOOLS: &[Tool] = &[
    Tool { program: "R", package: "r-base-core" },
    Tool { program: "/usr/lib/x86_64-linux-gnu/blas/libblas.so", package: "libblas-dev" },
    Tool { program: "ocamlopt", package: "ocaml-nox" },
    Tool { program: "m4", package: "m4" },
    Tool { program: "fpc", package: "fp-compiler" },
    Tool {
        program: "/usr/lib/x86_64-linux-gnu/fpc/3.2.2/units/x86_64-linux/fcl-base/contnrs.ppu",
        package: "fp-units-fcl",
    },
    Tool { program: "/usr/lib/linux-kbuild-6.1/scripts/mod/modpost", package: "linux-headers-amd64" },
    Tool { program: "/usr/include/zlib.h", package: "zlib1g-dev" },
    Tool { program: "/usr/include/pcre2.h", package: "libpcre2-dev" },
    Tool { program: "/usr/include/ncurses.h", package: "libncurses-dev" },
    Tool { program: "automake", package: "automake" },
    Tool { program: "pkg-config", package: "pkg-config" },
    Tool { program: "rr", package: "rr" },
    Tool { program: "hipcc", package: "hipcc" },
    Tool { program: "sbcl", package: "sbcl" },
    Tool { program: "php", package: "php-cli" },
    Tool { program: "erl", package: "erlang-base" },
    Tool { program: "guile", package: "guile-3.0" },
    Tool { program: "emacs", package: "emacs-nox" },
    Tool { program: "firejail", package: "firejail" },
    Tool { program: "/usr/lib/wine/wine64", package: "wine64" },
];

/// The other targets that libogrt.so is built for. Its tests run there in qemu's user mode.
const OTHER_TARGETS: [&str; 3] =
    ["aarch64-unknown-linux-gnu", "riscv64gc-unknown-linux-gnu", "powerpc64le-unknown-linux-gnu"];

/// How the programs are linked.
#[derive(Clone, Debug, PartialEq)]
pub enum Linkage {
    /// Statically, for the musl target of this name.
    Musl(String),
    /// Statically with glibc, for the target of this name with `crt-static`.
    StaticGlibc(String),
}

/// Installs those of `tools` that are missing.
pub fn install_tools(step: &Step, tools: &[Tool]) -> Result<()> {
    let mut packages: Vec<&str> =
        tools.iter().filter(|tool| !is_on_path(tool.program)).map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    let debian = Path::new("/etc/debian_version").exists() && is_on_path("apt-get");
    if !debian || !rustix::process::geteuid().is_root() {
        bail!(
            "this machine lacks the packages {wanted} (names as in Debian, where they are installed when you are root)"
        );
    }
    step.say(&format!("installing {wanted}"));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    step.run(&mut apt(&["update", "--quiet"]))?;
    let mut install = apt(&["install", "--quiet", "--yes", "--no-install-recommends"]);
    step.run(install.args(&packages)).with_context(|| format!("cannot install the packages {wanted}"))
}

/// Adds the Rust targets of the other machines, or says why not. The tests that need them say that
/// they are skipped.
pub fn install_targets(step: &Step) {
    if let Err(error) = step.run(Command::new("rustup").args(["target", "add"]).args(OTHER_TARGETS)) {
        step.say(&format!(
            "rustup cannot add the Rust targets of other machines, so their tests are skipped: {error}"
        ));
    }
}

/// Adds the musl target, or says why not.
pub fn static_linkage(step: &Step, workspace: &Workspace) -> Linkage {
    let architecture = workspace.host.split('-').next().unwrap_or("x86_64");
    let musl = format!("{architecture}-unknown-linux-musl");
    match step.run(Command::new("rustup").args(["target", "add", &musl]).current_dir(&workspace.root)) {
        Ok(()) => Linkage::Musl(musl),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            step.say(&format!(
                "rustup cannot add the Rust target {musl} ({reason}). The programs are linked statically with \
                 glibc instead: they start a third of a millisecond slower"
            ));
            Linkage::StaticGlibc(workspace.host.clone())
        }
    }
}

/// Adds rustfmt and clippy where they are missing.
pub fn install_lints(step: &Step) -> Result<()> {
    if child::exists("rustfmt") && child::exists("cargo-clippy") {
        return Ok(());
    }
    step.run(Command::new("rustup").args(["component", "add", "rustfmt", "clippy"]))
        .context("rustup cannot add rustfmt and clippy")
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::{BUILD_TOOLS, FULL_TEST_TOOLS, TEST_TOOLS};
    use std::collections::BTreeSet;

    #[test]
    fn each_tool_is_named_once() {
        let tools: Vec<_> =
            BUILD_TOOLS.iter().chain(TEST_TOOLS).chain(FULL_TEST_TOOLS).map(|tool| tool.program).collect();
        let different: BTreeSet<_> = tools.iter().collect();
        assert_eq!(tools.len(), different.len(), "{tools:?}");
    }
}
