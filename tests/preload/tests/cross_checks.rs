//! What the library believes of a process that defines symbols of libc itself, that ends early, or
//! whose environment names what was not loaded.

use ogrt_preload_tests::*;
use ogrt_proto::ProcessInfo;
use std::{fs, path::Path, process::Command};

/// Compiles a program from its source, runs it preloaded and returns its event.
#[track_caller]
fn event(compiler: Compiler, source: &str, options: &[&str]) -> ProcessInfo {
    let folder = Folder::new();
    let program = folder.compile(compiler, "program", source, options);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let status = tracked(&program, &receiver.server).arg("argument").env("JOBID", "j").status().unwrap();
    assert_eq!(status.code(), Some(0), "{compiler:?}: {source}");
    let start = receiver.start();
    assert_eq!(start.job_id(), b"j", "{source}");
    assert_eq!(start.arguments.last().map(|last| &**last), Some(&b"argument"[..]), "{source}");
    assert!(start.shared_objects.iter().any(|object| object.path().windows(2).any(|part| part == b"/l")));
    assert!(start.incomplete.is_none());
    start
}

#[test]
fn a_program_with_an_environ_of_its_own_is_recorded() {
    if !has_all(&["gcc", "musl-gcc"]) {
        return;
    }
    for compiler in [Compiler::Gcc, Compiler::Musl] {
        for environ in [
            "char **environ;",
            "char **environ = 0;",
            "static char *none[] = {\"OGRT_ACTIVE=0\", 0}; char **environ = none;",
        ] {
            event(
                compiler,
                &format!("{environ}\nint main(void) {{ return environ && *environ && 0; }}\n"),
                &[],
            );
        }
    }
}

#[test]
fn other_symbols_of_libc_may_be_the_programs_own() {
    if !has_all(&["gcc", "musl-gcc"]) {
        return;
    }
    let functions = "#include <stdlib.h>\nunsigned long getauxval(unsigned long kind) { (void)kind; abort(); }\n\
        int dl_iterate_phdr(void *f, void *data) { (void)f; (void)data; abort(); }\n\
        char **environ; void *_r_debug; int main(void) { return 0; }\n";
    for compiler in [Compiler::Gcc, Compiler::Musl] {
        event(compiler, functions, &["-rdynamic"]);
    }
    let data = "void *__libc_stack_end; long getauxval = 7; int main(void) { return getauxval - 7; }\n";
    event(Compiler::Gcc, data, &["-rdynamic"]);
}

/// lld leaves DT_DEBUG out of a dynamic section that is not writable.
#[test]
fn without_an_entry_for_debuggers_libc_is_asked() {
    if !has_all(&["gcc", "ld.lld"]) {
        return;
    }
    event(Compiler::Gcc, "int main(void) { return 0; }\n", &["-fuse-ld=lld", "-Wl,-z,rodynamic"]);
}

#[test]
fn a_library_that_ends_the_process_early_hides_nothing() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let ways = ["exit(5)", "_exit(5)", "raise(SIGKILL)", "execl(\"/bin/true\", \"true\", (char *)0)"];
    for way in ways {
        let source = format!(
            "#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
             __attribute__((constructor)) static void first(void) {{ {way}; }}\nint touch(void) {{ return 0; }}\n"
        );
        folder.compile(Compiler::Gcc, "libends.so", &source, &["-shared", "-fPIC"]);
        let source = "int touch(void); int main(void) { return touch(); }\n";
        let options = ["-L.", "-lends", "-Wl,-rpath,$ORIGIN"];
        let program = folder.compile(Compiler::Gcc, "ends", source, &options);
        let before = receiver.processes().len();
        let _ = tracked(&program, &receiver.server).status().unwrap();
        let starts = receiver.starts(before + 1);
        let binpath = starts[before].start.as_ref().unwrap().binpath().to_vec();
        assert!(binpath.ends_with(b"/ends"), "{way}: {}", String::from_utf8_lossy(&binpath));
        receiver.frames_after_a_while();
    }
}

#[test]
fn the_audit_copy_speaks_where_no_other_was_loaded() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    fs::create_dir(folder.join("broken")).unwrap();
    fs::write(folder.join("broken/libogrt.so"), "this is text").unwrap();
    let missing = folder.join("missing/libogrt.so");
    for (count, list) in [missing, folder.join("broken/libogrt.so")].iter().enumerate() {
        let mut command = tracked("/bin/true", &receiver.server);
        assert!(command.env("LD_PRELOAD", list).env("LD_AUDIT", library()).status().unwrap().success());
        receiver.starts(count + 1);
    }
    let copy = folder.join("libogrt.so");
    fs::copy(library(), &copy).unwrap();
    let mut command = tracked("/bin/true", &receiver.server);
    assert!(command.env("LD_PRELOAD", copy).env("LD_AUDIT", library()).status().unwrap().success());
    receiver.starts(3);
    receiver.frames_after_a_while();
    assert_eq!(receiver.processes().len(), 3, "and once where both were");
}

