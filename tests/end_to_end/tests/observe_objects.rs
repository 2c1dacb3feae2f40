//! What ogrt-observe tells of running programs: libraries that they load after their start, and
//! GPUs.

use ogrt_end_to_end::{observer::ObservedStage, see, text};
use serde_json::{Value, json};
use std::{fs, process::Command};

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// A command that libogrt.so tells of.
fn tracked(observed: &ObservedStage, job: &str, program: &str) -> Command {
    let mut command = observed.command(job, program);
    command.env("OGRT_ACTIVE", "1").env("OGRT_JOBID_VARS", &observed.job_variable);
    command.env("LD_PRELOAD", ogrt_end_to_end::prefix().join("lib/libogrt.so"));
    command
}

/// The end of the only process of a job.
fn end(observed: &ObservedStage, job: &str) -> Value {
    let [(_, end)] = &observed.processes(job, 1)[..] else { panic!("one process") };
    end["end"].clone()
}

const LOADER: &str = "\
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    usleep(300 * 1000);
    if (!dlopen(argv[1], RTLD_NOW))
        return 1;
    usleep(atoi(argv[2]) * 1000);
    kill(getpid(), SIGKILL);
}
";

#[test]
fn a_plugin_is_told_with_its_build_at_the_end_even_of_a_killed_program() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") {
        return;
    }
    let stage = &observed.stage;
    fs::write(stage.folder().join("loader.c"), LOADER).unwrap();
    fs::write(stage.folder().join("plugin.c"), "int plugin(void) { return 1; }\n").unwrap();
    for line in [
        &["gcc", "-shared", "-fPIC", "plugin.c", "-o", "plugin.so"][..],
        &["gcc", "loader.c", "-o", "loader"],
    ] {
        let output = see(stage.command("ogrt-cc").args(line));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }
    let plugin = stage.folder().join("plugin.so").canonicalize().unwrap();
    see(tracked(&observed, "plugin", "./loader").args(["./plugin.so", "3000"]));
    let end = end(&observed, "plugin");
    assert_eq!((&end["ended_by"], &end["signal"]), (&json!("signal"), &json!(9)));
    let objects = end["shared_objects"].as_array().unwrap_or_else(|| panic!("no objects: {end}"));
    let paths: Vec<_> = objects.iter().map(|object| object["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [plugin.to_str().unwrap()], "nothing that was there at the start");
    assert_eq!(objects[0]["signature"], stage.signature(&plugin));
    assert_eq!(objects[0]["build"]["source"], "record", "{end}");
    // A program that ends before it was looked at tells nothing.
    see(tracked(&observed, "short", "./loader").args(["./plugin.so", "0"]));
    assert!(self::end(&observed, "short")["shared_objects"].is_null());
}

const GPU_USER: &str = "\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    if (argv[1][0] == 'o' && open(argv[2], O_PATH) < 0)
        return 1;
    if (argv[1][0] == 'l' && !dlopen(argv[2], RTLD_NOW))
        return 2;
    usleep(3500 * 1000);
    return 0;
}
";

#[test]
fn a_gpu_that_was_used_and_one_that_could_have_been_are_told_apart() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("gcc") || !has("mknod") {
        return;
    }
    let folder = observed.stage.folder();
    // A device with NVIDIA's number stands for one: it can be held open, and has no driver.
    assert!(see(observed.stage.command("mknod").args(["nvidia0", "c", "195", "0"])).status.success());
    fs::write(folder.join("empty.c"), "int nothing(void) { return 0; }\n").unwrap();
    let library = ["-shared", "-fPIC", "empty.c", "-o", "libcuda.so.1"];
    assert!(see(observed.stage.command("gcc").args(library)).status.success());
    fs::write(folder.join("gpu.c"), GPU_USER).unwrap();
    assert!(see(observed.stage.command("gcc").args(["gpu.c", "-o", "gpu"])).status.success());
    let device = folder.join("nvidia0").canonicalize().unwrap();
    let lines = [("did", "open", "nvidia0"), ("could", "load", "./libcuda.so.1"), ("none", "", "")];
    let mut children: Vec<_> = lines
        .iter()
        .map(|(job, what, path)| tracked(&observed, job, "./gpu").args([what, path]).spawn().unwrap())
        .collect();
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    assert_eq!(
        end(&observed, "did")["gpus"],
        json!([{"maker": "nvidia", "use": "did", "devices": [device.to_str().unwrap()]}])
    );
    assert_eq!(end(&observed, "could")["gpus"], json!([{"maker": "nvidia", "use": "could"}]));
    assert!(end(&observed, "none")["gpus"].is_null());
}

