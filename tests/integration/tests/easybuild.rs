//! The real EasyBuild with our hooks: what it builds is marked, registered and found in a job. When
//! anything of ours is missing, it builds all the same.

use ogrt_end_to_end::{Stage, http, prefix, see, text};
use ogrt_integration::{
    easybuild::{self, EasyBuild, success},
    module_tools, sections, slurm,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const SQUEEZE: &str = "squeeze-0.2-GCC-system-shared.eb";
const WAVES: &str = "waves-1.0-GCC-system.eb";

/// Each package: its module, name, easyconfig and linked files.
const BUILT: [(&str, &str, &str, &[&str]); 3] = [
    ("zlib/1.3.1-GCC-system", "zlib", "zlib-1.3.1-GCC-system.eb", &["lib/libz.so.1.3.1"]),
    ("squeeze/0.2-GCC-system-shared", "squeeze", SQUEEZE, &["bin/squeeze", "lib/libpress.so"]),
    ("waves/1.0-GCC-system", "waves", WAVES, &["bin/waves", "lib/libwaves.so"]),
];

/// The installations in the answer of `/v1/installations`.
fn installations(stage: &Stage, question: &str) -> Vec<Value> {
    let answer = http::get(&stage.server.as_ref().unwrap().http, &format!("/v1/installations?{question}"));
    answer["installations"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[test]
fn what_is_built_is_marked_registered_and_found_in_a_job() {
    if !easybuild::has_all() || !slurm::has_all() {
        return;
    }
    let stage = Stage::new();
    let eb = EasyBuild::new(&stage);
    success(&mut eb.with_hooks(&["--robot", SQUEEZE, WAVES]));

    // Every file carries a note that names the easyconfig, and every build is registered.
    for (package, name, easyconfig, files) in BUILT {
        for file in files {
            let shown = success(stage.site.ogrt(&["show", "--json"]).arg(eb.software(package).join(file)));
            let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
            let metadata = &shown[0]["watermarks"][0]["metadata"];
            assert_eq!(
                (
                    &metadata["name"],
                    &metadata["package_manager"],
                    &metadata["package_id"],
                    &metadata["module"]
                ),
                (&name.into(), &"easybuild".into(), &easyconfig.into(), &package.into()),
                "{file}: {shown}"
            );
            success(stage.site.ogrt(&["query"]).arg(eb.software(package).join(file)));
        }
        // The installation is registered with exactly these files, by its prefix and by its module.
        for question in [format!("prefix={}", eb.software(package).display()), format!("module={package}")] {
            let found = installations(&stage, &question);
            assert_eq!(found.len(), 1, "{question}: {found:?}");
            let paths: Vec<&str> =
                found[0]["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
            assert_eq!(paths, files);
            let module_file = format!("{}/modules/all/{package}.lua", eb.folder().display());
            assert_eq!(found[0]["module_file"], module_file);
        }
        let log = eb.log_lines(package);
        assert!(log.iter().any(|line| line.contains("is registered")), "{log:?}");
        assert!(!log.iter().any(|line| line.contains("WARNING")), "{log:?}");
    }

    // After a run in a job one document has the module, what EasyBuild says, and each library's
    // build.
    let slurm = slurm::Slurm::start(&stage, 2);
    let modules = eb.folder().join("modules/all");
    let (_, lmod) = &module_tools::all()[0];
    let job = slurm.batch(
        1,
        &format!(
            "{lmod}\nmodule use {}\nmodule load squeeze/0.2-GCC-system-shared\nsqueeze aaaa",
            modules.display()
        ),
    );
    assert_eq!(job.output.trim(), "12", "{job:?}");
    let squeeze = eb.software("squeeze/0.2-GCC-system-shared").join("bin/squeeze");
    let is_squeeze = |process: &&Value| process["binpath"] == squeeze.to_str().unwrap();
    let find = |document: &Value| document["processes"].as_array()?.iter().find(is_squeeze).cloned();
    let document = stage.job(&job.id, |document| find(document).is_some_and(|p| p["end"].is_object()));
    let process = find(&document).unwrap();
    assert_eq!(process["job_id"], *job.id);
    let build = &process["build"];
    assert_eq!(
        (
            &build["source"],
            &build["name"],
            &build["version"],
            &build["package_manager"],
            &build["package_id"]
        ),
        (&"record".into(), &"squeeze".into(), &"0.2".into(), &"easybuild".into(), &SQUEEZE.into())
    );
    let modules = process["loaded_modules"].as_array().unwrap();
    assert!(modules.iter().any(|module| module["name"] == build["module"]), "{process}");
    for (library, name) in [("/libpress.so", "squeeze"), ("/libz.so.", "zlib")] {
        let objects = process["shared_objects"].as_array().unwrap();
        let object = objects.iter().find(|object| object["path"].as_str().unwrap().contains(library));
        let build = &object.unwrap_or_else(|| panic!("{library} in {process}"))["build"];
        assert_eq!((&build["source"], &build["name"]), (&"record".into(), &name.into()), "{library}");
        let found = installations(&stage, &format!("signature={}", build["signature"].as_str().unwrap()));
        assert_eq!(found[0]["metadata"]["name"], name);
    }
}

#[test]
fn with_and_without_us_only_the_note_differs() {
    if !easybuild::has_all() {
        return;
    }
    let stage = Stage::new();
    let eb = EasyBuild::new(&stage);
    // The same paths for both, because they stand in the files.
    success(&mut eb.command(&["--robot", SQUEEZE, WAVES]));
    let without = eb.folder().join("without");
    fs::rename(eb.folder().join("software"), &without).unwrap();
    success(&mut eb.with_hooks(&[
        "--robot",
        "--rebuild",
        "GCC-system.eb",
        "zlib-1.3.1-GCC-system.eb",
        SQUEEZE,
        WAVES,
    ]));
    let with = eb.folder().join("software");

    let files = |folder: &Path| -> Vec<PathBuf> {
        let listed =
            success(stage.command("find").arg(folder).args(["(", "-type", "f", "-o", "-type", "l", ")"]));
        let text = text(&listed.stdout);
        let below = text.lines().map(|line| Path::new(line).strip_prefix(folder).unwrap().to_owned());
        // EasyBuild's own logs and records contain times and the hooks.
        let mut files: Vec<_> = below.filter(|path| !path.iter().any(|part| part == "easybuild")).collect();
        files.sort();
        files
    };
    let (names, names_with) = (files(&without), files(&with));
    assert_eq!(names, names_with);
    assert!(names.len() > 10, "{names:?}");
    let mut linked = 0;
    for name in &names {
        let (a, b) = (without.join(name), with.join(name));
        if a.is_symlink() {
            assert_eq!(fs::read_link(&a).unwrap(), fs::read_link(&b).unwrap());
        } else if sections::is_elf(&a) {
            linked += 1;
            assert_eq!(sections::differences(&a, &b), [""; 0], "{}", name.display());
        } else {
            assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap(), "{} differs", name.display());
        }
    }
    assert_eq!(linked, 5);
}

#[test]
fn extensions_rebuilds_module_only_and_the_system_toolchain() {
    if !easybuild::has_all() {
        return;
    }
    let stage = Stage::new();
    let eb = EasyBuild::new(&stage);
    let easyblocks = format!("--include-easyblocks={}/easyblocks/generic/*.py", env!("CARGO_MANIFEST_DIR"));
    success(&mut eb.with_hooks(&["--robot", &easyblocks, "plugins-0.1-GCC-system.eb", "tool-1.0.eb"]));
    // EasyBuild makes the environment of extensions anew, and we are in that, too.
    let metadata = |file: &Path| {
        let shown: Value =
            serde_json::from_slice(&success(stage.site.ogrt(&["show", "--json"]).arg(file)).stdout).unwrap();
        shown[0]["watermarks"][0]["metadata"].clone()
    };
    let plugins = "plugins/0.1-GCC-system";
    for extension in ["first", "second"] {
        let file = eb.software(plugins).join(format!("lib/{extension}.so"));
        assert_eq!(metadata(&file)["package_id"], "plugins-0.1-GCC-system.eb");
        let rpath = text(&success(stage.command("readelf").arg("-d").arg(&file)).stdout);
        assert!(rpath.contains("(RPATH)"), "EasyBuild's wrapper was passed over: {rpath}");
    }
    let tool = metadata(&eb.software("tool/1.0").join("bin/waves"));
    assert_eq!((&tool["toolchain"], &tool["name"]), (&"system".into(), &"tool".into()));
    assert_eq!(installations(&stage, "module=tool/1.0").len(), 1);

    // A rebuild is an installation of its own; `--module-only` registers the same files again.
    let signature = stage.signature(&eb.software("tool/1.0").join("bin/waves"));
    success(&mut eb.with_hooks(&["--module-only", "--rebuild", "tool-1.0.eb"]));
    assert_eq!(stage.signature(&eb.software("tool/1.0").join("bin/waves")), signature);
    assert_eq!(installations(&stage, "module=tool/1.0").len(), 2);
    success(&mut eb.with_hooks(&["--rebuild", "tool-1.0.eb"]));
    assert_ne!(stage.signature(&eb.software("tool/1.0").join("bin/waves")), signature);
    assert_eq!(installations(&stage, "module=tool/1.0").len(), 3);
    assert_eq!(installations(&stage, &format!("signature={signature}")).len(), 2);
}

#[test]
fn a_sites_own_hooks_run_beside_ours() {
    if !easybuild::has_all() {
        return;
    }
    let stage = Stage::new();
    let eb = EasyBuild::new(&stage);
    let hooks = eb.folder().join("site_hooks.py");
    let folder = prefix().join("share/ogrt/easybuild");
    fs::write(
        &hooks,
        format!(
            "def post_prepare_hook(self, *args, **kwargs):\n    self.log.info('SITE: prepared %s', self.name)\n\n\
             def pre_configure_hook(self, *args, **kwargs):\n    self.log.info('SITE: configures %s', self.name)\n\n\
             import sys\nsys.path.insert(0, {folder:?})\nimport ogrt_easybuild\n\
             ogrt_easybuild.merge_into(globals())\n"
        ),
    )
    .unwrap();
    let mut command = eb.command(&["tool-1.0.eb", "--hooks"]);
    success(command.arg(&hooks));
    stage.signature(&eb.software("tool/1.0").join("bin/waves"));
    assert_eq!(installations(&stage, "module=tool/1.0").len(), 1);
    let log = fs::read_dir(eb.software("tool/1.0").join("easybuild")).unwrap().flatten();
    let log = log.map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "log")).unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("SITE: prepared tool") && log.contains("SITE: configures tool"));
}

