//! The program itself, called as a person calls it: what it prints, and how it exits.
//!
//! The server's side is in `tests/end_to_end`, with the real one; here are only servers that are
//! away or strangers.

mod program;

use ogrt_note::{ByteOrder, encode, encoded_len};
use program::{SIGNATURE, ogrt};
use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};
use tempfile::TempDir;

struct Outcome {
    status: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Outcome {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Outcome {
        status: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// True when the compiler is there. In CI it must be.
fn has_gcc() -> bool {
    let there = Command::new("gcc").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "in CI a missing gcc is a failure");
    if !there {
        println!("skipped: needs gcc");
    }
    there
}

/// Links a program that waits for its standard input to end, with our note in it as assembler
/// bytes.
fn marked_program(dir: &Path, metadata: &[u8]) -> PathBuf {
    let mut note = vec![0; encoded_len(metadata.len())];
    encode(ByteOrder::NATIVE, SIGNATURE.parse().unwrap(), metadata, &mut note).unwrap();
    let mut assembler =
        String::from(".section .note.GNU-stack,\"\"\n.section .note.ogrt,\"a\",@note\n.balign 4\n");
    for byte in note {
        writeln!(assembler, ".byte {byte}").unwrap();
    }
    fs::write(dir.join("note.s"), assembler).unwrap();
    fs::write(dir.join("main.c"), "int getchar(void); int main(void) { return getchar() == -1 ? 0 : 1; }")
        .unwrap();
    let program = dir.join("program");
    let status =
        Command::new("gcc").current_dir(dir).args(["main.c", "note.s", "-o", "program"]).status().unwrap();
    assert!(status.success());
    program
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn show_reads_a_linked_program_and_a_running_process() {
    if !has_gcc() {
        return;
    }
    let dir = TempDir::new().unwrap();
    // Field 1 of BuildMetadata is the name.
    let program = marked_program(dir.path(), b"\x0a\x04zlib");

    let outcome = run(&mut ogrt(&["show", text(&program)]));
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(0), ""));
    assert!(outcome.out.starts_with(text(&program)), "{}", outcome.out);
    for expected in [SIGNATURE, "zlib", "note version"] {
        assert!(outcome.out.contains(expected), "{expected} in {}", outcome.out);
    }
    assert!(!outcome.out.contains('\x1b'), "colour off a terminal");

    let outcome = run(&mut ogrt(&["show", "--json", text(&program), "/bin/true"]));
    assert_eq!(outcome.status, Some(1), "one of two has none");
    assert_eq!(outcome.err, "ogrt: /bin/true: no OGRT note\n");
    let files: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(files[0]["watermarks"][0]["signature"], SIGNATURE);
    assert_eq!(files[0]["watermarks"][0]["metadata"]["name"], "zlib");
    assert_eq!(files[0]["watermarks"][0]["note_version"], 2);
    assert_eq!(files[1]["watermarks"], serde_json::json!([]));

    let mut running = Command::new(&program).stdin(Stdio::piped()).spawn().unwrap();
    let pid = running.id().to_string();
    // The program is mapped once exec is over; until then the process still is this test.
    let executable = format!("/proc/{pid}/exe");
    while fs::read_link(&executable).is_ok_and(|path| path != program) {
        thread::yield_now();
    }
    fs::remove_file(&program).unwrap();
    let outcome = run(&mut ogrt(&["show", "--pid", &pid]));
    drop(running.stdin.take());
    running.wait().unwrap();
    assert_eq!(outcome.status, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains(SIGNATURE), "{}", outcome.out);
}

#[test]
fn bad_files_get_one_line_each_and_do_not_hide_good_ones() {
    let dir = TempDir::new().unwrap();
    let (script, cut) = (dir.path().join("script"), dir.path().join("cut"));
    fs::write(&script, "#!/bin/sh\nexit 0\n# and some more text\n").unwrap();
    let whole = fs::read("/bin/true").unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let device = PathBuf::from("/dev/null");
    let away = dir.path().join("away");

    for (path, cause) in [
        (&script, "not an ELF file"),
        (&cut, "damaged ELF file"),
        (&device, "not a regular file"),
        (&away, "No such file or directory"),
    ] {
        let outcome = run(&mut ogrt(&["show", text(path), "/bin/true"]));
        assert_eq!(outcome.status, Some(2));
        let lines: Vec<_> = outcome.err.lines().collect();
        assert_eq!(lines.len(), 2, "{}", outcome.err);
        assert!(lines[0].starts_with(&format!("ogrt: {}: {cause}", text(path))), "{}", outcome.err);
        assert_eq!(lines[1], "ogrt: /bin/true: no OGRT note");
    }
}

#[test]
fn a_directory_is_walked_and_its_symlinks_are_not() {
    if !has_gcc() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (deep, elsewhere) = (dir.path().join("a/b/c"), TempDir::new().unwrap());
    fs::create_dir_all(&deep).unwrap();
    let program = marked_program(&deep, b"\x0a\x04zlib");
    marked_program(elsewhere.path(), b"\x0a\x04else");
    symlink(elsewhere.path(), dir.path().join("a/link")).unwrap();
    fs::copy("/bin/true", deep.join("plain")).unwrap();

    let outcome = run(&mut ogrt(&["show", text(dir.path())]));
    assert_eq!(outcome.status, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains(text(&program)) && !outcome.out.contains("else"), "{}", outcome.out);
    assert_eq!(outcome.err, format!("ogrt: {}: 1 of 2 ELF files have no OGRT note\n", text(dir.path())));

    let outcome = run(&mut ogrt(&["show", "--json", text(dir.path())]));
    let files: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(files.as_array().map(Vec::len), Some(2), "{}", outcome.out);

    fs::remove_file(&program).unwrap();
    let outcome = run(&mut ogrt(&["show", text(dir.path())]));
    assert_eq!((outcome.status, outcome.out.as_str()), (Some(1), ""), "{}", outcome.err);
}

#[test]
fn colour_is_for_terminals_and_no_color_is_honoured() {
    if !has_gcc() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let program = marked_program(dir.path(), b"\x0a\x04zlib");
    let shown = format!("{} show {}", env!("CARGO_BIN_EXE_ogrt"), text(&program));
    for (no_color, expected) in [(None, true), (Some("1"), false), (Some(""), true)] {
        // script(1) runs it on a terminal of its own.
        let mut script = Command::new("script");
        script
            .args(["-qec", &shown, "/dev/null"])
            .stdin(Stdio::null())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm");
        let Ok(output) = script.envs(no_color.map(|value| ("NO_COLOR", value))).output() else {
            assert!(std::env::var_os("CI").is_none(), "in CI a missing script(1) is a failure");
            return println!("skipped: needs script");
        };
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.contains(SIGNATURE), "{out}");
        assert_eq!(out.contains('\u{1b}'), expected, "NO_COLOR={no_color:?}: {out:?}");
    }
}

