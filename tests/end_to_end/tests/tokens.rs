//! A server that registers nothing without a token: the wrappers, `ogrt register` and `ogrt flush`
//! with a token and without one.

use ogrt_end_to_end::{Stage, http, see, text};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// `ogrt register` of a prefix.
fn register(stage: &Stage, prefix: &Path, token_file: Option<&Path>) -> Command {
    let mut command = stage.site.ogrt(&["register", "--module", "program/1.0", "--prefix"]);
    command.arg(prefix).envs(token_file.map(|file| ("OGRT_TOKEN_FILE", file)));
    command
}

fn is_known(stage: &Stage) -> bool {
    let answer = http::get(&stage.server.as_ref().unwrap().http, "/v1/installations?module=program/1.0");
    !answer["installations"].as_array().unwrap().is_empty()
}

#[test]
fn who_shows_the_token_registers_and_nobody_else() {
    let stage = Stage::with_tables("[access]\nregister = \"token\"\n");
    let installed = stage.folder().join("installed");
    fs::create_dir(&installed).unwrap();

    // A link without a token succeeds like any other; its record waits.
    let program = stage.link("program");
    fs::rename(&program, installed.join("program")).unwrap();
    let program = installed.join("program");
    assert_eq!(stage.spooled(), 1);
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), text(&flushed.stderr).lines().count()), (Some(2), 1), "{flushed:?}");
    assert!(text(&flushed.stderr).contains("OGRT_TOKEN_FILE"), "{flushed:?}");
    assert_eq!(stage.spooled(), 1);

    // Without a token, with a file that does not exist, and with another token: one line, status 2,
    // and nothing is registered.
    let (away, wrong) = (stage.folder().join("away"), stage.folder().join("wrong"));
    fs::write(&wrong, "ogrt_of_another_server\n").unwrap();
    let not_known = "Unauthorized: this request needs a token that the server knows";
    for (file, cause) in [
        (None, not_known.to_owned()),
        (Some(&wrong), not_known.to_owned()),
        (Some(&away), format!("{}: No such file", away.display())),
    ] {
        let refused = see(&mut register(&stage, &installed, file.map(PathBuf::as_path)));
        let said = text(&refused.stderr);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.starts_with(&format!("ogrt: {}: not registered: ", installed.display())), "{said}");
        assert!(said.contains(&cause), "{said}");
        assert_eq!(text(&refused.stdout), "");
        // EasyBuild's hooks read this.
        let refused = see(register(&stage, &installed, file.map(PathBuf::as_path)).arg("--json"));
        let answer: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!((refused.status.code(), &answer["registered"]), (Some(2), &false.into()), "{answer}");
        assert!(answer["problem"].as_str().unwrap().contains(&cause), "{answer}");
    }
    assert!(!is_known(&stage));

    // With the token everything is registered.
    let token = stage.token_file(&[]);
    let deadline = Instant::now() + Duration::from_secs(30);
    // The server looks at its tokens once a second.
    let registered = loop {
        let registered = see(&mut register(&stage, &installed, Some(&token)));
        if registered.status.success() || Instant::now() > deadline {
            break registered;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(registered.status.code(), Some(0), "{}", text(&registered.stderr));
    assert_eq!(
        text(&registered.stdout),
        format!("{}: 1 linked files registered, 0 without a note\n", installed.display())
    );
    assert!(is_known(&stage));
    let flushed = see(stage.site.ogrt(&["flush"]).env("OGRT_TOKEN_FILE", &token));
    assert_eq!((flushed.status.code(), stage.spooled()), (Some(0), 0), "{}", text(&flushed.stderr));
    assert!(see(stage.site.ogrt(&["query"]).arg(&program)).status.success());
    // The spool is another one: the first remembers that the server took nothing a moment ago.
    let source = stage.source("second", "second");
    let mut link = stage.command("ogrt-cc");
    link.args(["gcc", &source, "-o", "second"]).env("OGRT_TOKEN_FILE", &token);
    let linked = see(link.env("OGRT_SPOOL_DIR", stage.folder().join("second-spool")));
    assert_eq!((linked.status.code(), text(&linked.stderr)), (Some(0), String::new()));
    assert!(see(stage.site.ogrt(&["query"]).arg(stage.folder().join("second"))).status.success());
    assert!(!stage.server.as_ref().unwrap().log().contains(fs::read_to_string(&token).unwrap().trim()));
}
