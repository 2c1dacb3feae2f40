//! An interrupted chore ends what it started, and at once.
//!
//! The chore is `install` with a stand-in for cargo whose build never ends, so that the interrupt
//! comes while it runs.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
fn an_interrupt_ends_the_children_and_their_children() {
    let folder = tempfile::tempdir().unwrap();
    let (cargo, pid_file) = (folder.path().join("cargo"), folder.path().join("pid"));
    let here = folder.path().display();
    fs::write(
        &cargo,
        format!(
            "#!/bin/sh\n\
             if [ \"$1\" = metadata ]; then\n\
             echo '{{\"workspace_root\": \"{here}\", \"target_directory\": \"{here}\"}}'\n\
             else sleep 1000 & echo $! > {here}/pid.new; mv {here}/pid.new {here}/pid; wait; fi\n"
        ),
    )
    .unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();

    let mut chore = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["install", "--prefix"])
        .arg(folder.path().join("prefix"))
        .env("CARGO", &cargo)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !pid_file.exists() {
        assert!(chore.try_wait().unwrap().is_none(), "the chore ended by itself");
        thread::sleep(Duration::from_millis(10));
    }
    let grandchild: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();

    let interrupted = Instant::now();
    kill_process(Pid::from_child(&chore), Signal::INT).unwrap();
    let status = chore.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    assert!(interrupted.elapsed() < Duration::from_secs(3), "took {:?}", interrupted.elapsed());
    // Gone, or a zombie that waits for init: in neither case does it have an executable.
    assert!(fs::read_link(format!("/proc/{grandchild}/exe")).is_err(), "process {grandchild} is still there");
}