#[test]
fn points_in_time_are_checked_before_anybody_is_asked() {
    for arguments in [
        &["builds", "--since", "soon"][..],
        &["unregistered", "--until", "2026-02-30"],
        &["uses", SIGNATURE, "--since", "25.11.2026"],
    ] {
        let outcome = run(&mut ogrt(arguments));
        assert_eq!(outcome.status, Some(2), "{}", outcome.err);
        assert!(outcome.err.contains("expected 2026-11-24"), "{}", outcome.err);
    }
}

#[test]
fn wrong_usage_exits_2() {
    for arguments in [&["show"][..], &["query"], &["nonsense"], &["show", "--pid", "x"], &["run"], &[]] {
        assert_eq!(run(&mut ogrt(arguments)).status, Some(2), "{arguments:?}");
    }
    assert_eq!(run(&mut ogrt(&["--version"])).status, Some(0));
    let outcome = run(&mut ogrt(&["show", "--pid", "4194304"]));
    assert_eq!(outcome.status, Some(2));
    assert!(outcome.err.starts_with("ogrt: process 4194304: /proc/4194304/maps: "), "{}", outcome.err);
}

#[test]
fn a_word_that_is_neither_signature_nor_file_is_named() {
    let outcome = run(&mut ogrt(&["query", "01890a5d-ac96"]));
    assert_eq!(outcome.status, Some(2));
    assert_eq!(outcome.err, "ogrt: 01890a5d-ac96: neither a signature (a UUID) nor a file\n");
    let outcome = run(&mut ogrt(&["query", "/nowhere/a.out"]));
    assert_eq!(
        (outcome.status, outcome.err.as_str()),
        (Some(2), "ogrt: /nowhere/a.out: No such file or directory\n")
    );
}

