//! Spack as a caller.
//!
//! The package registries do not have Spack, so a double of its compiler wrapper stands in
//! (`sources/spack_cc.sh`). It does to command line and environment what Spack's documents say. The
//! parts of `spack/` that run without Spack are tested as they are.
//!
//! The tests pass when what Spack's `cc` runs does what the compiler would have done. They would
//! fail if ogrt-cc misread a line in a mode of Spack's wrapper (version check, preprocess,
//! assemble, compile, link, `ld`), if the filtered PATH hid the compiler, or if the metadata of
//! Spack's environment did not reach note and record.

use ogrt_end_to_end::{Stage, prefix, see, text};
use ogrt_integration::{easybuild::success, needs};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HASH: &str = "abcdefghijklmnopqrstuvwxyz234567";

/// A package in the middle of its build.
struct Build<'a> {
    stage: &'a Stage,
    wrapper: PathBuf,
    store: PathBuf,
}

impl<'a> Build<'a> {
    fn new(stage: &'a Stage) -> Self {
        let (wrapper, store) = (stage.folder().join("spack/env"), stage.folder().join("spack/opt"));
        fs::create_dir_all(&wrapper).unwrap();
        for name in ["cc", "c++", "fc", "ld"] {
            symlink(needs::file("sources/spack_cc.sh"), wrapper.join(name)).unwrap();
        }
        let build = Build { stage, wrapper, store };
        fs::create_dir_all(build.prefix().join("lib")).unwrap();
        fs::write(
            stage.folder().join("main.c"),
            "#include <math.h>\nint main(int n, char **v) { return !(cos(n) < 2); }\n",
        )
        .unwrap();
        fs::write(
            stage.folder().join("main.cpp"),
            "#include <string>\nint main() { return std::string(1, 'a') != \"a\"; }\n",
        )
        .unwrap();
        fs::write(stage.folder().join("main.f90"), "program main\nend program\n").unwrap();
        build
    }

    fn prefix(&self) -> PathBuf {
        self.store.join(format!("linux-x86_64_v3/squeeze-0.2-{HASH}"))
    }

    /// Calls Spack's wrapper, with our compilers or with the real ones behind it.
    fn call(&self, name: &str, arguments: &[&str], ours: bool) -> Command {
        // It is called by its name along PATH, as builds do.
        let mut command = self.stage.command("sh");
        command.args(["-c", &format!("exec {name} \"$@\""), "sh"]).args(arguments);
        let bin = prefix().join("bin");
        let real = |name: &str| {
            PathBuf::from(
                text(&success(Command::new("sh").args(["-c", &format!("command -v {name}")])).stdout).trim(),
            )
        };
        for (variable, wrapper, compiler) in
            [("CC", "ogrt-cc", "gcc"), ("CXX", "ogrt-c++", "g++"), ("FC", "ogrt-fc", "gfortran")]
        {
            let path = if ours { bin.join(wrapper) } else { real(compiler) };
            command.env(format!("SPACK_{variable}"), path);
            if ours {
                command.env(format!("OGRT_REAL_{variable}"), real(compiler));
            }
        }
        // Spack's PATH has its own folders first, then the rest; for `ld` ours are among the rest.
        let linkers =
            if ours { format!("{}:", prefix().join("libexec/ogrt").display()) } else { String::new() };
        let path = std::env::var("PATH").unwrap();
        command
            .env("PATH", format!("{}:.:{linkers}{path}", self.wrapper.display()))
            .env("SPACK_COMPILER_WRAPPER_PATH", &self.wrapper)
            .env("SPACK_SHORT_SPEC", "squeeze@0.2%gcc@12.2.0+shared arch=linux-debian12-x86_64_v3/abcdefg")
            .env("SPACK_STORE_RPATH_DIRS", format!("{0}/lib:{0}/lib64", self.prefix().display()))
            .env("SPACK_STORE_LINK_DIRS", self.prefix().join("lib"))
            .env("SPACK_STORE_INCLUDE_DIRS", self.prefix().join("include"))
            .env("SPACK_TARGET_ARGS_CC", "-mtune=generic")
            .env("SPACK_LDLIBS", "-lm");
        command
    }

    /// Calls it both ways and checks that everything a build can see is the same.
    fn alike(&self, name: &str, arguments: &[&str]) -> Output {
        let [with, without] = [true, false].map(|ours| see(&mut self.call(name, arguments, ours)));
        assert_eq!(with, without, "{name} {arguments:?}");
        with
    }

    fn file(&self, name: &str) -> PathBuf {
        self.stage.folder().join(name)
    }

    /// The metadata of a linked file: in the note, and in the record.
    fn metadata(&self, name: &str) -> [Value; 2] {
        let file = self.file(name);
        let json = |command: &mut Command| serde_json::from_slice::<Value>(&success(command).stdout).unwrap();
        let shown = json(self.stage.site.ogrt(&["show", "--json"]).arg(&file));
        let record = json(self.stage.site.ogrt(&["query", "--json"]).arg(&file));
        [shown[0]["watermarks"][0]["metadata"].clone(), record["metadata"].clone()]
    }
}

fn rpath(file: &Path) -> String {
    text(&success(Command::new("readelf").arg("-d").arg(file)).stdout)
}

