//! The module file that `ogrt env` prints, in both module tools: loaded, used, unloaded, and nothing left of it.

use ogrt_end_to_end::Stage;
use ogrt_integration::{easybuild::success, module_tools};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// The variables of `env -0`.
fn environment(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let variables = text.split('\0').filter_map(|entry| entry.split_once('='));
    // The last command, and Lmod's tables of what it knows, are others each time.
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
            // `avail` once before, so that the tool's own bookkeeping is there on both sides.
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
            assert!(loaded["LD_PRELOAD"].ends_with("lib/libogrt.so"), "{loaded:?}");

            // Of the two runs the first was tracked, with the module's name.
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

#[test]
fn lmod_gives_back_what_the_user_had_set() {
    let Some((_, define)) = module_tools::all().into_iter().find(|(tool, _)| *tool == "Lmod") else { return };
    let stage = Stage::new();
    let folder = stage.folder().join("modules");
    fs::create_dir_all(&folder).unwrap();
    let module = success(&mut stage.site.ogrt(&["env", "--module", "lua"])).stdout;
    fs::write(folder.join("ogrt.lua"), module).unwrap();
    let script = format!(
        "{define}\nexport MODULEPATH={} OGRT_SERVER=127.0.0.1:9 OGRT_ACTIVE=0 LD_PRELOAD=libdl.so.2\n\
         module load ogrt\necho $LD_PRELOAD $OGRT_ACTIVE\nmodule unload ogrt\necho $LD_PRELOAD $OGRT_ACTIVE $OGRT_SERVER",
        folder.display()
    );
    let out = success(stage.command("bash").args(["-c", &script])).stdout;
    let out = String::from_utf8(out).unwrap();
    let library = ogrt_end_to_end::prefix().canonicalize().unwrap().join("lib/libogrt.so");
    assert_eq!(out, format!("libdl.so.2:{} 1\nlibdl.so.2 0 127.0.0.1:9\n", library.display()));
}
