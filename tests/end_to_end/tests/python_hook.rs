//! `sitecustomize.py` in the standard library of a site's own Pythons: it tells packages at the
//! end.

use ogrt_end_to_end::{Stage, http, see, text};
use serde_json::{Value, json};
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HOOK: &str = include_str!("../../../python/sitecustomize.py");

/// What a site had before.
const BEFORE: &str = "import sys\nsys.ran_before = True\nremembered = 5\n";

/// Pythons of this machine: that of the system, and those that pyenv installed.
fn pythons() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/usr/bin/python3")];
    let versions = PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".pyenv/versions");
    let folders = fs::read_dir(versions).into_iter().flatten().flatten();
    all.extend(folders.map(|folder| folder.path().join("bin/python")));
    all.retain(|python| see_ok(Command::new(python).args(["-c", ""])));
    if all.is_empty() {
        assert!(env::var_os("CI").is_none(), "in CI a missing python3 is a failure");
        println!("skipped: needs python3");
    }
    all
}

fn see_ok(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A Python of the site's own: the same program with a standard library into which the hook can be
/// put.
fn own_python(python: &Path, folder: &Path) -> PathBuf {
    let script =
        "import os, sys; print(os.path.realpath(sys.executable)); print(os.path.dirname(os.__file__))";
    let output = text(&see(Command::new(python).args(["-c", script])).stdout);
    let [executable, library] = output.lines().collect::<Vec<_>>()[..] else { panic!("{output}") };
    let library = Path::new(library);
    let own_library = folder.join("lib").join(library.file_name().unwrap());
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::create_dir_all(&own_library).unwrap();
    for entry in fs::read_dir(library).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_string_lossy().starts_with("sitecustomize") {
            symlink(entry.path(), own_library.join(entry.file_name())).unwrap();
        }
    }
    fs::write(own_library.join("sitecustomize.py"), HOOK).unwrap();
    fs::write(own_library.join("sitecustomize_before_ogrt.py"), BEFORE).unwrap();
    let program = folder.join("bin").join(Path::new(executable).file_name().unwrap());
    fs::copy(executable, &program).unwrap();
    program
}

/// Runs a Python in a job, tracked.
fn run(stage: &Stage, job: &str, python: &Path, words: &[&str], active: &str) -> Output {
    let server = stage.server.as_ref().unwrap();
    let mut command = stage.command(python.to_str().unwrap());
    command.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so")).env("OGRT_ACTIVE", active);
    command.env("OGRT_SERVER", &server.unix).env("JOBID", job);
    command.env("OGRT_JOBID_VARS", "JOBID");
    see(command.args(words))
}

/// The packages that the only process of a job has told, but for those that this Python always
/// imports, such as by a `.pth` file of its site.
fn packages(stage: &Stage, job: &str, python: &Path) -> Value {
    let always = see(Command::new(python).args(["-c", "import sys; print(' '.join(sys.modules))"]));
    let always = text(&always.stdout);
    let is_ended = |job: &Value| {
        job["processes"].as_array().is_some_and(|all| all.iter().any(|one| !one["end"].is_null()))
    };
    let job = stage.job(job, is_ended);
    let told = job["processes"][0]["end"]["packages"].as_array().cloned().unwrap_or_default();
    let is_asked_for = |package: &Value| always.split_whitespace().all(|name| package["name"] != name);
    told.into_iter().filter(is_asked_for).collect()
}

const SCRIPT: &str = "import sys, json; sys.path.insert(0, sys.argv[1]); \
                      import numerics.linear, plain, _private, sitecustomize; \
                      assert sys.ran_before and sitecustomize.remembered == 5; \
                      sys.exit(int(sys.argv[2]))";

