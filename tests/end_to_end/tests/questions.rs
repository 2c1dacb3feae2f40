//! The thirteen questions of docs/questions.md about a stack that is built and run here: each
//! command as in the document, with its right answer.
//!
//! | part of the stack | what it is |
//! |---|---|
//! | `libcrun.so` | a compiler's runtime |
//! | `libsum.a` | a static library |
//! | `vec.h` | a library that is a header alone |
//! | `libmid.so` | a library that contains `libsum.a` |
//! | `solver` | a program in two builds, linked with `libmid.so` |
//! | `plot` | a program that is linked with the runtime alone |
//!
//! Three users run them in jobs of their own, for which the test must be root.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_proto::{MessageType, Note, ProcessInfo, SharedObject, encode_frame};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};
use xtask::stack::{self, StackLink};

const DOCUMENT: &str = include_str!("../../../docs/questions.md");

/// Users that every Debian has, with their uids.
const DAEMON: (&str, u32) = ("daemon", 1);
const GAMES: (&str, u32) = ("games", 5);
const NOBODY: (&str, u32) = ("nobody", 65534);

const DAY: u64 = 86_400;

/// Checks an answer.
type Check = fn(&Stack, &Output);

/// The questions in the document's order, each with its check.
const QUESTIONS: [(&str, Check); 13] = [
    ("ogrt uses libsum.a", who_ran_the_static_library),
    ("ogrt builds --flag=-Ofast", which_builds_used_ofast),
    ("ogrt diff old/solver solver", what_changed_between_two_builds),
    ("ogrt unregistered --by-job --since today", which_of_todays_jobs),
    ("ogrt verify patched/solver", was_it_altered),
    ("ogrt query solver", what_is_it),
    ("ogrt dependents libcrun.so", what_contains_the_runtime),
    ("ogrt job 4711", what_did_the_job_run),
    ("ogrt builds --user games --since 2h", what_did_the_user_build),
    ("ogrt builds --compiler clang", which_builds_are_clangs),
    ("ogrt builds --flag=-DVEC_HEADER_ONLY", which_builds_used_the_header),
    ("ogrt unregistered --under /home/", what_ran_from_homes),
    ("ogrt jobs --software solver", which_jobs_ran_the_solver),
];

struct Stack {
    stage: Stage,
    /// A copy of the installation that other users can reach.
    prefix: String,
    built_on: u64,
}

#[test]
fn each_question_has_the_right_answer() {
    let programs = ["gcc", "clang", "ar", "patchelf"];
    for program in programs {
        let there = Command::new(program).arg("--version").output().is_ok();
        assert!(there || std::env::var_os("CI").is_none(), "in CI a missing {program} is a failure");
        if !there {
            return println!("skipped: needs {program}");
        }
    }
    let is_root = see(Command::new("id").arg("-u")).stdout == b"0\n";
    assert!(is_root || std::env::var_os("CI").is_none(), "in CI the tests run as root");
    if !is_root {
        return println!("skipped: needs root, to run jobs of several users");
    }

    let asked: Vec<&str> = DOCUMENT.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(asked, QUESTIONS.map(|(command, _)| command), "docs/questions.md and its test ask the same");

    let stack = Stack::build();
    stack.run_jobs();
    stack.slow_clock();
    // The answers for the document are written into this folder, if the variable is set.
    let keep = std::env::var_os("OGRT_QUESTIONS_TO");
    for (index, (command, check)) in QUESTIONS.iter().enumerate() {
        let answer = stack.ask(command);
        if let Some(folder) = &keep {
            fs::write(Path::new(folder).join(format!("{:02}", index + 1)), &answer.stdout).unwrap();
        }
        assert!(answer.stderr.is_empty(), "{command}: {}", text(&answer.stderr));
        check(&stack, &answer);
    }
}