#[test]
fn a_server_that_is_away_is_named_in_one_line() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("http://127.0.0.1:{port}");
    for arguments in [
        &["query", SIGNATURE][..],
        &["job", "4711"],
        &["job", "4711", "--tree"],
        &["uses", SIGNATURE],
        &["dependents", SIGNATURE],
        &["builds"],
        &["unregistered"],
        &["diff", SIGNATURE, SIGNATURE],
        &["verify", "/bin/true"],
        &["export", "--format", "spdx", SIGNATURE],
    ] {
        let outcome = run(ogrt(arguments).env("OGRT_HTTP", &address));
        assert_eq!(outcome.status, Some(2));
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
        assert!(
            outcome.err.starts_with(&format!("ogrt: {address}: no server there (Connection refused")),
            "{}",
            outcome.err
        );
    }
    for (value, cause) in [("ftp://127.0.0.1", "expected an address such as"), ("nonsense", "relative URL")] {
        let outcome = run(ogrt(&["query", SIGNATURE]).env("OGRT_HTTP", value));
        assert_eq!(outcome.status, Some(2));
        assert!(
            outcome.err.starts_with(&format!("ogrt: OGRT_HTTP: {value}: ")) && outcome.err.contains(cause),
            "{}",
            outcome.err
        );
    }
}

#[test]
fn a_server_that_is_not_ours_is_believed_in_nothing() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{\"a\"",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{}",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stranger = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(reply.as_bytes());
        });
        let outcome = run(ogrt(&["query", SIGNATURE]).env("OGRT_HTTP", &address));
        stranger.join().unwrap();
        assert_eq!(outcome.status, Some(2), "{reply:?}: {}", outcome.err);
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
        assert!(outcome.err.starts_with(&format!("ogrt: {address}: ")), "{}", outcome.err);
    }
}

