//! Tokens of servers that share a registry: one that is added or removed at any of them holds, or
//! holds no more, at all.

use crate::{
    backend::Backend,
    daemon::{Daemon, SERVER, build, wait_for},
    database::Database,
};
use prost::Message;
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Runs `ogrt-server token`: whether it succeeded, and what it printed.
fn manage(daemon: &Daemon, arguments: &[&str]) -> (bool, String) {
    let config = daemon.path().join("ogrt.conf");
    let output = Command::new(SERVER).arg("--config").arg(config).arg("token").args(arguments).output();
    let output = output.unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn add(daemon: &Daemon, name: &str) -> String {
    let (is_made, token) = manage(daemon, &["add", name]);
    assert!(is_made && token.starts_with("ogrt_"), "{token}");
    token.trim().to_owned()
}

/// May whoever shows this token register builds?
fn holds(daemon: &Daemon, token: &str) -> bool {
    let header = format!("authorization: Bearer {token}\r\n");
    let status = daemon.http_with("POST", "/v1/builds", &header, &build(1, "app").encode_to_vec()).0;
    assert!(matches!(status, 200..=202 | 401 | 403), "{status}");
    status < 300
}

/// Asks until the token holds, or holds no more, within two seconds.
fn soon(daemon: &Daemon, token: &str, does: bool) {
    let since = Instant::now();
    wait_for("the token", || (holds(daemon, token) == does).then_some(()));
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[test]
fn a_token_that_is_added_or_removed_at_one_server_is_so_at_all() {
    let Some(backend) = Backend::postgres() else { return };
    let [here, there] = [0, 1].map(|_| backend.start("[access]\nregister = \"token\"\n"));
    for name in ["one", "two", "three"] {
        let token = add(&here, name);
        for daemon in [&here, &there] {
            soon(daemon, &token, true);
            assert_eq!(manage(daemon, &["list"]).1, format!("{name} register\n"));
            assert!(!manage(daemon, &["add", name]).0);
        }
        // Whoever reads the database has no token.
        let row = backend.database().unwrap().execute("SELECT * FROM tokens");
        assert!(row.contains(name) && !row.contains(&token[5..]), "{row}");
        assert!(manage(&there, &["remove", name]).0);
        for daemon in [&here, &there] {
            soon(daemon, &token, false);
        }
        assert!(!manage(&here, &["remove", name]).0);
    }
}

#[test]
fn tokens_that_were_known_hold_while_the_database_is_away() {
    let Some(database) = Database::alone() else { return };
    let configuration = format!(
        "[access]\nregister = \"token\"\n[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n",
        database.url()
    );
    let [here, there] = [0, 1].map(|_| Daemon::start(&configuration));
    let [stays, goes] = ["stays", "goes"].map(|name| add(&here, name));
    soon(&there, &stays, true);
    soon(&there, &goes, true);
    database.goes_away();
    assert!(!manage(&here, &["remove", "goes"]).0);
    let (is_made, why) = manage(&here, &["add", "new"]);
    assert!(!is_made && why.lines().count() == 1 && why.contains("away"), "{why}");
    for daemon in [&here, &there] {
        assert!(holds(daemon, &stays) && holds(daemon, &goes) && !holds(daemon, "ogrt_guess"));
    }
    // Also after a start.
    let there = there.crash_and_restart(&configuration);
    assert!(holds(&there, &stays) && holds(&there, &goes));
    database.comes_back();
    wait_for("the database", || manage(&here, &["remove", "goes"]).0.then_some(()));
    soon(&there, &goes, false);
    assert!(holds(&there, &stays));
    // One that hangs is like one that is away.
    database.hangs(true);
    assert!(holds(&there, &stays) && !holds(&there, &goes));
    database.hangs(false);
    let new = add(&here, "new");
    soon(&there, &new, true);
}

#[test]
fn tokens_in_the_file_of_a_server_go_on_to_hold_there() {
    let Some(backend) = Backend::postgres() else { return };
    let access = "[access]\nregister = \"token\"\n";
    let before = Daemon::start(access);
    let old = add(&before, "old");
    soon(&before, &old, true);
    // The site takes a database.
    let here = before.crash_and_restart(&(access.to_owned() + &backend.configuration()));
    let there = backend.start(access);
    let new = add(&there, "new");
    soon(&here, &new, true);
    assert!(holds(&here, &old) && !holds(&there, &old));
    assert_eq!(manage(&here, &["list"]).1, "new register\nold register\n");
    // Made again, it holds everywhere.
    assert!(manage(&here, &["remove", "old"]).0);
    soon(&here, &old, false);
    let again = add(&here, "old");
    soon(&there, &again, true);
    soon(&here, &again, true);
}
