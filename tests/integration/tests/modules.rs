//! The module file that `ogrt env` prints, in both module tools: it is loaded and used, and leaves
//! nothing behind when it is unloaded.

use ogrt_end_to_end::Stage;
use ogrt_integration::{easybuild::success, module_tools};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// The library below the prefix, as LD_PRELOAD names it.
const LIBRARY: &str =
    if cfg!(target_arch = "x86_64") { "lib/ogrt/$LIB/libogrt.so" } else { "lib/libogrt.so" };

/// The variables in the output of `env -0`.
fn environment(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let variables = text.split('\0').filter_map(|entry| entry.split_once('='));
    // The last command, and Lmod's own tables, differ each time.
    let kept = variables.filter(|(name, _)| *name != "_" && !name.starts_with("_ModuleTable"));
    kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn load_run_unload_in_both_tools() {
    let stage = Stage::new();
    let program = stage.link("program");
    for (tool, define) in module_tools::all() {
        for (kind, extension) in [("lua", ".lua"), ("tcl", "")] {
            if tool != "Lmod" && kind == "lua" {
                continue;
            }
            let folder = stage.folder().join(format!("{tool}-{kind}"));
            fs::create_dir_all(folder.join("ogrt")).unwrap();
            let module = success(&mut stage.site.ogrt(&["env", "--module", kind])).stdout;
            fs::write(folder.join(format!("ogrt/1.0{extension}")), module).unwrap();

            let job = format!("{tool}-{kind}");
            let at = folder.display();
            // `avail` runs once before, so that the tool's own variables are set both times.
            let script = format!(
                "{define}\nexport MODULEPATH={at} JOBID={job}\nmodule avail >/dev/null 2>&1\nenv -0 > {at}/before\n\
                 module load ogrt/1.0\nenv -0 > {at}/loaded\n{0}\nmodule unload ogrt/1.0\nenv -0 > {at}/after\n{0}\n",
                program.display()
            );
            // The server of the module file is the one that is known when it is printed.
            success(stage.command("bash").args(["-c", &script]).env_remove("OGRT_SERVER"));
            let [before, loaded, after] =
                ["before", "loaded", "after"].map(|name| environment(&folder.join(name)));
            let changed: Vec<_> =
                before.iter().filter(|&(name, value)| after.get(name) != Some(value)).collect();
            let left: Vec<_> = after.iter().filter(|(name, _)| !before.contains_key(*name)).collect();
            assert_eq!((changed, left), (vec![], vec![]), "{tool}, {kind}");
            assert_eq!(loaded["OGRT_ACTIVE"], "1");
            assert_eq!(loaded["OGRT_SERVER"], stage.server.as_ref().unwrap().unix);
            assert!(loaded["LD_PRELOAD"].ends_with(LIBRARY), "{loaded:?}");

            // The first of the two runs was tracked, with the module's name.
            let runs = |document: &Value| -> Vec<Value> {
                let processes = document["processes"].as_array().cloned().unwrap_or_default();
                processes.into_iter().filter(|p| p["binpath"] == program.to_str().unwrap()).collect()
            };
            let document = stage.job(&job, |document| !runs(document).is_empty());
            let runs = runs(&document);
            assert_eq!((runs.len(), &runs[0]["loaded_modules"][0]["name"]), (1, &"ogrt/1.0".into()));
        }
    }
}

/// Ways into the module and out again, between a first and a last look at the environment. `LOOK`
/// is run while it is loaded.
const WAYS: [&str; 5] = [
    "module load ogrt/1.0; LOOK; module unload ogrt",
    "module load ogrt/1.0; module load ogrt/1.0; LOOK; module unload ogrt",
    "module load ogrt/1.0; module swap ogrt/1.0 ogrt/2.0; LOOK; module unload ogrt/2.0",
    "module load ogrt/1.0; module load other/1.0; LOOK; module purge",
    "module load ogrt/1.0; module show ogrt/1.0; module whatis ogrt/1.0; module reload; LOOK; module unload ogrt/1.0",
];

/// Values that a user may have set: none, other ones, the same ones, and ones that a shell would
/// split.
fn users(server: &str) -> [String; 4] {
    [
        String::new(),
        "export OGRT_ACTIVE=0 OGRT_SERVER=unix:/a:b,c LD_PRELOAD=libdl.so.2".into(),
        format!("export OGRT_ACTIVE=1 OGRT_SERVER={server} LD_PRELOAD=libm.so.6:libdl.so.2"),
        "export OGRT_SERVER='a \"b\" $HOME [exit] {x\\ y;z'".into(),
    ]
}

#[test]
fn what_the_user_had_set_is_given_back() {
    let stage = Stage::new();
    let server = stage.server.as_ref().unwrap().unix.clone();
    let library = ogrt_end_to_end::prefix().canonicalize().unwrap().join(LIBRARY);
    for (tool, define) in module_tools::all() {
        for (kind, extension) in [("lua", ".lua"), ("tcl", "")] {
            if tool != "Lmod" && kind == "lua" {
                continue;
            }
            let folder = stage.folder().join(format!("{tool}-{kind}"));
            let module = success(&mut stage.site.ogrt(&["env", "--module", kind])).stdout;
            for version in ["1.0", "2.0"] {
                fs::create_dir_all(folder.join("ogrt")).unwrap();
                fs::write(folder.join(format!("ogrt/{version}{extension}")), &module).unwrap();
            }
            fs::create_dir_all(folder.join("other")).unwrap();
            fs::write(folder.join("other/1.0"), "#%Module1.0\nprepend-path LD_PRELOAD librt.so.1\n").unwrap();
            for user in users(&server) {
                for way in WAYS {
                    let look = |name: &str| format!("env -0 > {}/{name}", folder.display());
                    let script = format!(
                        "{define}\n{user}\nexport MODULEPATH={}\nmodule avail\n{}\n{}\n{}",
                        folder.display(),
                        look("before"),
                        way.replace("LOOK", &look("loaded")),
                        look("after")
                    );
                    success(stage.command("bash").args(["-c", &script]).env_remove("OGRT_SERVER"));
                    let [before, loaded, after] =
                        ["before", "loaded", "after"].map(|name| environment(&folder.join(name)));
                    let of_ours = |variables: &BTreeMap<String, String>| -> Vec<(String, String)> {
                        let ours = |name: &str| name.starts_with("OGRT_") || name == "LD_PRELOAD";
                        let of_ours = variables.iter().filter(|(name, _)| ours(name));
                        of_ours.map(|(name, value)| (name.clone(), value.clone())).collect()
                    };
                    assert_eq!(of_ours(&after), of_ours(&before), "{tool}, {kind}: {user}; {way}");
                    assert_eq!((&*loaded["OGRT_ACTIVE"], &loaded["OGRT_SERVER"]), ("1", &server), "{way}");
                    let own = before.get("LD_PRELOAD").map(|own| format!("{own}:")).unwrap_or_default();
                    let list = format!("{own}{}", library.display());
                    assert!(
                        loaded["LD_PRELOAD"].ends_with(&list),
                        "{tool}, {kind}: {user}; {way}: {loaded:?}"
                    );
                }
            }
        }
    }
}
