//! The page in real browsers, on a site in a box: the tasks that people come for, each page at four
//! widths, and a job that is too large for one page.

use ogrt_end_to_end::{Stage, prefix, see};
use ogrt_load::site::{Site, Size, now_s};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};
use xtask::{child, site_in_a_box::Filler, workspace::Workspace};

/// Jobs of the site, and the number that it follows from.
const JOBS: u64 = 1500;

/// The programs that a walk needs, with the packages that have them.
const BROWSERS: [(&str, &[&str]); 2] =
    [("chromium", &["chromium"]), ("firefox", &["firefox-esr", "firefox"])];

/// Paths of the browsers. A machine that lacks one fails in CI, and skips elsewhere.
fn browsers() -> Option<Value> {
    let path = env::var_os("PATH").unwrap_or_default();
    let find = |names: &[&str]| {
        let places =
            env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        places.into_iter().find(|place| place.is_file())
    };
    let mut found = json!({});
    for (name, names) in BROWSERS {
        match find(names) {
            Some(path) => found[name] = path.to_string_lossy().into(),
            None => {
                assert!(env::var_os("CI").is_none(), "{name} is missing");
                println!("skipped: needs {name}");
                return None;
            }
        }
    }
    Some(found)
}

/// The folder with the walk and what it stands on, of npm.
fn walk() -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let folder = Workspace::find().unwrap().target.join("page-walk");
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let lock = fs::read(folder.join("package-lock.json")).unwrap();
    let stamp = folder.join("node_modules/.of-this-lock");
    if fs::read(&stamp).is_ok_and(|known| known == lock) {
        return folder;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
    see(&mut npm);
    fs::write(stamp, lock).unwrap();
    folder
}

/// A server with the site, and the same site as a list.
fn stage() -> (Stage, Site) {
    let workspace = Workspace::find().unwrap();
    let filler = Filler::build(&workspace, "dev", |cargo| child::run(cargo, &mut |_| {})).unwrap();
    let stage = Stage::filled(|data| {
        filler.fill(data, JOBS).unwrap();
    });
    (stage, Site::new(20_261_130, Size::of_jobs(JOBS, now_s())))
}

/// Runs a part of the walk, and fails with what it printed.
fn run(script: &str, facts: &Value, folder: &Path) {
    let walk = walk();
    let path = folder.join(format!("{script}.json"));
    fs::write(&path, facts.to_string()).unwrap();
    let looks = Workspace::find().unwrap().target.join("page-looks");
    let mut node = Command::new("node");
    node.current_dir(&walk).arg(script).arg(&path).arg(&looks);
    let output = node.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let problems: Vec<&str> = text.lines().filter(|line| line.starts_with("FAILED")).collect();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && problems.is_empty(), "{}\n{error}", problems.join("\n"));
    assert!(text.lines().filter(|line| line.starts_with("ok") || line.starts_with("looked")).count() > 20);
}

/// The users of processes that fit.
fn users(site: &Site, fits: impl Fn(&ogrt_load::site::SiteProcess) -> bool) -> Vec<String> {
    let names = site.processes.iter().filter(|process| fits(process));
    let names: BTreeSet<String> = names.map(|process| site.value(process, "user")).collect();
    names.into_iter().collect()
}

/// A version of a registered software that nobody ran lately.
fn retired(site: &Site) -> Value {
    let mut last: BTreeMap<[String; 2], i64> = BTreeMap::new();
    for process in &site.processes {
        let name = ["software", "version"].map(|key| site.value(process, key));
        let known = last.entry(name).or_default();
        *known = process.start_ns.max(*known);
    }
    let before_ns = (now_s() - 220 * 86_400) * 1_000_000_000;
    let retired = last
        .into_iter()
        .find(|([name, version], last_ns)| !name.is_empty() && !version.is_empty() && *last_ns < before_ns);
    let ([software, version], _) = retired.expect("a version that nobody ran for seven months");
    json!({ "software": software, "version": version })
}

