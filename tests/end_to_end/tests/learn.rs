//! `ogrt learn`: after this machine's packages are learned, what a real session runs and loads has
//! a name, and how far that is known is told.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What a user of a node does in a day.
const SESSION: &str = "set -e; cd \"$1\"\n\
    /usr/bin/python3 -c 'import json, hashlib, ctypes; print(1)'\n\
    /usr/bin/perl -e 'use POSIX; print 2'\n\
    printf 'int main(void) { return 0; }\\n' > a.c\n\
    printf 'a.o: a.c\\n\\tgcc -c a.c\\nb:\\n\\tls -l | sort | wc -l\\n' > Makefile\n\
    make a.o b; tar czf a.tgz a.c Makefile\n\
    git init -q r; cd r; cp ../a.c .; git add a.c\n\
    git -c user.email=a@b -c user.name=a commit -qm x; git --no-pager log\n\
    find . -name '*.c' | xargs grep -c main | sed s/x/y/ | awk '{print}'\n\
    diff ../a.c a.c; sha256sum a.c; date; cp a.c b.c; mv b.c c.c; rm c.c; xz -k a.c; bzip2 -k a.c\n";

/// A token that permits to learn, in a file.
fn token_file(stage: &Stage) -> PathBuf {
    let mut command = stage.command("ogrt-server");
    let words = ["token", "add", "operator", "--scope", "administer"];
    let made = see(command.arg("--data-dir").arg(stage.folder().join("server/data")).args(words));
    assert!(made.status.success(), "{}", text(&made.stderr));
    let file = stage.folder().join("token");
    fs::write(&file, made.stdout).unwrap();
    file
}

/// Learns, and returns what was told.
fn learn(stage: &Stage, token: &Path, options: &[&str]) -> Value {
    let mut command = stage.site.ogrt(&["learn", "--json"]);
    let learned = see(command.args(options).env("OGRT_TOKEN_FILE", token));
    assert_eq!(learned.status.code(), Some(0), "{}", text(&learned.stderr));
    serde_json::from_slice(&learned.stdout).unwrap()
}

/// Runs a program, tracked, in a job.
fn run(stage: &Stage, job: &str, words: &[&str]) {
    let mut command = stage.command(words[0]);
    command.args(&words[1..]).env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so"));
    command.env("OGRT_ACTIVE", "1").env("SLURM_JOB_ID", job).env_remove("OGRT_JOBID_VARS");
    let run = see(&mut command);
    assert!(run.status.success(), "{words:?}: {}", text(&run.stderr));
}

/// Files of a job's processes, by build-id and path, with their number; and the names of those that
/// have one.
type Files = BTreeMap<(String, String), usize>;

fn files(job: &Value) -> (Files, BTreeMap<(String, String), Value>) {
    let key = |one: &Value, path: &str| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        (text("build_id"), text(path))
    };
    let mut files = Files::new();
    for process in job["processes"].as_array().into_iter().flatten() {
        *files.entry(key(process, "binpath")).or_default() += 1;
        for object in process["shared_objects"].as_array().into_iter().flatten() {
            *files.entry(key(object, "path")).or_default() += 1;
        }
    }
    let names = job["names"].as_array().into_iter().flatten();
    (files, names.map(|name| (key(name, "path"), name.clone())).collect())
}

