//! The object with code for static programs, in the prefix of the tests that need it.

use crate::prefix::prefix;
use object::{Object, ObjectSection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use xtask::static_object::{MACHINES, Machine};
use xtask::workspace::Workspace;

/// Bytes of the piece that a linker leaves as they are, behind the entry.
const UNCHANGED: std::ops::Range<usize> = 64..256;

/// The object for this machine, put into the prefix where `cargo xtask install` puts it; `None` on
/// a machine for which there is no code.
pub fn static_object() -> Option<&'static Path> {
    static OBJECT: OnceLock<Option<PathBuf>> = OnceLock::new();
    OBJECT
        .get_or_init(|| {
            let target = Workspace::find().expect("a workspace").host;
            Some(install(Machine::of_target(&target)?, &target, None))
        })
        .as_deref()
}

/// The objects for all machines whose programs can be built and run here, each put into the prefix.
pub fn static_objects() -> Vec<(&'static Machine, PathBuf)> {
    let own = Workspace::find().expect("a workspace").host;
    let others = [("aarch64", "aarch64-linux-gnu-gcc")];
    let objects = MACHINES.iter().filter_map(|machine| {
        if own.starts_with(machine.name) {
            return Some((machine, static_object()?.to_owned()));
        }
        let (_, linker) = others.iter().find(|(name, _)| *name == machine.name)?;
        // The code knows no C library, so either target will do.
        let targets = ["gnu", "musl"].map(|libc| format!("{}-unknown-linux-{libc}", machine.name));
        let target = targets.iter().find(|target| has_target(target));
        let (true, Some(target)) = (crate::has_tool(linker), target) else {
            assert!(std::env::var_os("CI").is_none(), "needs {linker} and a Rust target for {machine:?}");
            println!("skipped: needs {linker} and a Rust target for {}", machine.name);
            return None;
        };
        Some((machine, install(machine, target, Some(linker))))
    });
    objects.collect()
}

fn has_target(target: &str) -> bool {
    let found = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let folder = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    folder.is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn install(machine: &Machine, target: &str, linker: Option<&str>) -> PathBuf {
    let workspace = Workspace::find().expect("a workspace");
    let built = machine.build(&workspace, target, linker, |cargo| {
        assert!(cargo.arg("--quiet").status()?.success(), "the code for static programs does not build");
        Ok(())
    });
    let built = built.unwrap_or_else(|error| panic!("{error:#}"));
    let folder = prefix().join("lib/ogrt");
    fs::create_dir_all(&folder).expect("a folder");
    let installed = folder.join(machine.object_name());
    fs::copy(built, &installed).expect("an object");
    installed
}

/// The file has our code in it, and how often.
pub fn carries_code(file: &Path, object: &Path) -> usize {
    let (file, object) = (fs::read(file).expect("a program"), fs::read(object).expect("an object"));
    let object = object::File::parse(&*object).expect("an object");
    let section = object.section_by_name(".text.ogrt").expect("the section of the code");
    let piece = &section.data().expect("its bytes")[UNCHANGED];
    file.windows(piece.len()).filter(|bytes| *bytes == piece).count()
}