/// Each case takes something away: the build succeeds, and exactly one line says what is not
/// recorded.
#[test]
fn whatever_of_ours_is_missing_easybuild_succeeds() {
    if !easybuild::has_all() {
        return;
    }
    let mut stage = Stage::new();
    stage.stop_server();
    let no_wrappers = stage.folder().join("no-wrappers");
    fs::create_dir_all(no_wrappers.join("bin")).unwrap();
    let hooks = prefix().join(easybuild::HOOKS);
    let broken = stage.folder().join("broken_hooks.py");
    // A copy of the installed hooks, without the files beside it.
    fs::copy(&hooks, &broken).unwrap();

    let eb = EasyBuild::new(&stage);
    let warnings = |which: &str| -> Vec<String> {
        let lines = eb.log_lines("tool/1.0");
        let lines: Vec<_> = lines.into_iter().filter(|line| line.contains("WARNING")).collect();
        for line in &lines {
            println!("{which}: {}", line.split("OGRT: ").nth(1).unwrap_or_default());
        }
        lines
    };
    let tool = eb.software("tool/1.0").join("bin/waves");
    let is_marked = || see(stage.site.ogrt(&["show"]).arg(&tool)).status.success();

    let ended = success(&mut eb.with_hooks(&["tool-1.0.eb"]));
    let lines = warnings("no server");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("tool 1.0: its installation is not registered: http://127.0.0.1:"),
        "{lines:?}"
    );
    assert!(is_marked(), "{}", text(&ended.stdout));
    assert!(stage.spooled() > 0, "the builds wait in the spool");
    let said = text(&ended.stderr);
    let later = said
        .lines()
        .find_map(|line| line.split_once("to do it later: "))
        .expect("a command for later")
        .1
        .to_owned();

    success(eb.with_hooks(&["--rebuild", "tool-1.0.eb"]).env("OGRT_PREFIX", &no_wrappers));
    let lines = warnings("no wrappers");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("tool 1.0: neither its builds nor its installation are recorded: ")
            && lines[0].contains("no-wrappers/bin/ogrt-cc is not there"),
        "{lines:?}"
    );
    assert!(!is_marked());

    let mut command = eb.command(&["--rebuild", "tool-1.0.eb", "--hooks"]);
    let ended = success(command.arg(&broken));
    let said = text(&ended.stderr) + &text(&ended.stdout);
    let lines: Vec<_> = said.lines().filter(|line| line.contains("OGRT")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("OGRT: nothing will be recorded: No module named"), "{said}");

    // What waited is sent when the server is back; the installation by the command that the log
    // names.
    stage.start_server();
    success(&mut stage.site.ogrt(&["flush"]));
    assert_eq!(stage.spooled(), 0);
    // The package was built again without us, so the answer is "no".
    let ended = see(stage.command("sh").args(["-c", &later]));
    assert_eq!(ended.status.code(), Some(1), "{later}: {}", text(&ended.stderr));
    let found = installations(&stage, "module=tool/1.0");
    assert_eq!((found.len(), &found[0]["metadata"]["package_id"]), (1, &"tool-1.0.eb".into()));
}