#[test]
fn a_session_has_names_after_this_machines_packages_are_learned() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        assert!(std::env::var_os("CI").is_none(), "CI has dpkg");
        println!("skipped: needs dpkg");
        return;
    }
    let stage = Stage::new();
    let token = token_file(&stage);
    let work = stage.folder().join("work");
    fs::create_dir(&work).unwrap();
    let script = stage.folder().join("session.sh");
    fs::write(&script, SESSION).unwrap();
    // What ran before has a name, too.
    run(&stage, "4711", &["/bin/bash", script.to_str().unwrap(), work.to_str().unwrap()]);
    let job = stage.job("4711", |job| job["processes"].as_array().is_some_and(|all| all.len() >= 25));
    assert!(job["names"].is_null(), "{}", job["names"]);

    // The server reads its file of tokens from time to time.
    let first = loop {
        let mut command = stage.site.ogrt(&["learn", "--dpkg", "--json"]);
        let learned = see(command.env("OGRT_TOKEN_FILE", &token));
        match learned.status.code() {
            Some(0) => break serde_json::from_slice::<Value>(&learned.stdout).unwrap(),
            _ => assert!(text(&learned.stderr).contains("token"), "{}", text(&learned.stderr)),
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    assert_eq!(first["new"], first["files"], "{first}");
    let begin = std::time::Instant::now();
    let again = learn(&stage, &token, &["--dpkg"]);
    println!("learned {first}, and again in {:?}", begin.elapsed());
    assert_eq!((&again["known"], &again["new"]), (&first["files"], &0.into()));

    let job = stage.job("4711", |job| !job["names"].is_null());
    let (files, names) = files(&job);
    let count = |named: bool| -> usize {
        files.iter().filter(|(file, _)| !named || names.contains_key(*file)).map(|(_, count)| count).sum()
    };
    let (all, named) = (count(false), count(true));
    let missing: Vec<_> = files.keys().filter(|file| !names.contains_key(*file)).collect();
    println!("{named} of {all} starts and objects have a name; those without one: {missing:?}");
    assert!(named * 100 >= all * 99, "{named} of {all}: {missing:?}");
    let unchecked: Vec<_> = names.values().filter(|name| !name["content"].is_null()).collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
    let bash = names.values().find(|name| name["package"] == "bash").expect("bash");
    assert_eq!((&bash["software"], &bash["known_by"]), (&"bash".into(), &"build_id".into()));

    // A copy that was patched keeps its build-id; one whose build-id was changed is nobody's.
    let ls = fs::read(fs::canonicalize("/bin/ls").unwrap()).unwrap();
    let patched = patch(&ls, b"Usage: ", b"Patch: ");
    let id: Vec<u8> = (1..=20).collect();
    let build_id = hexadecimal(
        names.iter().find(|((_, path), _)| path == "/usr/bin/ls").map(|((id, _), _)| id).unwrap(),
    );
    let strange = patch(&ls, &build_id, &id);
    for (name, bytes) in [("patched", patched), ("strange", strange)] {
        let program = stage.folder().join(name);
        fs::write(&program, bytes).unwrap();
        fs::set_permissions(&program, fs::metadata("/bin/ls").unwrap().permissions()).unwrap();
        run(&stage, "80", &[program.to_str().unwrap(), "/"]);
    }
    stage.job("80", |job| job["processes"].as_array().is_some_and(|all| all.len() == 2));
    let listed = |options: &[&str]| {
        let output = see(stage.site.ogrt(&["unregistered"]).args(options));
        (output.status.code(), text(&output.stdout))
    };
    let (status, table) = listed(&[]);
    assert_eq!(status, Some(0));
    assert!(
        table.contains("/strange") && !table.contains("/patched") && !table.contains("/usr/bin/ls"),
        "{table}"
    );
    let (_, table) = listed(&["--all", "--limit", "1000"]);
    let line = table.lines().find(|line| line.contains("/patched")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("coreutils") && line.contains("by build-id alone, content not checked"), "{line}");
    let report = see(&mut stage.site.ogrt(&["report", "--by", "software,version", "--top", "100"]));
    let table = text(&report.stdout);
    assert!(["coreutils", "git", "bash", "(unknown)"].iter().all(|name| table.contains(name)), "{table}");
    let uses = see(&mut stage.site.ogrt(&["uses", "--soname", "libc.so.6"]));
    assert!(text(&uses.stdout).contains("glibc"), "{}", text(&uses.stdout));
}

/// The bytes with the first of some bytes replaced by others.
fn patch(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from).expect("such bytes");
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}

fn hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
