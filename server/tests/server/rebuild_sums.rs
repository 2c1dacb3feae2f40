//! Sums that are made again, by the command as an administrator types it.

use crate::{
    daemon::{Daemon, WITHOUT_FILES, wait_for},
    join::process,
    reports,
    site_in_a_box::site_server,
};
use fjall::KeyspaceCreateOptions;
use nix::sys::signal::Signal;
use ogrt_load::site::FakeClock;
use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::ExitStatusExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The tables of sums, by their names on disk.
const TABLES: [&str; 8] = [
    "sums",
    "sum_months",
    "sum_hosts",
    "sum_host_months",
    "sum_programs",
    "sum_digests",
    "sum_jobs",
    "job_list",
];

fn command(directory: &Path, more: &[&str]) -> Command {
    let mut command = Daemon::command();
    command.arg("--config").arg(directory.join("ogrt.conf"));
    command.arg("--data-dir").arg(directory.join("data"));
    command.arg("rebuild-sums").args(more);
    command
}

/// Its exit status, and what it says but for the time that it took.
fn told(output: Output) -> (Option<i32>, String) {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.lines().all(|line| line.contains(" INFO ")), "{log}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.contains(" events were counted again ")).collect();
    (output.status.code(), lines.join("\n"))
}

fn rebuild(directory: &Path, more: &[&str]) -> (Option<i32>, String) {
    told(command(directory, more).output().unwrap())
}

/// Changes tables of a server that does not run.
fn change_tables(directory: &Path, names: &[&str], mut change: impl FnMut(&fjall::Keyspace)) {
    let database = fjall::Database::builder(directory.join("data/store")).open().unwrap();
    for name in names {
        change(&database.keyspace(name, KeyspaceCreateOptions::default).unwrap());
    }
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

/// Changes the number of processes in a row.
fn change_row(table: &fjall::Keyspace, row: fjall::Guard) -> (Vec<u8>, Vec<u8>) {
    let (key, value) = row.into_inner().unwrap();
    let mut value = value.to_vec();
    value[1] ^= 1;
    table.insert(key.clone(), &value[..]).unwrap();
    (key.to_vec(), value)
}

#[test]
fn sums_are_made_again_as_they_were_counted() {
    let site = reports::site();
    let clock_directory = tempfile::tempdir().unwrap();
    let clock = FakeClock::new(&clock_directory.path().join("clock")).unwrap();
    let environment = clock.environment();
    let environment: Vec<(&str, &OsStr)> =
        environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    let keep = "[jobs]\nkeep = \"2000d\"\n";
    let mut daemon = reports::fill(&site, &clock, keep);
    reports::each_figure_is_exact(&daemon, &site);
    assert!(daemon.stop().success());
    let rebuild = |directory: &Path, more: &[&str]| {
        told(command(directory, more).envs(environment.iter().copied()).output().unwrap())
    };
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(" counted again, 0 differ") && !said.contains("left as it is"), "{said}");

    // All of it is lost.
    change_tables(daemon.path(), &TABLES, |table| table.clear().unwrap());
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("there    0 processes"), "{said}");
    assert_eq!(rebuild(daemon.path(), &[]), (Some(0), said));
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(0), "{said}");
    let daemon = daemon.crash_and_restart_with(&format!("{keep}{WITHOUT_FILES}"), &environment);
    reports::each_figure_is_exact(&daemon, &site);
}

#[test]
fn days_of_which_events_are_gone_keep_their_sums() {
    let (mut daemon, _) = site_server(300);
    assert!(daemon.stop().success());
    let before = bytes_of_jobs(&daemon);
    // The site's clock has jumped, and a server with a doubtful clock deletes nothing.
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    fs::write(daemon.path().join("data/last-time"), format!("{now_s}\n")).unwrap();
    let keep = format!("[jobs]\nkeep = \"30d\"\n{WITHOUT_FILES}");
    let mut daemon = daemon.crash_and_restart(&keep);
    wait_for("old events to be deleted", || {
        // It is not known before the first look.
        let bytes = daemon.metric("ogrt_jobs_bytes");
        (bytes > 0 && bytes < before / 4 * 3).then_some(())
    });
    // While it runs, nobody else can.
    let output = command(daemon.path(), &["--dry-run"]).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{problem}");
    assert!(problem.contains("is another ogrt-server using it?"), "{problem}");
    assert!(daemon.stop().success());
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("before 20") && said.contains(": left as it is."), "{said}");

    let mut changed = Vec::new();
    change_tables(daemon.path(), &["sums"], |table| {
        change_row(table, table.last_key_value().unwrap());
    });
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(": differs\n    there    ") && said.contains("counted again, 1 differ"), "{said}");
    change_tables(daemon.path(), &["sums"], |table| {
        changed.push(change_row(table, table.first_key_value().unwrap()));
    });
    assert_eq!(
        rebuild(daemon.path(), &["--dry-run"]),
        (Some(1), said.clone()),
        "nobody can know of the old one"
    );
    assert_eq!(rebuild(daemon.path(), &[]), (Some(0), said));
    assert_eq!(rebuild(daemon.path(), &["--dry-run"]).0, Some(0));
    change_tables(daemon.path(), &["sums"], |table| {
        for (key, value) in &changed {
            assert_eq!(table.get(key).unwrap().as_deref(), Some(&value[..]), "an old row has changed");
        }
    });
}