#[test]
fn tokens_in_the_users_list_are_compared_with_what_was_loaded() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let theirs = folder.compile(Compiler::Gcc, "libtheirs.so", "int theirs;", &["-shared", "-fPIC"]);
    for directory in ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "bin", "here"] {
        fs::create_dir_all(folder.join(directory)).unwrap();
        fs::copy(&theirs, folder.join(directory).join("libtheirs.so")).unwrap();
    }
    let program = folder.join("bin/true");
    fs::copy("/bin/true", &program).unwrap();
    let root = folder.path().display();
    let lists = [
        format!("{root}/$LIB/libtheirs.so"),
        format!("{root}/${{LIB}}/libtheirs.so"),
        "$ORIGIN/libtheirs.so".to_owned(),
        format!("{root}/here/libtheirs.so"),
    ];
    let ours = library().display();
    for (count, list) in lists.iter().enumerate() {
        let mut command = tracked(&program, &receiver.server);
        assert!(command.env("LD_PRELOAD", format!("{list}:{ours}")).status().unwrap().success());
        let start = receiver.starts(count + 1).remove(count).start.unwrap();
        let names = start.shared_objects.iter().filter(|object| object.preloaded());
        let names: Vec<_> = names.map(|object| String::from_utf8_lossy(object.path())).collect();
        assert!(names.len() == 1 && names[0].ends_with("/libtheirs.so"), "{list}: {names:?}");
    }
    // A name that the loader did not find marks no other object.
    let mut command = tracked(&program, &receiver.server);
    command.env("LD_PRELOAD", format!("/nowhere/libc.so.6:{ours}"));
    assert!(command.status().unwrap().success());
    let start = receiver.starts(lists.len() + 1).remove(lists.len()).start.unwrap();
    assert!(!start.shared_objects.iter().any(|object| object.preloaded()));
}

/// A command in namespaces of its own; `None` where that is not permitted.
fn contained(options: &[&str], server: &str, command: &str) -> Option<Command> {
    let permitted = Command::new("unshare").args(options).arg("true").output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        println!("skipped: unshare {options:?} is not permitted");
        return None;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(options).args(["sh", "-c", command]);
    unshare.env("LD_PRELOAD", library()).env("OGRT_ACTIVE", "1").env("OGRT_SERVER", server);
    Some(unshare)
}

fn inode(namespace: &str) -> Option<u64> {
    let link = fs::read_link(Path::new("/proc/self/ns").join(namespace)).ok()?;
    link.to_str()?.split(['[', ']']).nth(1)?.parse().ok()
}

#[test]
fn a_process_in_a_container_says_so() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert!(tracked("/bin/true", &receiver.server).status().unwrap().success());
    let outside = receiver.start();
    assert!(outside.pid_namespace.is_none() && outside.mount_namespace.is_none());
    // With a session of its own as well as without.
    for (round, command) in ["/bin/true; :", "setsid -w /bin/true; :"].into_iter().enumerate() {
        let receiver = Receiver::unix(&folder.join(&format!("{round}.sock")));
        let options = ["-rpf", "--mount-proc"];
        let Some(mut unshare) = contained(&options, &receiver.server, command) else { return };
        assert!(unshare.status().unwrap().success());
        receiver.frames_after_a_while();
        let starts: Vec<_> = receiver.processes().into_iter().filter_map(|process| process.start).collect();
        let inside: Vec<_> = starts.iter().filter(|start| start.pid_namespace.is_some()).collect();
        assert_eq!(starts.len() - inside.len(), 1, "unshare itself is outside: {starts:?}");
        let last = inside.last().unwrap();
        assert!(last.binpath().ends_with(b"/true"));
        for (name, found) in
            [("pid", last.pid_namespace), ("user", last.user_namespace), ("mnt", last.mount_namespace)]
        {
            assert!(found.is_some() && found != inode(name), "{name}: {found:?}");
        }
        assert_eq!(last.uts_namespace, inode("uts"));
    }
}

#[test]
fn a_user_of_a_container_is_the_user_outside() {
    if !has("setpriv") {
        return;
    }
    let receiver = Receiver::udp("127.0.0.1");
    let mut count = 0;
    for inside in ["-r", "-c"] {
        // As root and as nobody; by UDP nothing proves who sends.
        for user in [&["env"][..], &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]] {
            let Some(_) = contained(&[inside], &receiver.server, ":") else { continue };
            let mut command = Command::new(user[0]);
            command.args(&user[1..]).args(["unshare", inside, "/bin/true"]);
            command.env("LD_PRELOAD", library()).env("OGRT_ACTIVE", "1").env("OGRT_SERVER", &receiver.server);
            if !command.output().unwrap().status.success() {
                continue;
            }
            receiver.frames_after_a_while();
            let starts: Vec<_> = receiver.processes().into_iter().filter_map(|p| p.start).collect();
            let last = starts.iter().skip(count).find(|start| start.binpath().ends_with(b"/true")).unwrap();
            let mut id = Command::new(user[0]);
            let id = id.args(&user[1..]).args(["id", "-u"]).output().unwrap();
            assert_eq!(
                last.uid().to_string(),
                String::from_utf8_lossy(&id.stdout).trim(),
                "{user:?} {inside}"
            );
            count = starts.len();
        }
    }
}

#[test]
fn root_of_a_container_in_a_container_is_not_root() {
    if !has("setpriv") {
        return;
    }
    let receiver = Receiver::udp("127.0.0.1");
    let Some(mut command) = contained(&["-r"], &receiver.server, "exec unshare -r /bin/true") else { return };
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare"]).args(command.get_args());
    nobody.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if !nobody.status().unwrap().success() {
        println!("skipped: nested user namespaces are not permitted");
        assert!(command.status().unwrap().success());
        return;
    }
    receiver.frames_after_a_while();
    let starts: Vec<_> = receiver.processes().into_iter().filter_map(|process| process.start).collect();
    let last = starts.iter().find(|start| start.binpath().ends_with(b"/true")).unwrap();
    assert_ne!(last.uid, Some(0));
}
