//! `ogrt identify`: what a program is, and what an unknown one resembles, by the installed
//! commands.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Links a program with functions and messages of these numbers, without OGRT.
fn link(stage: &Stage, path: &str, numbers: std::ops::Range<u32>) -> PathBuf {
    let word =
        |number: u32| number.to_string().bytes().map(|digit| char::from(digit + 49)).collect::<String>();
    let mut source = "#include <stdio.h>\n".to_owned();
    for number in numbers {
        let word = word(number);
        source += &format!(
            "int solve_{word}(int x) {{ puts(\"residual {word} of the {word} grid\"); return x; }}\n"
        );
    }
    source += "int main(void) { return 0; }\n";
    let (file, program) = (stage.folder().join("code.c"), stage.folder().join(path));
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&file, source).unwrap();
    let words = [OsStr::new("-Wl,--build-id"), "-o".as_ref(), program.as_os_str(), file.as_os_str()];
    assert!(Command::new("gcc").args(words).status().unwrap().success());
    program
}

/// Runs a command of ours with the token until it is permitted: the server reads its file of tokens
/// from time to time.
fn permitted(stage: &Stage, token: &Path, words: &[&str]) -> (Option<i32>, String) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let done = see(stage.site.ogrt(words).env("OGRT_TOKEN_FILE", token));
        let is_refused = done.status.code() == Some(2) && text(&done.stderr).contains("token");
        if !is_refused || Instant::now() > deadline {
            assert!(done.stderr.is_empty(), "{}", text(&done.stderr));
            return (done.status.code(), text(&done.stdout));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_program_that_nobody_knows_resembles_its_other_version_and_is_not_counted_as_it() {
    let stage = Stage::new();
    let mut command = stage.command("ogrt-server");
    command.arg("--data-dir").arg(stage.folder().join("server/data"));
    let made = see(command.args(["token", "add", "operator", "--scope", "administer"]));
    let token = stage.folder().join("token");
    fs::write(&token, made.stdout).unwrap();

    link(&stage, "opt/aero/2/bin/aero", 0..200);
    link(&stage, "opt/ocean/1/bin/ocean", 5000..5200);
    for (name, version) in [("aero", "2"), ("ocean", "1")] {
        let tree = stage.folder().join("opt").join(name);
        let words = ["learn", "--tree", tree.to_str().unwrap(), "--name", name, "--version", version];
        let (status, told) = permitted(&stage, &token, &words);
        assert!(status == Some(0) && told.contains("1 sketches"), "{told}");
    }

    // The next version, stripped; a program of nobody; one that is known; one of our own.
    let next = link(&stage, "home/ann/aero3", 20..220);
    assert!(Command::new("strip").arg(&next).status().unwrap().success());
    let strange = link(&stage, "home/ann/strange", 9000..9200);
    let small = link(&stage, "home/ann/small", 0..2);
    let known = stage.folder().join("opt/aero/2/bin/aero");
    let ours = stage.link("hello");
    let identify = |options: &[&str], files: &[&Path]| {
        let done = see(stage.site.ogrt(&["identify"]).args(options).args(files));
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let (status, told, _) = identify(&["--json"], &[&next, &known]);
    let answer: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(status, Some(0), "{told}");
    let like = &answer["files"][0]["resembles"][0];
    assert_eq!(
        (&like["software"], &like["version"], &like["known_by"]),
        (&"aero".into(), &"2".into(), &"likeness".into())
    );
    assert!((0.7..0.95).contains(&like["score"].as_f64().unwrap()), "180 of 220: {told}");
    assert_eq!(answer["files"][0]["resembles"].as_array().unwrap().len(), 1);
    let known_as = &answer["files"][1]["known"];
    assert_eq!((&known_as["software"], &known_as["known_by"]), (&"aero".into(), &"build_id".into()));
    for unknown in [&strange, &small] {
        let (status, table, _) = identify(&[], &[unknown]);
        assert!(status == Some(1) && table.contains("unknown"), "{table}");
    }
    // As soon as the server has the record.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !identify(&["--csv"], &[&ours]).1.contains(",signature,") {
        assert!(Instant::now() < deadline, "{:?}", identify(&["--csv"], &[&ours]));
        thread::sleep(Duration::from_millis(100));
    }
    let (status, table, errors) = identify(&[], &[&next, &stage.folder().join("none")]);
    assert!(
        status == Some(2) && table.contains("resembles aero 2 (0.") && errors.contains("none"),
        "{table}{errors}"
    );

    // They run. Then one is built anew, and a pipe stands where another was.
    let gone = link(&stage, "home/ann/gone", 20..230);
    let piped = link(&stage, "home/ann/piped", 20..240);
    for program in [&next, &strange, &small, &gone, &piped] {
        stage.run_in_job("4711", program);
    }
    stage.job("4711", |job| job["processes"].as_array().is_some_and(|all| all.len() == 5));
    link(&stage, "home/ann/gone", 30..230);
    fs::remove_file(&piped).unwrap();
    assert!(Command::new("mkfifo").arg(&piped).status().unwrap().success());
    let (_, told) = permitted(&stage, &token, &["identify", "--unregistered"]);
    assert!(
        told.contains("5 programs: 2 sketches, 2 of them new; 2 programs are not on this machine"),
        "{told}"
    );
    let (_, told) = permitted(&stage, &token, &["identify", "--unregistered", "--json"]);
    let sums: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&sums["new"], &sums["known"]), (&0.into(), &2.into()), "{sums}");

    let listed = text(&see(&mut stage.site.ogrt(&["unregistered"])).stdout);
    let line =
        |name: &str| listed.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line("/aero3").contains("resembles aero 2 (0."), "{listed}");
    assert!(
        ["/strange", "/small", "/gone", "/piped"].iter().all(|name| !line(name).contains("resembles")),
        "{listed}"
    );
    let by_job = text(&see(&mut stage.site.ogrt(&["unregistered", "--by-job"])).stdout);
    assert!(by_job.contains("resembles aero 2 (0."), "{by_job}");
    for words in [&["report", "--by", "software,known_by"][..], &["uses", "aero"], &["job", "4711"]] {
        let told = text(&see(&mut stage.site.ogrt(words)).stdout);
        assert!(!told.contains("likeness") && !told.contains("resembles"), "{words:?}: {told}");
        assert!(words[0] == "job" || !told.contains("aero "), "{words:?}: {told}");
    }
}