/// A prefix as installed, with a shared object in libogrt.so's place that does nothing.
fn prefix() -> TempDir {
    let dir = TempDir::new().unwrap();
    for folder in ["bin", "lib"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_ogrt"), dir.path().join("bin/ogrt")).unwrap();
    let empty = Command::new("gcc")
        .args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"])
        .arg(dir.path().join("lib/libogrt.so"))
        .status()
        .unwrap();
    assert!(empty.success());
    dir
}

fn installed(prefix: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(prefix.path().join("bin/ogrt"));
    command.args(arguments).stdin(Stdio::null()).env_remove("LD_PRELOAD").env_remove("OGRT_ACTIVE");
    command.env_remove("OGRT_LIBRARY").env_remove("OGRT_SERVER");
    command
}

#[test]
fn run_becomes_the_command() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    let library = prefix.path().canonicalize().unwrap().join("lib/libogrt.so");
    let script = "echo $LD_PRELOAD $OGRT_ACTIVE; exit 7";
    let outcome = run(&mut installed(&prefix, &["run", "--", "sh", "-c", script]));
    assert_eq!((outcome.status, outcome.out), (Some(7), format!("{} 1\n", library.display())));

    // A user's own preload stays in front.
    let own = prefix.path().join("own.so");
    fs::copy(&library, &own).unwrap();
    let outcome = run(installed(&prefix, &["run", "sh", "-c", script]).env("LD_PRELOAD", &own));
    assert_eq!(outcome.out, format!("{}:{} 1\n", own.display(), library.display()));

    let outcome = run(&mut installed(&prefix, &["run", "no-such-command"]));
    assert_eq!(
        (outcome.status, outcome.err.starts_with("ogrt: no-such-command: No such file")),
        (Some(127), true)
    );
    let plain = prefix.path().join("plain");
    fs::write(&plain, "text").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = run(&mut installed(&prefix, &["run", text(&plain)]));
    assert_eq!(
        (outcome.status, outcome.err.contains("Permission denied")),
        (Some(126), true),
        "{}",
        outcome.err
    );

    let outcome = run(installed(&prefix, &["run", "true"]).env("OGRT_LIBRARY", "/nowhere/libogrt.so"));
    assert_eq!(outcome.status, Some(2));
    assert_eq!(
        outcome.err,
        "ogrt: /nowhere/libogrt.so: no such file; set OGRT_LIBRARY to where libogrt.so is installed\n"
    );
}

#[test]
fn env_switches_tracking_on_in_each_shell() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    let library = prefix.path().canonicalize().unwrap().join("lib/libogrt.so");
    let program = prefix.path().join("bin/ogrt");
    let program = text(&program);
    let print = "printenv LD_PRELOAD; printenv OGRT_ACTIVE";
    for (shell, script) in [
        ("sh", format!("eval \"$({program} env)\"; eval \"$({program} env)\"; {print}")),
        ("bash", format!("set -eu; eval \"$({program} env --shell sh)\"; {print}")),
        ("tcsh", format!("eval `{program} env --shell csh`; eval `{program} env --shell csh`; {print}")),
        (
            "fish",
            format!("{program} env --shell fish | source; {program} env --shell fish | source; {print}"),
        ),
    ] {
        if Command::new(shell).args(["-c", "true"]).output().is_err() {
            // Of these only sh is a shell that every machine has; the others are checked where they
            // are.
            assert_ne!(shell, "sh");
            println!("skipped: needs {shell}");
            continue;
        }
        for own in [None, Some("libdl.so.2")] {
            let mut command = Command::new(shell);
            command.args(["-c", &script]).env_remove("LD_PRELOAD").env_remove("OGRT_ACTIVE");
            command.env_remove("OGRT_LIBRARY").envs(own.map(|own| ("LD_PRELOAD", own)));
            let outcome = run(&mut command);
            let list = own.map(|own| format!("{own}:")).unwrap_or_default() + text(&library);
            let out = outcome.out.trim_start_matches(':');
            assert_eq!((out, outcome.err.as_str()), (format!("{list}\n1\n").as_str(), ""), "{shell}");
        }
    }
}

#[test]
fn module_files_name_the_library_and_the_server() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    let library = prefix.path().canonicalize().unwrap().join("lib/libogrt.so");
    for (kind, expected) in [
        (
            "lua",
            [
                format!("append_path(\"LD_PRELOAD\", \"{}\")", library.display()),
                "pushenv(\"OGRT_SERVER\", \"unix:/run/o.sock\")".into(),
            ],
        ),
        (
            "tcl",
            [
                format!("append-path LD_PRELOAD \"{}\"", library.display()),
                "put OGRT_SERVER \"unix:/run/o.sock\"".into(),
            ],
        ),
    ] {
        let outcome =
            run(installed(&prefix, &["env", "--module", kind]).env("OGRT_SERVER", "unix:/run/o.sock"));
        assert_eq!((outcome.status, outcome.err.as_str()), (Some(0), ""));
        for line in expected {
            assert!(outcome.out.lines().any(|l| l == line), "{line} in {}", outcome.out);
        }
    }
}

