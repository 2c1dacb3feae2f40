//! libogrt.so inside images of another libc: a newer Debian's glibc, and musl as Alpine has it.
//!
//! An image is a root that a chroot enters. The library and the server's socket are bound into it
//! in a mount namespace of the test's own, as Apptainer's `--bind` does and docs/containers.md
//! says. The tests pass because the library needs no libc. They would fail if it asked the loader
//! for a symbol or a version, or looked for a path of the host.

use ogrt_end_to_end::{Stage, prefix, see};
use ogrt_integration::{easybuild::success, images, needs};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

/// Runs a program in the image, with what OGRT needs bound into it, or without OGRT.
fn run(stage: &Stage, root: &Path, job: Option<&str>, program: &[&str]) -> Output {
    let server = stage.server.as_ref().unwrap().unix.trim_start_matches("unix:").to_owned();
    let bind = "mount --bind \"$1\" \"$3/opt/ogrt\" && mount --bind \"$2\" \"$3/run/ogrt\" && shift 2 && exec env -i \"${@:2}\"";
    // The environment goes through `env -i`, so that the host's programs in between are none of the
    // image's.
    let mut inner = vec!["PATH=/usr/bin:/bin".to_owned()];
    if let Some(job) = job {
        inner.push(format!("JOBID={job}"));
        inner.push("APPTAINER_CONTAINER=/images/test.sif".into());
    }
    let chroot = std::env::var_os("PATH").unwrap_or_default();
    let chroot = std::env::split_paths(&chroot)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("chroot"))
        .find(|path| path.is_file())
        .expect("chroot");
    inner.extend([chroot.display().to_string(), root.display().to_string()]);
    if job.is_some() {
        inner.extend(["/opt/ogrt/bin/ogrt", "run", "--"].map(str::to_owned));
        inner.insert(0, "OGRT_SERVER=unix:/run/ogrt/ogrt.sock".into());
        // A bare chroot has no /proc, which `ogrt` needs to find the library.
        inner.insert(0, "OGRT_LIBRARY=/opt/ogrt/lib/libogrt.so".into());
    }
    inner.extend(program.iter().map(|word| (*word).to_owned()));
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", bind, "bash"]).arg(prefix());
    see(command.arg(Path::new(&server).parent().unwrap()).arg(root).args(inner))
}

/// The event of a program in the job.
fn event(stage: &Stage, job: &str, program: &str) -> Value {
    let of_program = |document: &Value| {
        let ended = |process: &&Value| process["binpath"] == program && process["end"].is_object();
        document["processes"].as_array()?.iter().find(ended).cloned()
    };
    of_program(&stage.job(job, |document| of_program(document).is_some())).unwrap()
}

#[test]
fn in_an_image_of_a_newer_glibc() {
    if !needs::has(&["unshare", "bash", images::DEBOOTSTRAP], true) {
        return;
    }
    let stage = Stage::new();
    let root = images::debian();
    let words = ["/usr/bin/ls", "-l", "/etc/debian_version", "/nowhere"];
    let bare = run(&stage, &root, None, &words);
    let tracked = run(&stage, &root, Some("glibc"), &words);
    assert_eq!(bare, tracked);
    assert_eq!(bare.status.code(), Some(2), "ls ran, and found one of the two: {bare:?}");

    let process = event(&stage, "glibc", "/usr/bin/ls");
    assert_eq!(process["container"], "/images/test.sif");
    assert_eq!(process["identity"], "kernel");
    let objects = process["shared_objects"].as_array().unwrap();
    assert!(
        objects.iter().any(|object| object["path"].as_str().unwrap().ends_with("libc.so.6")),
        "{process}"
    );
}

#[test]
fn in_an_image_of_musl() {
    const LOADER: &str = "/lib/ld-musl-x86_64.so.1";
    if !needs::has(&["unshare", "bash", "musl-gcc", LOADER], true) {
        return;
    }
    let stage = Stage::new();
    // Alpine has one file that is libc and loader, under both names.
    let root = stage.folder().join("alpine");
    for folder in ["lib", "usr/bin", "opt/ogrt", "run/ogrt"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(LOADER, root.join("lib/ld-musl-x86_64.so.1")).unwrap();
    symlink("ld-musl-x86_64.so.1", root.join("lib/libc.musl-x86_64.so.1")).unwrap();
    let source = stage.source("hello", "hello from musl");
    let mut link = stage.command("ogrt-cc");
    success(
        link.args(["musl-gcc", &source, "-o"]).arg(root.join("usr/bin/hello")).env("OGRT_META_NAME", "hello"),
    );

    let bare = run(&stage, &root, None, &["/usr/bin/hello"]);
    let tracked = run(&stage, &root, Some("musl"), &["/usr/bin/hello"]);
    assert_eq!(bare, tracked);
    assert_eq!((bare.status.code(), &*bare.stdout), (Some(0), &b"hello from musl\n"[..]), "{bare:?}");
    let process = event(&stage, "musl", "/usr/bin/hello");
    let build = &process["build"];
    assert_eq!((&build["name"], &build["source"]), (&"hello".into(), &"record".into()), "{process}");
}