/// A program with a note, built and registered for real.
fn marked_program(stage: &Stage) -> Value {
    let source = stage.folder().join("probe.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let compiler = prefix().join("bin/ogrt-cc");
    let mut command = stage.site.command(&compiler.to_string_lossy(), stage.folder());
    command.env("OGRT_META_NAME", "probe").args(["probe.c", "-o", "probe"]);
    see(&mut command);
    let path = stage.folder().join("probe");
    let sha256 = Sha256::digest(fs::read(&path).unwrap());
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "path": path, "signature": stage.signature(&path), "sha256": sha256, "name": "probe" })
}

#[test]
fn people_do_what_they_came_for() {
    let Some(browsers) = browsers() else { return };
    let (stage, site) = stage();
    let base = stage.server.as_ref().unwrap().http.clone();
    let land = &site.landmarks;
    let (library, below) = &land.old_library;
    let has_old = |process: &ogrt_load::site::SiteProcess| {
        site.program(process)
            .libraries
            .iter()
            .map(|at| &site.libraries[*at])
            .any(|file| file.library.name == library && file.version.split('.').lt(below.split('.')))
    };
    let (since, until) = ("2026-01-01", "2026-11-15");
    let question =
        ["report", "--by", "software,user", "--since", since, "--until", until, "--top", "100", "--csv"];
    let csv = String::from_utf8(see(&mut stage.site.ogrt(&question)).stdout).unwrap();
    let facts = json!({
        "base": base,
        "browsers": browsers,
        "old": { "software": library, "version": format!("<{below}"), "users": users(&site, has_old) },
        "failed": { "user": "alice", "state": "killed", "name": format!("alpha/{}", land.failed_job),
            "program": "gmx_mpi mdrun", "ending": "signal 11" },
        "builds": { "name": land.two_builds_name, "after": land.two_builds[1], "gone": "-O2", "added": "-Ofast" },
        "report": { "keys": ["software", "user"], "since": since, "until": until, "csv": csv },
        "file": marked_program(&stage),
        "user": "alice",
        "retired": retired(&site),
        "library": { "signature": land.contained_library, "name": "OpenMPI", "contained_in": "GROMACS" },
        "unregistered": { "under": "/home/ann", "path": land.unknown_program,
            "users": users(&site, |process| site.program(process).path == land.unknown_program) },
    });
    run("walk.mjs", &facts, stage.folder());
}

#[test]
fn every_page_is_good_to_look_at() {
    let Some(browsers) = browsers() else { return };
    let (stage, site) = stage();
    let land = &site.landmarks;
    let [before, after] = &land.two_builds;
    let pages = json!({
        "overview": "/",
        "software": "/software",
        "one-software": format!("/software?name={}", land.two_builds_name),
        "jobs": "/jobs?state=failed,killed,oom",
        "job": format!("/job?id={}&cluster=alpha", land.failed_job),
        "large-job": format!("/job?id={}", land.large_job),
        "running-job": format!("/job?id={}", land.running_job),
        "hostile-jobs": format!("/jobs?user={}", land.hostile_user),
        "builds": "/builds",
        "build": format!("/build?signature={}", land.contained_library),
        "program": format!("/build?signature={after}"),
        "compare": format!("/compare?a={before}&b={after}"),
        "unregistered": "/unregistered",
        "affected": format!("/affected?software={}&version=%3C{}", land.old_library.0, land.old_library.1),
        "report": "/report?by=user&by=software",
        "search": "/search?q=alice",
        "search-help": "/search?q=nothing+of+this",
        "problem": "/report?since=soon",
    });
    let pictures = json!({
        "picture-overview": "/",
        "picture-software": format!("/software?name={}", land.two_builds_name),
        "picture-job": format!("/job?id={}&cluster=alpha", land.failed_job),
        "picture-build": format!("/build?signature={}", land.contained_library),
        "picture-compare": format!("/compare?a={before}&b={after}"),
        "picture-affected": format!("/affected?software={}&version=%3C{}", land.old_library.0, land.old_library.1),
    });
    let base = &stage.server.as_ref().unwrap().http;
    let facts = json!({ "base": base, "browsers": browsers, "pages": pages, "pictures": pictures });
    run("looks.mjs", &facts, stage.folder());
}
