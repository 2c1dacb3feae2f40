//! `events.jsonl` is closed, packed and begun anew, and each event is in one of the files once,
//! whatever crashes between.

use crate::daemon::{Daemon, wait_for};
use flate2::read::GzDecoder;
use ogrt_proto::{MessageType, ProcessInfo, encode_frame};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

fn config(directory: &Path, more: &str) -> String {
    let path = directory.join("rotated");
    format!(
        "[outputs.rotated]\ntype = \"file\"\npath = \"{}\"\ncommit_every = \"20ms\"\n{more}\n",
        path.display()
    )
}

fn send(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut stream = daemon.acknowledged();
    let count = numbers.end - numbers.start;
    for number in numbers {
        let info = ProcessInfo {
            event_id: Some(uuid::Uuid::from_u64_pair(30, number).as_bytes().to_vec().into()),
            pid: Some(number as i32),
            cmdline: Some("x".repeat(200).into()),
            ..Default::default()
        };
        stream.send(&encode_frame(MessageType::ProcessInfo, &info)).unwrap();
    }
    stream.wait_for(count).unwrap();
}

/// Closed files, those packed and those not.
fn closed(directory: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let Ok(files) = fs::read_dir(directory.join("rotated")) else { return Default::default() };
    let names = files.map(|file| file.unwrap().path());
    let closed = names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("events-"));
    closed.partition(|path| path.extension().is_some_and(|extension| extension == "gz"))
}

/// How often each event is in the files; `None` when one was packed while we looked.
fn times(directory: &Path) -> Option<HashMap<String, u32>> {
    let mut text = fs::read_to_string(directory.join("rotated/events.jsonl")).ok()?;
    let (packed, plain) = closed(directory);
    for path in packed {
        GzDecoder::new(File::open(path).ok()?).read_to_string(&mut text).unwrap();
    }
    for path in plain {
        text.push_str(&fs::read_to_string(path).ok()?);
    }
    let mut times = HashMap::new();
    for line in text.lines() {
        // The last line of a file that is being written may be on its way.
        let document: serde_json::Value = serde_json::from_str(line).ok()?;
        *times.entry(document["event_id"].as_str()?.to_owned()).or_default() += 1;
    }
    Some(times)
}

#[test]
fn files_are_closed_by_size_and_no_crash_loses_or_doubles_an_event() {
    let directory = tempfile::tempdir().unwrap();
    let by_size = config(directory.path(), "rotate_bytes = \"32KiB\"\n");
    let mut daemon = Daemon::start_in(directory, &by_size);
    for round in 0..12 {
        for part in 0..5 {
            send(&daemon, round * 500 + part * 100..round * 500 + part * 100 + 100);
            sleep(Duration::from_millis(15 + round * 3));
        }
        daemon = daemon.crash_and_restart(&by_size);
    }
    wait_for("every event", || times(daemon.path()).filter(|times| times.len() == 6000));
    wait_for("closed files to be packed", || {
        let (packed, plain) = closed(daemon.path());
        (packed.len() >= 10 && plain.is_empty()).then_some(())
    });
    daemon.stop();
    let times = times(daemon.path()).unwrap();
    let double = times.values().filter(|count| **count > 1).count();
    assert_eq!((times.len(), double), (6000, 0));
    // The oldest beyond those that are kept go.
    let few = config(daemon.path(), "rotate_bytes = \"32KiB\"\nkeep_closed = 3\n");
    let newest: Vec<PathBuf> = {
        let mut packed = closed(daemon.path()).0;
        packed.sort();
        packed.split_off(packed.len() - 3)
    };
    let daemon = daemon.crash_and_restart(&few);
    wait_for("old files to go", || (closed(daemon.path()).0.len() == 3).then_some(()));
    let mut left = closed(daemon.path()).0;
    left.sort();
    assert_eq!(left, newest);
}

#[test]
fn files_are_closed_when_their_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let by_time =
        config(directory.path(), "rotate_every = \"1s\"\ncompression = \"none\"\nfsync = \"never\"\n");
    let daemon = Daemon::start_in(directory, &by_time);
    for number in 0..3 {
        send(&daemon, number..number + 1);
        sleep(Duration::from_millis(1100));
    }
    wait_for("two closed files", || (closed(daemon.path()).1.len() >= 2).then_some(()));
    let times = times(daemon.path()).unwrap();
    assert_eq!((times.len(), times.values().copied().max()), (3, Some(1)));
}