impl Stack {
    /// Builds all of it with the wrappers.
    fn build() -> Stack {
        let stage = Stage::new();
        let folder = stage.folder();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(folder, 0o755);
        mode(&folder.join("server"), 0o755);
        let prefix = folder.join("opt").display().to_string();
        let installed =
            see(stage.command("sh").args(["-c", "dirname \"$(dirname \"$(command -v ogrt)\")\""]));
        let copied = see(Command::new("cp").arg("-a").arg(text(&installed.stdout).trim()).arg(&prefix));
        assert!(copied.status.success(), "{}", text(&copied.stderr));

        stack::write_sources(folder).unwrap();
        mode(&folder.join("games"), 0o777);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let stack = Stack { prefix, stage, built_on: now / DAY };

        stack::BEFORE.iter().for_each(|command| stack.run(command));
        for link in &stack::LINKS {
            stack.link(link, (link.name == "plot").then_some(GAMES));
        }
        // On a busy machine a record may wait in the spool.
        for (spool, user) in [("spool", None), ("games/spool", Some(GAMES))] {
            let mut flush = stack.stage.command(&format!("{}/bin/ogrt", stack.prefix));
            flush.arg("flush").env("OGRT_SPOOL_DIR", stack.stage.folder().join(spool));
            if let Some((_, uid)) = user {
                flush.uid(uid).gid(uid);
            }
            let output = see(&mut flush);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        stack::AFTER.iter().for_each(|command| stack.run(command));
        stack
    }

    /// Links by the wrapper, as one user.
    fn link(&self, link: &StackLink, user: Option<(&str, u32)>) {
        let mut command = self.stage.command(&format!("{}/bin/ogrt-cc", self.prefix));
        command.args(link.arguments).env("OGRT_META_NAME", link.name);
        command.env("OGRT_META_VERSION", link.version);
        if let Some((_, uid)) = user {
            let home = self.stage.folder().join("games");
            command.uid(uid).gid(uid).env("OGRT_SPOOL_DIR", home.join("spool")).env("HOME", home);
        }
        let output = see(&mut command);
        assert!(output.status.success(), "{link:?}: {}", text(&output.stderr));
    }

    fn run(&self, command: &[&str]) {
        let output = see(self.stage.command(command[0]).args(&command[1..]));
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    }

    /// Runs three jobs of three users.
    fn run_jobs(&self) {
        for (job, (_, uid), script) in [
            ("4711", DAEMON, "./solver; ./tool; true"),
            ("4712", GAMES, "games/plot; games/plot; true"),
            ("4713", NOBODY, "old/solver; true"),
        ] {
            let mut command = self.stage.command(&format!("{}/bin/ogrt", self.prefix));
            command.args(["run", "--", "/bin/sh", "-c", script]).env("JOBID", job).uid(uid).gid(uid);
            let output = see(&mut command);
            assert!(output.status.success(), "job {job}: {}", text(&output.stderr));
            self.stage
                .job(job, |job| job["processes"].as_array().is_some_and(|processes| processes.len() >= 2));
        }
    }

    /// Sends what a node tells whose clock is a day behind: a job with a program from a home
    /// directory, and one with a registered program alone.
    fn slow_clock(&self) {
        let signature = self.stage.signature(&self.stage.folder().join("solver"));
        let mark = Note {
            signature: Some(signature.parse::<ogrt_note::Signature>().unwrap().as_bytes().to_vec().into()),
            version: Some(2),
            ..Note::default()
        };
        let event = |job: &str, program: &str, marks: Vec<Note>, hour: u64| ProcessInfo {
            binpath: Some(program.as_bytes().to_vec().into()),
            pid: Some(77),
            parent_pid: Some(76),
            job_id: Some(job.as_bytes().to_vec().into()),
            username: Some("ann".into()),
            hostname: Some("node7".into()),
            start_time_ns: Some(((self.built_on - 1) * DAY + hour * 3_600) as i64 * 1_000_000_000),
            event_id: Some(vec![hour as u8; 16].into()),
            build_id: marks.is_empty().then(|| vec![0xab; 20].into()),
            notes: marks,
            shared_objects: vec![SharedObject {
                path: Some("/lib/libc.so.6".into()),
                ..SharedObject::default()
            }],
            ..ProcessInfo::default()
        };
        let server = self.stage.server.as_ref().unwrap();
        let mut stream = TcpStream::connect(&server.tcp).unwrap();
        for event in [
            event("4700", "/home/ann/a.out", Vec::new(), 9),
            event("4701", "/sw/solver/1.1/solver", vec![mark], 10),
        ] {
            stream.write_all(&encode_frame(MessageType::ProcessInfo, &event)).unwrap();
        }
        drop(stream);
        for job in ["4700", "4701"] {
            self.stage.job(job, |job| job["processes"][0]["binpath"].is_string());
        }
    }

    fn ask(&self, command: &str) -> Output {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        see(self.stage.site.ogrt(&words).current_dir(self.stage.folder()))
    }

    /// The same question for programs.
    fn json(&self, index: usize) -> Value {
        let output = self.ask(&format!("{} --json", QUESTIONS[index - 1].0));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)))
    }

    fn signature(&self, name: &str) -> Value {
        self.stage.signature(&self.stage.folder().join(name)).into()
    }
}