/// The script that is run on a machine with a GPU, with what stands for one.
#[test]
fn the_script_for_a_real_gpu_tells_the_two_apart() {
    if ObservedStage::open(&[]).is_none() || !has("gcc") || !has("mknod") {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../gpu/run");
    let output = see(Command::new(script).arg(ogrt_end_to_end::prefix()).arg("--stand-in"));
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).ends_with("right\n"), "{}", text(&output.stdout));
}

#[test]
fn what_a_python_has_imported_is_told_at_its_end_and_found_by_name() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    // No script that looks for a Python.
    const PYTHON: &str = "/usr/bin/python3";
    if !has(PYTHON) {
        return;
    }
    let folder = observed.stage.folder().join("site");
    for module in ["numerics/linear", "plots"] {
        fs::create_dir_all(folder.join(module)).unwrap();
    }
    for module in ["numerics/__init__.py", "numerics/linear/__init__.py", "plots/__init__.py", "_private.py"]
    {
        fs::write(folder.join(module), "").unwrap();
    }
    let script = "import sys; sys.path.insert(0, sys.argv[1]); \
                  import json, numerics.linear, _private, time; time.sleep(4)";
    let mut python = tracked(&observed, "python", PYTHON);
    assert!(see(python.args(["-S", "-c", script]).arg(&folder)).status.success());
    let end = end(&observed, "python");
    assert_eq!(end["packages"], json!([{"language": "Python", "name": "numerics"}]), "{end}");
    let uses = see(observed.stage.command("ogrt").args(["uses", "--package", "numerics", "--json"]));
    let uses: Value = serde_json::from_slice(&uses.stdout).unwrap();
    assert_eq!((&uses["total"]["loaded_later"], &uses["total"]["users"]), (&1.into(), &1.into()), "{uses}");
    let nobody = see(observed.stage.command("ogrt").args(["uses", "--package", "plots"]));
    assert_eq!(nobody.status.code(), Some(1));
}

const JAVA: &str = "\
public class Loads {
    public static void main(String[] words) throws Exception {
        Class.forName(words[0]);
        Thread.sleep(4000);
    }
}
";

#[test]
fn the_jars_of_a_java_program_are_told_with_their_versions() {
    let Some(observed) = ObservedStage::open(&[]) else { return };
    if !has("java") || !has("javac") || !has("jar") {
        return;
    }
    let folder = observed.stage.folder();
    let run = |program: &str, words: &[&str]| {
        let output = see(observed.stage.command(program).args(words));
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    };
    fs::write(folder.join("Loads.java"), JAVA).unwrap();
    for (class, jar) in [("Used", "used-lib-2.1.jar"), ("Unused", "unused-1.0.jar")] {
        fs::write(folder.join(format!("{class}.java")), format!("public class {class} {{}}")).unwrap();
        run("javac", &[&format!("{class}.java")]);
        run("jar", &["cf", jar, &format!("{class}.class")]);
        fs::remove_file(folder.join(format!("{class}.class"))).unwrap();
    }
    run("javac", &["Loads.java"]);
    run("jar", &["cf", "solver.jar", "Loads.class"]);
    fs::remove_file(folder.join("Loads.class")).unwrap();
    let mut java = tracked(&observed, "java", "java");
    let path = "solver.jar:used-lib-2.1.jar:unused-1.0.jar";
    assert!(see(java.args(["-Xshare:auto", "-cp", path, "Loads", "Used"])).status.success());
    let end = end(&observed, "java");
    let expected = json!([
        {"language": "Java", "name": "solver"},
        {"language": "Java", "name": "used-lib", "version": "2.1"},
    ]);
    assert_eq!(end["packages"], expected, "{end}");
}
