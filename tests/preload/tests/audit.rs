//! The same library named in LD_AUDIT.

use ogrt_preload_tests::*;
use ogrt_proto::ProcessInfo;
use std::{
    path::Path,
    process::{Command, Output},
};

fn audited(program: impl AsRef<Path>, server: &str) -> Command {
    let mut command = tracked(program, server);
    command.env_remove("LD_PRELOAD").env("LD_AUDIT", library());
    command
}

#[test]
fn says_the_same_as_preloaded() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let note = folder.note("mark", ogrt_note::Signature::from_bytes([3; 16]), b"meta");
    folder.compile(Compiler::Gcc, "libmarked.so", "int marked;", &["-shared", "-fPIC", &note]);
    for (name, how) in [("pie", "-pie"), ("fixed", "-no-pie")] {
        let source = "extern int marked; int main(void) { return marked; }";
        let options = [how, "-L.", "-lmarked", "-Wl,-rpath,$ORIGIN", &note];
        folder.compile(Compiler::Gcc, name, source, &options);
    }
    let mut count = 0;
    let mut run = |mut command: Command| -> ProcessInfo {
        count += 1;
        let output = command.args(["a", "b"]).env("JOBID", "77").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        receiver.starts(count).remove(count - 1).start.unwrap()
    };
    for name in ["pie", "fixed"] {
        let program = folder.join(name);
        let preloaded = run(tracked(&program, &receiver.server));
        let mut other = run(audited(&program, &receiver.server));
        assert_eq!(other.notes.len(), 1, "{name}");
        assert_eq!(other.shared_objects.len(), preloaded.shared_objects.len(), "{name}");
        assert!(other.shared_objects.iter().any(|object| object.notes.len() == 1), "{name}");
        // All that is the same, made the same.
        other.event_id = preloaded.event_id.clone();
        (other.pid, other.time, other.start_time_ns) =
            (preloaded.pid, preloaded.time, preloaded.start_time_ns);
        assert_eq!(other, preloaded, "{name}");
    }
}

fn sanitized(folder: &Folder, sanitizer: &str) -> std::path::PathBuf {
    let source = "#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) { volatile char *p = malloc(8);\n\
        if (c > 1) p[8] = (char)c; printf(\"%d\\n\", v[0] != 0); free((void *)p); return 0; }\n";
    folder.compile(Compiler::Gcc, "sanitized", source, &[sanitizer, "-g"])
}

#[test]
fn address_sanitizer_programs_run_and_still_find_their_bugs() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let program = sanitized(&folder, "-fsanitize=address");
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = tracked(&program, &receiver.server).output().unwrap();
    assert!(
        !refused.status.success() && text(&refused).contains("does not come first"),
        "why LD_AUDIT is there"
    );
    let output = audited(&program, &receiver.server).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout, text(&output)), (Some(0), &b"1\n"[..], String::new()));
    let found = audited(&program, &receiver.server).arg("overflow").output().unwrap();
    assert_eq!(found.status.code(), Some(1));
    assert!(text(&found).contains("heap-buffer-overflow"), "{}", text(&found));
    let starts = receiver.starts(2);
    let start = starts.last().unwrap().start.as_ref().unwrap();
    assert!(
        start.shared_objects.iter().any(|object| object.path().windows(7).any(|part| part == b"libasan"))
    );
}

#[test]
fn under_both_only_one_of_us_speaks() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut command = tracked("/bin/true", &receiver.server);
    assert!(command.env("LD_AUDIT", library()).status().unwrap().success());
    receiver.starts(1);
    assert_eq!(receiver.frames_after_a_while(), 1);
}

#[test]
fn an_inactive_audit_library_goes_away() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let maps = |active: &str| {
        let mut command = audited("/bin/cat", &receiver.server);
        let output = command.env("OGRT_ACTIVE", active).arg("/proc/self/maps").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!maps("0").contains("libogrt.so"), "the loader unloads it");
    assert!(maps("1").contains("libogrt.so"));
    receiver.starts(1);
    assert_eq!(receiver.frames_after_a_while(), 1);
}

/// glibc offers version 1 before 2.35. A namespace of its own is what the loader gives an audit
/// library.
#[test]
fn an_old_loader_is_refused() {
    if !has("gcc") {
        return;
    }
    let source = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n\
        int main(int c, char **v) { void *h = dlmopen(LM_ID_NEWLM, v[c - 1], RTLD_NOW); if (!h) return 2;\n\
        unsigned (*version)(unsigned) = (unsigned (*)(unsigned))dlsym(h, \"la_version\");\n\
        printf(\"%u %u %u\\n\", version(1), version(2), version(3)); return 0; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "asks", source, &["-ldl"]);
    for (active, answers) in [("1", "0 2 3\n"), ("0", "0 0 0\n")] {
        let output = Command::new(&program).arg(library()).env("OGRT_ACTIVE", active).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), answers, "OGRT_ACTIVE={active}");
    }
}