/// Values under a key of each element, sorted.
fn each(list: &Value, key: &str) -> Vec<String> {
    let mut values: Vec<String> = list
        .as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|one| one[key].as_str().unwrap_or_else(|| panic!("no {key}: {one}")).to_owned())
        .collect();
    values.sort();
    values
}

fn answered(output: &Output, status: i32, words: &[&str]) {
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{out}{}", text(&output.stderr));
    for word in words {
        assert!(out.contains(word), "{word} in {out}");
    }
    assert!(!out.contains('\u{1b}'), "colour off a terminal");
}

fn who_ran_the_static_library(stack: &Stack, output: &Output) {
    // The user games ran plot alone, which does not contain it.
    answered(output, 0, &["daemon", "nobody", "ann", "mid 3.1", "solver 1.1", "4711", "4713", "4701"]);
    let uses = stack.json(1);
    assert_eq!(each(&uses["users"], "user"), ["ann", "daemon", "nobody"], "{uses}");
    assert_eq!(each(&uses["jobs"], "job_id"), ["4701", "4711", "4713"], "{uses}");
    assert_eq!((&uses["total"]["processes"], &uses["total"]["jobs"]), (&3.into(), &3.into()), "{uses}");
    assert_eq!(each(&uses["through"], "name"), ["mid", "solver", "solver"], "{uses}");
}

fn which_builds_used_ofast(stack: &Stack, output: &Output) {
    answered(output, 0, &["solver 1.1"]);
    assert_eq!(stack.json(2)["builds"].as_array().unwrap().len(), 1);
    assert_eq!(stack.json(2)["builds"][0]["signature"], stack.signature("solver"));
}

fn what_changed_between_two_builds(stack: &Stack, output: &Output) {
    answered(output, 1, &["-  -O2", "+  -Ofast", "version", "1.0", "1.1"]);
    let difference = stack.json(3);
    assert_eq!(difference["flags"]["before"], serde_json::json!(["-O2"]), "{difference}");
    assert_eq!(difference["flags"]["after"], serde_json::json!(["-Ofast"]));
    assert_eq!(difference["facts"]["version"], serde_json::json!(["1.0", "1.1"]));
    // With -Ofast gcc links a file that switches denormals off, which is worth knowing.
    assert_eq!(difference["inputs"]["before"], serde_json::json!([]), "{difference}");
    let added = difference["inputs"]["after"].as_array().unwrap();
    assert!(added.len() == 1 && added[0].as_str().unwrap().ends_with("/crtfastmath.o"), "{difference}");
    let changed = each(&difference["changed_inputs"], "path");
    assert!(!changed.iter().any(|path| path.ends_with("libmid.so")), "{changed:?}");
}