#[test]
fn each_python_tells_its_packages_as_a_claim_and_notices_nothing() {
    let stage = Stage::new();
    if http::get(&stage.server.as_ref().unwrap().http, "/healthz")["follow"] == "no" {
        println!("skipped: needs a kernel whose processes can be followed");
        return;
    }
    let site = stage.folder().join("site");
    fs::create_dir_all(site.join("numerics/linear")).unwrap();
    let files = [
        ("numerics/__init__.py", "__version__ = '1.2.3'\n"),
        ("numerics/linear/__init__.py", ""),
        ("plain.py", "__version__ = 7\n"),
        ("_private.py", ""),
    ];
    files.iter().for_each(|(name, content)| fs::write(site.join(name), content).unwrap());
    let site = site.to_str().unwrap();
    for (number, python) in pythons().iter().enumerate() {
        let own = own_python(python, &stage.folder().join(format!("python-{number}")));
        let job = |name: &str| format!("{name}-{number}");
        for (name, status) in [("good", "0"), ("bad", "3")] {
            let output = run(&stage, &job(name), &own, &["-c", SCRIPT, site, status], "1");
            assert_eq!(
                (output.status.code(), text(&output.stdout), text(&output.stderr)),
                (status.parse().ok(), String::new(), String::new()),
                "{}",
                python.display()
            );
            let expected = json!([
                {"language": "Python", "name": "numerics", "version": "1.2.3", "claimed": true},
                {"language": "Python", "name": "plain", "claimed": true},
            ]);
            assert_eq!(packages(&stage, &job(name), &own), expected, "{}", python.display());
        }
        // A child that was forked and ends as Python does is another process.
        let fork = "import os, sys; sys.path.insert(0, sys.argv[1])\nif os.fork() == 0:\n    import plain\n\
                    else:\n    os.wait()\n    import numerics\n";
        run(&stage, &job("fork"), &own, &["-c", fork, site], "1");
        let told = packages(&stage, &job("fork"), &own);
        assert_eq!((&told[0]["name"], told.as_array().map(Vec::len)), (&json!("numerics"), Some(1)));
    }
    let uses = see(stage.command("ogrt").args(["uses", "--package", "numerics", "--json"]));
    let uses: Value = serde_json::from_slice(&uses.stdout).unwrap();
    assert!(uses["total"]["claimed"].as_u64() > Some(0), "{uses}");
    assert_eq!(uses["total"]["claimed"], uses["total"]["loaded_later"], "{uses}");
}

#[test]
fn a_virtual_environment_tells_too_and_an_inactive_python_nothing() {
    let stage = Stage::new();
    let Some(python) = pythons().into_iter().next() else { return };
    let own = own_python(&python, &stage.folder().join("python"));
    let venv = stage.folder().join("venv");
    let made = see(Command::new(&own).args(["-m", "venv", "--without-pip"]).arg(&venv));
    assert!(made.status.success(), "{}", text(&made.stderr));
    let find = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages_folder = text(&see(Command::new(venv.join("bin/python")).args(["-c", find])).stdout);
    fs::write(Path::new(packages_folder.trim()).join("installed.py"), "__version__ = '2'\n").unwrap();
    let script = ["-I", "-c", "import installed"];
    assert!(run(&stage, "venv", &venv.join("bin/python"), &script, "1").status.success());
    let expected = json!([{"language": "Python", "name": "installed", "version": "2", "claimed": true}]);
    assert_eq!(packages(&stage, "venv", &own), expected);
    // Where it is not active, no exit function is there; what the site had before still runs.
    let quiet = "import sys, atexit, sitecustomize; assert sys.ran_before; print(atexit._ncallbacks())";
    let output = run(&stage, "quiet", &own, &["-c", quiet], "0");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("0\n".to_owned(), String::new()));
    // No server, no socket of that name: nobody notices.
    let mut alone = stage.command(own.to_str().unwrap());
    alone.env("OGRT_ACTIVE", "1").env("OGRT_SERVER", "unix:/nonexistent/socket");
    let output = see(alone.args(["-c", "import json; print(1)"]));
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n".to_owned(), String::new()));
}
