//! Every case of `cases/`, with us and without us, by LD_PRELOAD and by LD_AUDIT, in the situations
//! of the server: it listens, never answers, or (by LD_PRELOAD) is not there.
//!
//! A case passes when standard output, standard error, status and the files left behind are the
//! same. The server that listened must have got an event, so that "the same" does not mean "we were
//! not there". A case fails when the library prints, changes the environment, leaks a descriptor,
//! blocks, kills, or leaves a file.

use ogrt_behaviour_tests::{Case, Libraries, Observation, Receiver, Stage};
use std::{
    env, fs,
    os::unix::net::UnixListener,
    path::Path,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    thread,
};

fn difference(without: &Observation, with: &Observation) -> Option<String> {
    if without == with {
        return None;
    }
    let mut text = String::new();
    for (what, a, b) in [
        ("stdout", &without.stdout, &with.stdout),
        ("stderr", &without.stderr, &with.stderr),
        ("status", &without.status, &with.status),
    ] {
        if a != b {
            text += &format!("  {what} without us:\n{a}\n  {what} with us:\n{b}\n");
        }
    }
    for path in without.files.keys().chain(with.files.keys()) {
        let (a, b) = (without.files.get(path), with.files.get(path));
        if a != b {
            text += &format!("  file {}:\n   without us {a:?}\n   with us    {b:?}\n", path.display());
        }
    }
    Some(text)
}

/// Runs one case in every situation and returns the differences.
fn complaints(case: &Case, libraries: &Libraries, scratch: &Path) -> Result<Vec<String>, String> {
    let said = |error: anyhow::Error| format!("{}: {error:#}", case.name);
    let stage = Stage::prepare(scratch.join(&case.name), case).map_err(said)?;
    let mut complaints = Vec::new();
    for mode in case.modes {
        let run = |library| stage.run(case, mode, library).map_err(said);
        let without = run(&libraries.empty)?;
        let mut compare = |situation: &str, with: Observation| {
            if let Some(difference) = difference(&without, &with) {
                complaints.push(format!("{} by {mode} ({situation}):\n{difference}", case.name));
            }
        };

        let receiver = Receiver::listen(&stage.socket()).map_err(said)?;
        compare("server listens", run(&libraries.ours)?);
        let is_silent = case.expects_events && !receiver.saw_events();
        drop(receiver);

        if *mode == "LD_PRELOAD" {
            compare("no server", run(&libraries.ours)?);
        }

        let hung = UnixListener::bind(stage.socket()).map_err(|error| said(error.into()))?;
        compare("server never answers", run(&libraries.ours)?);
        drop(hung);
        fs::remove_file(stage.socket()).map_err(|error| said(error.into()))?;

        if is_silent {
            complaints.push(format!("{} by {mode}: no event reached the server", case.name));
        }
    }
    Ok(complaints)
}

#[test]
fn nobody_notices() {
    let scratch = tempfile::tempdir().unwrap();
    let libraries = Libraries::build(scratch.path()).unwrap();
    let wanted = env::var("OGRT_CASE").ok();
    let is_full = env::var("OGRT_TEST_FULL").is_ok_and(|value| value == "1");
    let cases: Vec<Case> = Case::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"))
        .unwrap()
        .into_iter()
        .filter(|case| wanted.as_deref().is_none_or(|name| case.name == name))
        .filter(|case| is_full || !case.is_heavy)
        .collect();
    assert!(wanted.is_some() || cases.len() >= 100, "only {} cases", cases.len());

    let (next, found, skipped) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !case.missing().is_empty() {
                        skipped.lock().unwrap().push(format!(
                            "{}: needs {}",
                            case.name,
                            case.missing().join(" ")
                        ));
                        continue;
                    }
                    match complaints(case, &libraries, scratch.path()) {
                        Ok(complaints) => {
                            println!(
                                "{} {}",
                                if complaints.is_empty() { "same     " } else { "DIFFERENT" },
                                case.name
                            );
                            found.lock().unwrap().extend(complaints);
                        }
                        Err(error) => found.lock().unwrap().push(error),
                    }
                }
            });
        }
    });
    let (found, skipped) = (found.into_inner().unwrap(), skipped.into_inner().unwrap());
    for line in &skipped {
        println!("skipped: {line}");
    }
    assert!(
        env::var_os("CI").is_none() || skipped.is_empty(),
        "in CI every program must be there: {skipped:?}"
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}