fn which_of_todays_jobs(stack: &Stack, output: &Output) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    if now / DAY != stack.built_on {
        return println!("skipped: midnight came between the jobs and the question");
    }
    answered(output, 0, &["4700", "ann", "/home/ann/a.out"]);
    let jobs = stack.json(4);
    // Each job but the one that ran registered software alone.
    assert_eq!(each(&jobs["jobs"], "job_id"), ["4700", "4711", "4712", "4713"], "{jobs}");
    let yesterday = stack.ask("ogrt unregistered --by-job --since yesterday --until today");
    assert_eq!(yesterday.status.code(), Some(1), "a node's clock decided: {}", text(&yesterday.stdout));
}

fn was_it_altered(stack: &Stack, output: &Output) {
    answered(output, 1, &["patched/solver: modified", "what the loader reads"]);
    let answer = stack.json(5);
    assert_eq!(answer[0]["differs"], serde_json::json!(["linkage"]), "{answer}");
    assert_eq!(stack.ask("ogrt verify solver libmid.so games/plot").status.code(), Some(0));
}

fn what_is_it(stack: &Stack, output: &Output) {
    answered(output, 0, &["solver", "1.1", "-Ofast", "libmid.so", "root", "libcrun.so"]);
    let record = stack.json(6);
    let mid = record["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|input| input["path"].as_str().is_some_and(|path| path.ends_with("libmid.so")));
    assert_eq!(mid.unwrap()["signatures"][0], stack.signature("libmid.so"));
}

fn what_contains_the_runtime(stack: &Stack, output: &Output) {
    answered(output, 0, &["mid 3.1", "solver 1.0", "solver 1.1", "plot 2.0"]);
    let dependents = stack.json(7);
    assert_eq!(each(&dependents["builds"], "name"), ["mid", "plot", "solver", "solver"], "{dependents}");
}

fn what_did_the_job_run(_: &Stack, output: &Output) {
    answered(output, 0, &["solver 1.1", "tool", "sh"]);
    let out = text(&output.stdout);
    let line =
        |word: &str| out.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {out}"));
    for label in [" user ", " first ", " last ", " wall ", " processes ", " (unknown) "] {
        line(label);
    }
    assert!(line("/solver").trim_start().starts_with("├─ solver"), "{out}");
    assert!(line("/tool").trim_start().starts_with("└─ tool"), "{out}");
    assert!(line("/solver").contains(" s "), "a duration: {out}");
}

fn what_did_the_user_build(stack: &Stack, output: &Output) {
    answered(output, 0, &["plot 2.0", "games"]);
    assert_eq!(each(&stack.json(9)["builds"], "name"), ["plot"]);
}

fn which_builds_are_clangs(stack: &Stack, output: &Output) {
    answered(output, 0, &["plot 2.0"]);
    assert_eq!(each(&stack.json(10)["builds"], "name"), ["plot"]);
}

fn which_builds_used_the_header(stack: &Stack, output: &Output) {
    answered(output, 0, &["solver 1.0", "solver 1.1"]);
    assert_eq!(each(&stack.json(11)["builds"], "version"), ["1.0", "1.1"]);
}

fn which_jobs_ran_the_solver(stack: &Stack, output: &Output) {
    answered(output, 0, &["solver 1.0", "solver 1.1", "daemon", "ann (claimed)"]);
    let json = stack.json(13);
    assert_eq!(each(&json["jobs"], "job_id"), ["4701", "4711", "4713"]);
    assert_eq!(each(&json["jobs"], "username"), ["ann", "daemon", "nobody"]);
}

fn what_ran_from_homes(stack: &Stack, output: &Output) {
    answered(output, 0, &["/home/ann/a.out", "ann", "abab"]);
    assert_eq!(each(&stack.json(12)["programs"], "binpath"), ["/home/ann/a.out"]);
}