fn bytes_of_jobs(daemon: &Daemon) -> u64 {
    let database = fjall::Database::builder(daemon.path().join("data/store")).open().unwrap();
    let totals = database.keyspace("totals", KeyspaceCreateOptions::default).unwrap();
    let bytes = totals.get("jobs bytes").unwrap().unwrap();
    u64::from_be_bytes(bytes[..].try_into().unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn one_that_is_killed_leaves_the_sums_of_before_or_those_of_after() {
    let (mut daemon, _) = site_server(300);
    assert!(daemon.stop().success());
    change_tables(daemon.path(), &["sums", "sum_months", "sum_jobs", "job_list"], |table| {
        table.clear().unwrap()
    });
    let (status, differs) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(1), "{differs}");
    let place = tempfile::tempdir().unwrap();
    let since = Instant::now();
    copy(daemon.path(), &place.path().join("whole"));
    let copied = since.elapsed();
    let since = Instant::now();
    assert_eq!(rebuild(&place.path().join("whole"), &[]).0, Some(0));
    let whole = since.elapsed();
    println!("a copy takes {copied:?}, all of it {whole:?}");

    // Each is killed between the last that came too early and the first that came too late.
    let (mut early, mut late, mut killed, mut after) = (Duration::ZERO, whole, 0, 0);
    for number in 0..12 {
        let directory = place.path().join(number.to_string());
        copy(daemon.path(), &directory);
        let mut child = command(&directory, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let delay = (early + late) / 2;
        sleep(delay);
        let _ = child.kill();
        killed += u32::from(child.wait().unwrap().signal() == Some(Signal::SIGKILL as i32));
        let (status, said) = rebuild(&directory, &["--dry-run"]);
        if status == Some(0) {
            (late, after) = (delay, after + 1);
        } else {
            assert_eq!((status, &said), (Some(1), &differs), "kill {number}");
            early = delay;
        }
        assert_eq!(rebuild(&directory, &[]).0, Some(0));
        assert_eq!(rebuild(&directory, &["--dry-run"]).0, Some(0));
        let rest = directory.join("data/rebuilding-sums");
        assert!(!rest.exists(), "{} is left", rest.display());
        fs::remove_dir_all(&directory).unwrap();
    }
    println!("{killed} were killed, {after} had written, the write is {early:?} to {late:?} after the start");
    assert!(killed > 0 && after < 12, "{killed} were killed, {after} had written");
}

#[test]
fn what_a_limit_left_out_is_counted_again() {
    let more = "[limit]\nevents_per_second = 1\nburst_events = 10\nsummary_every = \"100ms\"\n";
    let mut daemon = Daemon::start(more);
    for number in 0..50 {
        daemon.datagram(&process("flood", number, "/bin/true", "n1"));
    }
    let counts = |daemon: &Daemon| {
        let (_, report) = daemon.get("/v1/report?by=");
        let of = |number: &serde_json::Value| number.as_u64().unwrap_or(0);
        (of(&report["total"]["processes"]), of(&report["limited"]))
    };
    let told = wait_for("all of them", || {
        let (processes, limited) = counts(&daemon);
        (processes + limited == 50).then_some((processes, limited))
    });
    assert!(told.1 > 20, "{told:?}");
    assert!(daemon.stop().success());
    assert_eq!(rebuild(daemon.path(), &["--dry-run"]).0, Some(0));
    change_tables(daemon.path(), &["sum_limited"], |table| table.clear().unwrap());
    let (status, said) = rebuild(daemon.path(), &["--dry-run"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.starts_with("processes over a job's limit: 1 days differ"), "{said}");
    assert_eq!(rebuild(daemon.path(), &[]).0, Some(0));
    assert_eq!(counts(&daemon.crash_and_restart(more)), told);
}

#[test]
fn root_leaves_the_files_to_their_owner() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let mut daemon = Daemon::start("");
    daemon.datagram(crate::daemon::OGRT_0_5);
    wait_for("the event to be counted", || {
        (daemon.get("/v1/report?by=").1["total"]["processes"] == 1).then_some(())
    });
    assert!(daemon.stop().success());
    let data = daemon.path().join("data");
    let nobody = 65_534;
    each_file(&data, &mut |path| chown(path, Some(nobody), Some(nobody)).unwrap());
    // As systemd does it: the way there is closed for its owner.
    fs::set_permissions(daemon.path(), fs::Permissions::from_mode(0o700)).unwrap();
    change_rows_as(&data, nobody);
    assert_eq!(rebuild(daemon.path(), &["--dry-run"]).0, Some(1));
    assert_eq!(rebuild(daemon.path(), &[]).0, Some(0));
    assert_eq!(rebuild(daemon.path(), &["--dry-run"]).0, Some(0));
    each_file(&data, &mut |path| assert_eq!(fs::metadata(path).unwrap().uid(), nobody, "{}", path.display()));
}

/// Loses all rows, and gives the files to their owner again.
fn change_rows_as(data: &Path, owner: u32) {
    change_tables(data.parent().unwrap(), &["sums"], |table| table.clear().unwrap());
    each_file(data, &mut |path| chown(path, Some(owner), Some(owner)).unwrap());
}

fn each_file(directory: &Path, each: &mut impl FnMut(&Path)) {
    each(directory);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => each_file(&path, each),
            false => each(&path),
        }
    }
}
