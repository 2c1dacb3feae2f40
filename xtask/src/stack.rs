//! A small stack of software, to ask about: a library, what contains it, and a program in two
//! builds. docs/questions.md asks about it.
//!
//! | part of the stack | what it is |
//! |---|---|
//! | `libcrun.so` | a compiler's runtime |
//! | `libsum.a` | a static library |
//! | `vec.h` | a library that is a header alone |
//! | `libmid.so` | a library that contains `libsum.a` |
//! | `solver` | a program in two builds, linked with `libmid.so` |
//! | `plot` | a program that is linked with the runtime alone |
//! | `tool` | a program that nobody registered |

use crate::{child, site::Site};
use anyhow::{Context, Result};
use std::{fs, path::Path};

const SOURCES: [(&str, &str); 7] = [
    ("crun.c", "int crun_start(void) { return 1; }\n"),
    ("sum.c", "int sum(int n) { int s = 0; for (int i = 0; i <= n; i++) s += i; return s; }\n"),
    ("mid.c", "int sum(int); int crun_start(void);\nint mid(int n) { return sum(n) * crun_start(); }\n"),
    ("vec.h", "static inline int vec_dot(int a, int b) { return a * b; }\n"),
    ("solver.c", "#include \"vec.h\"\nint mid(int);\nint main(void) { return vec_dot(mid(3), 0); }\n"),
    ("plot.c", "int crun_start(void);\nint main(void) { return crun_start() - 1; }\n"),
    ("tool.c", "int main(void) { return 0; }\n"),
];

/// The option by which a program finds its libraries.
const HERE: &str = "-Wl,-rpath,$ORIGIN:$ORIGIN/..";

/// A link by the wrapper.
#[derive(Clone, Copy, Debug)]
pub struct StackLink {
    /// The name of the software.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The compiler and its arguments.
    pub arguments: &'static [&'static str],
}

/// All links by the wrapper, in their order; `plot` is the last.
pub const LINKS: [StackLink; 5] = [
    StackLink {
        name: "crun",
        version: "1.0",
        arguments: &["gcc", "-O2", "-shared", "-fPIC", "crun.c", "-o", "libcrun.so"],
    },
    StackLink {
        name: "mid",
        version: "3.1",
        arguments: &[
            "gcc",
            "-O2",
            "-shared",
            "-fPIC",
            "mid.c",
            "libsum.a",
            "libcrun.so",
            HERE,
            "-o",
            "libmid.so",
        ],
    },
    StackLink {
        name: "solver",
        version: "1.0",
        arguments: &[
            "gcc",
            "-O2",
            "-DVEC_HEADER_ONLY",
            "solver.c",
            "libmid.so",
            "libcrun.so",
            HERE,
            "-o",
            "old/solver",
        ],
    },
    StackLink {
        name: "solver",
        version: "1.1",
        arguments: &[
            "gcc",
            "-Ofast",
            "-DVEC_HEADER_ONLY",
            "solver.c",
            "libmid.so",
            "libcrun.so",
            HERE,
            "-o",
            "solver",
        ],
    },
    StackLink {
        name: "plot",
        version: "2.0",
        arguments: &["clang", "-O2", "plot.c", "libcrun.so", HERE, "-o", "games/plot"],
    },
];

/// Commands that need no wrapper: before the links, and after them.
pub const BEFORE: [&[&str]; 2] =
    [&["gcc", "-c", "-O2", "-fPIC", "sum.c"], &["ar", "rcs", "libsum.a", "sum.o"]];

/// See [`BEFORE`].
pub const AFTER: [&[&str]; 3] = [
    &["gcc", "tool.c", "-o", "tool"],
    &["cp", "solver", "patched/solver"],
    &["patchelf", "--replace-needed", "libmid.so", "libevil.so", "patched/solver"],
];

/// Puts the sources into a folder.
pub fn write_sources(folder: &Path) -> Result<()> {
    for name in ["old", "patched", "games"] {
        fs::create_dir_all(folder.join(name)).with_context(|| folder.display().to_string())?;
    }
    for (name, source) in SOURCES {
        fs::write(folder.join(name), source).with_context(|| folder.join(name).display().to_string())?;
    }
    Ok(())
}

/// Builds all of it in a folder of a site, as one user, and runs its programs in a job.
pub fn build_and_run(site: &Site, folder: &Path, job: &str) -> Result<()> {
    write_sources(folder)?;
    let run =
        |command: &[&str]| child::capture(site.command(command[0], folder).args(&command[1..])).map(drop);
    BEFORE.iter().try_for_each(|command| run(command))?;
    for link in &LINKS {
        let mut command = site.command(&site.program("ogrt-cc").to_string_lossy(), folder);
        command.env("OGRT_META_NAME", link.name).env("OGRT_META_VERSION", link.version);
        child::capture(command.args(link.arguments))?;
    }
    AFTER.iter().try_for_each(|command| run(command))?;
    // On a busy machine a record may wait in the spool.
    child::capture(&mut site.ogrt(&["flush"]))?;
    let script = "./solver; old/solver; games/plot; ./tool; true";
    let mut programs = site.ogrt(&["run", "--", "/bin/sh", "-c", script]);
    child::capture(programs.current_dir(folder).env("JOBID", job)).map(drop)
}
