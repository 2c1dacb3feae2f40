//! Builds in a sandbox without network: the record reaches the server by its socket, and a loss is
//! told once, where the manual and `ogrt doctor` say. The build itself sees nothing of it.

use ogrt_end_to_end::{Stage, see, text};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use xtask::child;

/// A test's folder, in a sandbox that has no network and can write nowhere else.
struct Sandbox {
    stage: Stage,
    source: String,
}

impl Sandbox {
    /// `None` where this machine makes no sandbox.
    fn new() -> Option<Sandbox> {
        let stage = Stage::new();
        let source = stage.source("m", "hello");
        let sandbox = Sandbox { stage, source };
        let is_made = child::exists("bwrap") && see(&mut sandbox.command(&["true"], "")).status.success();
        if !is_made {
            println!("skipped: bwrap makes no sandbox here");
        }
        is_made.then_some(sandbox)
    }

    fn folder(&self) -> &Path {
        self.stage.folder()
    }

    /// The file that tells of a loss.
    fn lost(&self) -> PathBuf {
        let told = fs::read_dir(self.folder().join("tmp")).into_iter().flatten().flatten();
        let mut told = told.filter(|file| file.file_name().to_string_lossy().starts_with("ogrt-lost-"));
        told.next().map_or_else(PathBuf::new, |file| file.path())
    }

    fn command(&self, words: &[&str], server: &str) -> Command {
        let (folder, tmp) = (self.folder(), self.folder().join("tmp"));
        let spool = folder.join("read-only");
        fs::create_dir_all(&tmp).unwrap();
        fs::create_dir_all(&spool).unwrap();
        let mut command = self.stage.command("bwrap");
        command.args(["--unshare-net", "--ro-bind", "/", "/", "--dev", "/dev", "--bind"]);
        command.arg(folder).arg(folder).arg("--ro-bind").arg(&spool).arg(&spool).args(words);
        command.env("TMPDIR", &tmp).env("OGRT_SPOOL_DIR", &spool).env("OGRT_SERVER", server);
        command
    }

    fn link(&self, name: &str, server: &str) -> Output {
        see(&mut self.command(&["ogrt-cc", "gcc", &self.source, "-o", name], server))
    }
}

#[test]
fn a_bound_socket_takes_the_record() {
    let Some(sandbox) = Sandbox::new() else { return };
    let server = sandbox.stage.server.as_ref().unwrap().unix.clone();
    let output = sandbox.link("program", &server);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let signature = sandbox.stage.signature(&sandbox.folder().join("program"));
    let found = see(&mut sandbox.stage.site.ogrt(&["query", &signature]));
    assert!(found.status.success(), "{}", text(&found.stderr));
    assert_eq!(sandbox.lost(), PathBuf::new(), "nothing is lost");
}

#[test]
fn a_loss_is_told_once() {
    let Some(sandbox) = Sandbox::new() else { return };
    // The sandbox has no network, and its spool is read-only.
    let server = sandbox.stage.server.as_ref().unwrap().tcp.clone();
    let output = sandbox.link("program", &server);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    sandbox.stage.signature(&sandbox.folder().join("program"));
    let told = fs::read_to_string(sandbox.lost()).unwrap();
    assert!(told.contains("/program\n") && told.contains("Read-only file system"), "{told}");
    assert!(told.contains(&format!("server: {server} ")), "{told}");

    // The next one adds nothing, and the one after the file was deleted tells it again.
    sandbox.link("second", &server);
    assert_eq!(fs::read_to_string(sandbox.lost()).unwrap(), told);
    fs::remove_file(sandbox.lost()).unwrap();
    sandbox.link("third", &server);
    assert!(fs::read_to_string(sandbox.lost()).unwrap().contains("/third\n"));

    // A strict build does not go on.
    let mut strict = sandbox.command(&["ogrt-cc", "gcc", &sandbox.source, "-o", "strict"], &server);
    let output = see(strict.env("OGRT_STRICT", "1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Read-only file system"), "{}", text(&output.stderr));

    let doctor = text(&see(&mut sandbox.command(&["ogrt", "doctor"], &server)).stdout);
    let line =
        |label: &str| doctor.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_default();
    assert!(line("spool").contains("NONE") && line("spool").contains("Read-only"), "{doctor}");
    assert!(line("lost").contains("ogrt-lost-"), "{doctor}");
}

#[test]
fn a_link_in_the_temporary_directory_is_not_followed() {
    let Some(sandbox) = Sandbox::new() else { return };
    let server = sandbox.stage.server.as_ref().unwrap().tcp.clone();
    sandbox.link("program", &server);
    let (lost, victim) = (sandbox.lost(), sandbox.folder().join("victim"));
    fs::remove_file(&lost).unwrap();
    fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, &lost).unwrap();
    let output = sandbox.link("second", &server);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}
