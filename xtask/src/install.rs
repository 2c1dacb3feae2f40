//! `cargo xtask install`: puts the programs and the library into a prefix.
//!
//! | folder | holds |
//! |---|---|
//! | PREFIX/bin | the programs; `ogrt-c++` and `ogrt-fc` are other names of `ogrt-cc` |
//! | PREFIX/lib | `libogrt.so` |
//! | PREFIX/lib/ogrt | the same for each loader by `$LIB`, and one for 32-bit programs that does nothing; the object for static programs |
//! | PREFIX/lib/systemd/system | the units of the server and of the observer |
//! | PREFIX/libexec/ogrt | the linker wrapper under each name that a compiler driver asks for |
//! | PREFIX/share | manual pages and completions |
//! | PREFIX/share/ogrt | what EasyBuild, Spack, schedulers and dashboards read |

use crate::{
    known_tools,
    machine::{BUILD_TOOLS, install_tools, static_linkage},
    manuals,
    programs::{self, Built},
    put_file, share, silent_library,
    steps::Steps,
    workspace::Workspace,
};
use anyhow::{Context, Result};
use clap::Args;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  cargo xtask install --prefix /opt/ogrt
  DESTDIR=/tmp/package cargo xtask install --prefix /usr";

/// Build the programs and libogrt.so, and install them.
///
/// Packagers set DESTDIR: the files are put below that directory, and the prefix in them stays DIR.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Install {
    /// The directory to install into: files go to DIR/bin, DIR/lib, DIR/libexec and DIR/share.
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,
}

/// The units by which systemd runs the server, and the observer and the month's report where a site
/// wants them.
const UNITS: [(&str, &str); 6] = [
    ("ogrt-observe.service", include_str!("../../observe/systemd/ogrt-observe.service")),
    ("ogrt-observe.socket", include_str!("../../observe/systemd/ogrt-observe.socket")),
    ("ogrt-report.service", include_str!("../../server/systemd/ogrt-report.service")),
    ("ogrt-report.timer", include_str!("../../server/systemd/ogrt-report.timer")),
    ("ogrt-server.service", include_str!("../../server/systemd/ogrt-server.service")),
    ("ogrt-server.socket", include_str!("../../server/systemd/ogrt-server.socket")),
];

impl Install {
    /// Runs the chore.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let prefix = std::path::absolute(&self.prefix).with_context(|| self.prefix.display().to_string())?;
        let directory = match env::var_os("DESTDIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => Path::new(&dir).join(prefix.strip_prefix("/").unwrap_or(&prefix)),
            None => prefix.clone(),
        };
        let mut steps = Steps::new(4);
        steps.step("tools of this machine", |step| install_tools(step, BUILD_TOOLS))?;
        let linkage =
            steps.step("Rust target for static programs", |step| Ok(static_linkage(step, &workspace)))?;
        let built =
            steps.step("build programs and library", |step| programs::build(step, &workspace, &linkage))?;
        steps.step(&format!("install into {}", directory.display()), |_| {
            install_into(&directory, &prefix, &built)
        })
    }
}

/// Installs the built files into `prefix`.
pub fn into(prefix: &Path, built: &Built) -> Result<()> {
    install_into(prefix, prefix, built)
}

/// Installs the built files into `directory`, from where a packager moves them to `prefix`.
fn install_into(directory: &Path, prefix: &Path, built: &Built) -> Result<()> {
    let (bin, lib, libexec) = (directory.join("bin"), directory.join("lib"), directory.join("libexec/ogrt"));
    let systemd = lib.join("systemd/system");
    for folder in [&bin, &lib, &libexec, &systemd] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    for program in &built.programs {
        put_file::copy(program, &bin)?;
    }
    put_file::copy(&built.library, &lib)?;
    silent_library::install(&lib)?;
    if let Some(object) = &built.static_object {
        let folder = lib.join("ogrt");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        put_file::copy(object, &folder)?;
    }
    put_other_names(&bin, &libexec)?;
    for (name, unit) in UNITS {
        put_file::write(&systemd.join(name), &unit.replace("@PREFIX@", &prefix.display().to_string()))?;
    }
    share::install(directory)?;
    manuals::install(directory)
}

/// Puts the other names of the two wrappers into `bin` and `libexec`, as links.
fn put_other_names(bin: &Path, libexec: &Path) -> Result<()> {
    for name in known_tools::wrappers().filter(|name| *name != "ogrt-cc") {
        put_file::link(Path::new("ogrt-cc"), &bin.join(name))?;
    }
    for name in known_tools::COMPANION_TOOLS {
        put_file::link(Path::new("ogrt-cc"), &bin.join(format!("ogrt-{name}")))?;
    }
    for (name, _) in known_tools::linkers() {
        put_file::link(Path::new("../../bin/ogrt-ld"), &libexec.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use known_tools::{TOOLS, ToolKind};
    use std::collections::BTreeSet;

    #[test]
    fn each_known_linker_and_wrapper_has_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let (bin, libexec) = (dir.path().join("bin"), dir.path().join("libexec"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&libexec).unwrap();
        put_other_names(&bin, &libexec).unwrap();
        for tool in TOOLS {
            let (link, target) = match tool.kind {
                ToolKind::Linker { .. } => (libexec.join(tool.name), "../../bin/ogrt-ld"),
                ToolKind::Wrapper { .. } if tool.name != "ogrt-cc" => (bin.join(tool.name), "ogrt-cc"),
                _ => continue,
            };
            assert_eq!(fs::read_link(link).unwrap(), Path::new(target), "{}", tool.name);
        }
    }

    /// The hooks cannot read the table, so they have lists of their own.
    #[test]
    fn the_easybuild_hooks_know_the_tools_of_the_table() {
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../easybuild-hooks/ogrt_easybuild/build_environment.py");
        let hooks = fs::read_to_string(hooks).unwrap();
        let words = |list: &str| -> BTreeSet<String> {
            let (_, rest) = hooks.split_once(&format!("\n{list} = ")).expect(list);
            let (list, _) = rest.split_once(".split()").expect("a list of words");
            let quoted = list.split('"').skip(1).step_by(2);
            quoted.flat_map(str::split_whitespace).map(str::to_owned).collect()
        };
        let named = |kind: fn(&ToolKind) -> bool| -> BTreeSet<String> {
            let rows = TOOLS.iter().filter(|tool| kind(&tool.kind));
            rows.map(|tool| tool.name.to_owned()).collect()
        };
        assert_eq!(words("LINKERS"), named(|kind| matches!(kind, ToolKind::Linker { .. })));
        let drivers = named(|kind| matches!(kind, ToolKind::Driver(..)));
        let unknown: Vec<_> = words("COMPILERS").difference(&drivers).cloned().collect();
        assert!(words("COMPILERS").len() > 20 && unknown.is_empty(), "not in the table: {unknown:?}");
    }
}