#[test]
fn in_every_mode_the_compiler_does_what_it_would_and_links_are_known() {
    if !needs::has(&["gcc", "g++", "gfortran", "readelf"], false) {
        return;
    }
    let stage = Stage::new();
    let build = Build::new(&stage);

    // Version check, preprocess, assemble, compile: we change nothing, and the files are the same.
    for (name, flag) in [("cc", "--version"), ("c++", "-dumpversion"), ("fc", "--version"), ("cc", "-v")] {
        assert!(build.alike(name, &[flag]).status.success());
    }
    assert!(text(&build.alike("cc", &["-E", "main.c"]).stdout).contains("main"));
    for (name, flag, source, result) in [
        ("cc", "-S", "main.c", "main.s"),
        ("cc", "-c", "main.c", "main.o"),
        ("c++", "-c", "main.cpp", "mainxx.o"),
        ("fc", "-c", "main.f90", "mainf.o"),
    ] {
        let made = [true, false].map(|ours| {
            success(&mut build.call(name, &[flag, source, "-o", result], ours));
            fs::read(build.file(result)).unwrap()
        });
        assert!(made[0] == made[1], "{name} {flag}");
    }
    // An error is the compiler's own.
    assert!(!build.alike("cc", &["-c", "nowhere.c"]).status.success());
    assert!(!build.alike("cc", &["main.o", "-lnowhere", "-o", "failed"]).status.success());

    // Compile and link, and link alone: RPATHs are Spack's, and the metadata is known.
    for (name, arguments, result) in [
        ("cc", &["main.c", "-o", "linked-c"][..], "linked-c"),
        ("cc", &["-o", "linked-o", "main.o", "-L.", "-Wl,-rpath,/elsewhere"], "linked-o"),
        ("cc", &["-shared", "-fPIC", "main.c", "-o", "linked.so"], "linked.so"),
        ("c++", &["mainxx.o", "-o", "linked-cxx"], "linked-cxx"),
        ("fc", &["mainf.o", "-o", "linked-f"], "linked-f"),
    ] {
        build.alike(name, arguments);
        success(&mut build.call(name, arguments, true));
        for metadata in build.metadata(result) {
            assert_eq!(
                (
                    &metadata["name"],
                    &metadata["version"],
                    &metadata["package_manager"],
                    &metadata["package_id"],
                    &metadata["toolchain"]
                ),
                (&"squeeze".into(), &"0.2".into(), &"spack".into(), &HASH.into(), &"gcc@12.2.0".into()),
                "{result}: {metadata}"
            );
        }
        let seen = rpath(&build.file(result));
        assert!(
            seen.contains("(RPATH)") && seen.contains(&format!("{}/lib", build.prefix().display())),
            "{seen}"
        );
        assert!(!seen.contains("libexec/ogrt"), "{seen}");
    }

    // `ld` itself is found along the filtered PATH; a launcher, such as ccache, stands in front.
    success(&mut build.call("ld", &["-shared", "main.o", "-o", "by-ld.so"], true));
    assert_eq!(build.metadata("by-ld.so")[1]["package_id"], HASH);
    success(
        build.call("cc", &["main.c", "-o", "by-launcher"], true).env("SPACK_CCACHE_BINARY", "/usr/bin/env"),
    );
    assert_eq!(build.metadata("by-launcher")[1]["name"], "squeeze");

    // The opt-in wrapper sets OGRT_META_*, which then counts.
    let mut told = build.call("cc", &["main.c", "-o", "told"], true);
    success(
        told.env("OGRT_META_NAME", "told")
            .env("OGRT_META_PACKAGER", "spack")
            .env("OGRT_META_PACKAGE_ID", "full"),
    );
    let metadata = &build.metadata("told")[1];
    assert_eq!(
        (&metadata["name"], &metadata["package_id"], metadata.get("version")),
        (&"told".into(), &"full".into(), None)
    );
}

#[test]
fn a_store_is_scanned_into_the_registry() {
    if !needs::has(&["python3", "gcc"], false) {
        return;
    }
    let tests = needs::file("../../spack/spack-ogrt/tests");
    let run = success(Command::new("python3").args(["-B", "-m", "unittest", "discover", "-s"]).arg(tests));
    assert!(text(&run.stderr).contains("OK"), "{}", text(&run.stderr));

    // Spack leaves a prefix with a program and its spec.json.
    let stage = Stage::new();
    let build = Build::new(&stage);
    success(&mut build.call("cc", &["main.c", "-o", "program"], true));
    fs::create_dir_all(build.prefix().join("bin")).unwrap();
    fs::rename(build.file("program"), build.prefix().join("bin/program")).unwrap();
    fs::create_dir(build.prefix().join(".spack")).unwrap();
    let spec = format!(
        "{{\"spec\":{{\"_meta\":{{\"version\":5}},\"nodes\":[{{\"name\":\"squeeze\",\"version\":\"0.2\",\"hash\":\"{HASH}\"}}]}}}}"
    );
    fs::write(build.prefix().join(".spack/spec.json"), spec).unwrap();

    let extension = prefix().join("share/ogrt/spack/spack-ogrt");
    let script =
        "import sys; from ogrt import store; sys.exit(store.register_all(store.prefixes_below(sys.argv[1])))";
    let mut scan = stage.command("python3");
    scan.args(["-B", "-c", script]).arg(&build.store).env("PYTHONPATH", extension);
    let said = text(&success(&mut scan).stdout);
    assert!(said.contains("1 linked files registered, 0 without a note"), "{said}");
    let question = format!("/v1/installations?prefix={}", build.prefix().display());
    let found = ogrt_end_to_end::http::get(&stage.server.as_ref().unwrap().http, &question);
    let metadata = &found["installations"][0]["metadata"];
    assert_eq!(
        (&metadata["package_id"], &metadata["package_manager"]),
        (&HASH.into(), &"spack".into()),
        "{found}"
    );
}