/// A 32-bit program finds a library of its own class by `$LIB`, so every shell must pass that on
/// unchanged.
#[test]
fn where_the_prefix_has_a_library_for_each_loader_that_is_named() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    let each = prefix.path().canonicalize().unwrap().join("lib/ogrt/$LIB");
    fs::create_dir_all(&each).unwrap();
    std::os::unix::fs::symlink("../../libogrt.so", each.join("libogrt.so")).unwrap();
    let each = each.join("libogrt.so");
    for shell in ["sh", "bash", "dash", "csh", "tcsh", "fish"] {
        let kind = if shell.ends_with("csh") {
            "csh"
        } else if shell == "fish" {
            "fish"
        } else {
            "sh"
        };
        let lines = run(&mut installed(&prefix, &["env", "--shell", kind])).out;
        let script = format!("{lines}\nprintenv LD_PRELOAD");
        let Ok(output) = Command::new(shell).args(["-c", &script]).env_remove("LD_PRELOAD").output() else {
            println!("skipped: needs {shell}");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim().trim_start_matches(':'), text(&each), "{shell}: {output:?}");
    }
    let lua = run(&mut installed(&prefix, &["env", "--module", "lua"])).out;
    assert!(lua.contains(&format!("append_path(\"LD_PRELOAD\", \"{}\")", text(&each))), "{lua}");
    let tcl = run(&mut installed(&prefix, &["env", "--module", "tcl"])).out;
    assert!(tcl.contains("/lib/ogrt/\\$LIB/libogrt.so\""), "{tcl}");
    let tracked = run(&mut installed(&prefix, &["run", "--", "printenv", "LD_PRELOAD"]));
    // This prefix has only the directory that musl finds; glibc's loader says so.
    assert_eq!(tracked.out.trim(), text(&each));
}

#[test]
fn a_server_that_programs_cannot_reach_is_said_or_refused() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    for server in ["127.0.0.1", "no.such.host.invalid:7971", "unix:relative.sock"] {
        for module in ["lua", "tcl"] {
            let refused = run(installed(&prefix, &["env", "--module", module]).env("OGRT_SERVER", server));
            assert_eq!((refused.status, refused.out.as_str()), (Some(2), ""), "{server}");
            assert!(refused.err.contains(server), "{}", refused.err);
        }
        let lines = run(installed(&prefix, &["env"]).env("OGRT_SERVER", server));
        assert!(lines.status == Some(0) && lines.out.contains("OGRT_ACTIVE=1"), "{server}");
        assert!(lines.err.contains("programs cannot send events there"), "{}", lines.err);
        let command =
            run(installed(&prefix, &["run", "--", "sh", "-c", "exit 7"]).env("OGRT_SERVER", server));
        assert_eq!(command.status, Some(7), "the command runs all the same");
        assert!(command.err.contains("programs cannot send events there"), "{}", command.err);
    }
}

/// `localhost.` is a name to everybody, and not the word that libogrt.so knows.
#[test]
fn a_host_name_is_looked_up_for_programs() {
    if !has_gcc() {
        return;
    }
    let prefix = prefix();
    let name = "localhost.:7971";
    let command = |arguments: &[&str]| run(installed(&prefix, arguments).env("OGRT_SERVER", name));
    let tracked = command(&["run", "--", "printenv", "OGRT_SERVER"]);
    if tracked.err.contains("programs cannot send") {
        return println!("skipped: this machine does not know localhost");
    }
    let address = tracked.out.trim();
    assert!(address.parse::<std::net::SocketAddr>().is_ok(), "{address}");
    let lines = command(&["env"]);
    assert!(lines.out.contains(&format!("export OGRT_SERVER='{address}'")), "{}", lines.out);
    let module = command(&["env", "--module", "lua"]);
    assert!(module.out.contains(&format!("pushenv(\"OGRT_SERVER\", \"{address}\")")), "{}", module.out);
}
