//! `ogrt doctor` on this machine: it says what really happens with each compiler and linker, and
//! leaves nothing behind.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The doctor's findings with these directories in place of PATH, and its exit status.
fn findings(stage: &Stage, path: &str) -> (Option<i32>, Value) {
    let mut doctor = stage.site.ogrt(&["doctor", "--json"]);
    // What an earlier run found out does not count.
    doctor.env("XDG_CACHE_HOME", stage.folder().join("cache"));
    let output = see(doctor.env("PATH", path).env("TMPDIR", stage.folder()));
    let found = serde_json::from_slice(&output.stdout);
    (output.status.code(), found.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr))))
}

/// The linker and the route of each tool whose name ends with `tool`.
fn routes<'f>(found: &'f Value, kind: &str, tool: &str) -> Vec<(&'f str, &'f str)> {
    let trials = found[kind].as_array().unwrap().iter();
    let named = trials.filter(|trial| trial["tool"].as_str().unwrap().ends_with(tool));
    named.map(|trial| (trial["linker"].as_str().unwrap(), trial["route"].as_str().unwrap())).collect()
}

#[test]
fn each_compiler_and_linker_here_is_marked() {
    if !has("gcc") {
        return;
    }
    let stage = Stage::new();
    let (status, found) = findings(&stage, "/usr/bin:/bin");
    let all = ["compilers", "linkers"].map(|kind| found[kind].as_array().unwrap().clone()).concat();
    println!("{} trials", all.len());
    assert!(all.len() >= 2, "{found}");
    for trial in &all {
        // It runs no linker, and links no section of notes.
        if trial["tool"].as_str().unwrap().ends_with("/tcc") {
            assert_eq!(trial["route"], "not_marked", "{trial}");
            assert!(trial["reason"].as_str().unwrap().contains("tcc"), "{trial}");
            continue;
        }
        assert_eq!(trial["route"], "linker", "{trial}");
        assert!(trial["real_linker"].as_str().unwrap().contains("ld"), "{trial}");
    }
    let all_are_marked = all.iter().all(|trial| trial["route"] == "linker");
    assert_eq!(status, Some(i32::from(!all_are_marked)));
    assert_eq!(found["server_answers"], true);
    // One file is tried once, by the shorter of its names.
    let gcc = if routes(&found, "compilers", "/gcc").is_empty() { "/cc" } else { "/gcc" };
    for linker in ["gold", "lld", "mold"].into_iter().filter(|linker| has(&format!("ld.{linker}"))) {
        assert!(routes(&found, "compilers", gcc).contains(&(linker, "linker")), "gcc with {linker}: {found}");
        let name = format!("/ld.{linker}");
        assert_eq!(routes(&found, "linkers", &name), [("alone", "linker")], "{found}");
    }
    let left = fs::read_dir(stage.folder()).unwrap().flatten();
    let left: Vec<_> = left.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| name.starts_with("ogrt-doctor")), "{left:?}");
    assert_eq!(stage.spooled(), 0, "the site's spool is not used");
}

#[test]
fn what_is_marked_by_hand_or_not_at_all_is_said() {
    if !has("gcc") {
        return;
    }
    let stage = Stage::new();
    let tools = stage.folder().join("tools");
    let specs = stage.folder().join("fixed.specs");
    fs::write(&specs, "*linker:\n/usr/bin/ld\n").unwrap();
    script(&tools.join("gcc"), &format!("#!/bin/sh\nexec /usr/bin/gcc -specs={} \"$@\"\n", specs.display()));
    // It refuses options that it does not know, and further objects.
    script(
        &tools.join("clang"),
        "#!/bin/sh\ncase $1 in -fPIC|try.o) exec /usr/bin/gcc \"$@\";; esac\nexit 1\n",
    );
    script(&tools.join("gfortran"), "#!/bin/sh\nexit 1\n");
    // gcc looks for these on PATH.
    for tool in ["as", "ld"] {
        symlink(Path::new("/usr/bin").join(tool), tools.join(tool)).unwrap();
    }
    let path = format!("{}:/nowhere", tools.display());
    let (status, found) = findings(&stage, &path);
    assert_eq!(status, Some(1), "one of them is not marked: {found}");
    assert_eq!(routes(&found, "compilers", "/gcc")[0], ("default", "by_hand"), "{found}");
    assert_eq!(routes(&found, "compilers", "/clang"), [("default", "not_marked")], "{found}");
    assert!(routes(&found, "compilers", "/gfortran").is_empty(), "what does not work is not tried");
    let output = see(stage.site.ogrt(&["doctor"]).env("PATH", path).env("TMPDIR", stage.folder()));
    let said = text(&output.stdout);
    assert!(said.contains("puts the note on the compiler's line") && said.contains("NOT marked"), "{said}");
}

#[test]
fn without_any_compiler_the_answer_is_no() {
    let stage = Stage::new();
    let (status, found) = findings(&stage, "/nowhere");
    assert_eq!((status, found["compilers"].as_array().unwrap().len()), (Some(1), 0));
}
