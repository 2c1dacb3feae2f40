//! An installed prefix: the programs as cargo built them, in the layout that `cargo xtask install`
//! makes.

use ogrt_wrap::tool::known_tools;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The prefix of this test program, made at its first use under the target directory.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(make)
}

fn make() -> PathBuf {
    let program = std::env::current_exe().expect("our own path");
    // target/debug/deps/test-1234
    let built = program.ancestors().nth(2).expect("a target directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "-p", "ogrt-ld", "-p", "ogrt-cc", "--target-dir"]);
    cargo.arg(built.parent().expect("a target directory"));
    if built.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().expect("cargo runs").success(), "the wrappers do not build");

    let name = program.file_name().expect("a file name");
    let prefix = built.join("wrapper-prefixes").join(name);
    let _ = fs::remove_dir_all(&prefix);
    let (bin, libexec) = (prefix.join("bin"), prefix.join("libexec/ogrt"));
    fs::create_dir_all(&bin).expect("a prefix");
    fs::create_dir_all(&libexec).expect("a prefix");
    for program in ["ogrt-cc", "ogrt-ld"] {
        fs::copy(built.join(program), bin.join(program)).expect("a built program");
    }
    for wrapper in known_tools::wrappers().filter(|name| *name != "ogrt-cc") {
        symlink("ogrt-cc", bin.join(wrapper)).expect("a link");
    }
    for tool in known_tools::COMPANION_TOOLS {
        symlink("ogrt-cc", bin.join(format!("ogrt-{tool}"))).expect("a link");
    }
    for (linker, _) in known_tools::linkers() {
        symlink("../../bin/ogrt-ld", libexec.join(linker)).expect("a link");
    }
    prefix
}
