//! The executable that an event names is the file that runs, by its whole path.

use ogrt_preload_tests::*;
use ogrt_proto::ProcessInfo;
use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

const HELLO: &str = "int main(void) { return 0; }\n";

/// The event of a command that ends well, the last of `count`.
#[track_caller]
fn event(receiver: &Receiver, mut command: Command, count: usize) -> ProcessInfo {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    receiver.starts(count).remove(count - 1).start.unwrap()
}

#[track_caller]
fn is_binpath(start: &ProcessInfo, path: impl AsRef<Path>) {
    let shown = String::from_utf8_lossy(start.binpath());
    assert_eq!(start.binpath(), path.as_ref().as_os_str().as_bytes(), "{shown}");
}

/// A directory below `folder` whose path is about `len` bytes longer.
fn deep(folder: &Path, len: usize) -> PathBuf {
    let mut path = folder.to_owned();
    for letter in ('a'..='z').cycle().take(len.div_ceil(180)) {
        path.push(letter.to_string().repeat(180));
    }
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn long_paths_are_whole() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let cat = fs::canonicalize("/bin/cat").unwrap();
    for (round, len) in [300, 600, 1100, 3000, 3600].into_iter().enumerate() {
        let directory = deep(folder.path(), len);
        let [program, script, link] = ["hello", "script", "link"].map(|name| directory.join(name));
        fs::copy("/bin/true", &program).unwrap();
        fs::write(&script, "#!/bin/cat\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("hello", &link).unwrap();

        let count = round * 4;
        is_binpath(&event(&receiver, tracked(&program, &receiver.server), count + 1), &program);
        is_binpath(&event(&receiver, tracked(&link, &receiver.server), count + 2), &program);
        is_binpath(&event(&receiver, tracked(&script, &receiver.server), count + 3), &cat);
        let mut relative = tracked("./link", &receiver.server);
        relative.current_dir(&directory);
        let start = event(&receiver, relative, count + 4);
        is_binpath(&start, &program);
        assert_eq!(start.working_directory(), directory.as_os_str().as_bytes());
    }
}

#[test]
fn a_path_without_its_front_says_so() {
    if !has("gcc") {
        return;
    }
    // The kernel tells no directory of more than 4,096 bytes.
    let source = "#include <string.h>\n#include <sys/stat.h>\n#include <unistd.h>\n\
        int main(int c, char **v) { char name[201]; memset(name, 'd', 200); name[200] = 0;\n\
        for (int i = 0; i < 25; i++) if (mkdir(name, 0755) || chdir(name)) return 2;\n\
        if (symlink(v[c - 1], \"hello\")) return 3; if (link(v[c - 1], \"linked\")) return 4;\n\
        execl(\"./linked\", \"linked\", (char *)0); return 5; }\n";
    let folder = Folder::new();
    let deeper = folder.compile(Compiler::Gcc, "deeper", source, &[]);
    let hello = folder.compile(Compiler::Gcc, "hello", HELLO, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut command = tracked(&deeper, &receiver.server);
    command.arg(&hello).current_dir(folder.path());
    let start = event(&receiver, command, 2);
    is_binpath(&start, ".../linked");
    assert!(start.working_directory.is_none());
    assert_eq!(start.incomplete(), 4 + 8, "the executable's path and the working directory");
}

#[test]
fn a_program_in_memory_is_named() {
    if !has("gcc") {
        return;
    }
    let source = "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n\
        #include <sys/mman.h>\n#include <unistd.h>\nextern char **environ;\n\
        int main(int c, char **v) { char part[65536], path[64], *args[] = {\"x\", 0}; ssize_t n; if (c < 2) return 7;\n\
        int from = open(\"/bin/true\", O_RDONLY), to = memfd_create(\"payload\", MFD_CLOEXEC);\n\
        while ((n = read(from, part, sizeof part)) > 0) if (write(to, part, n) != n) return 8;\n\
        if (!strcmp(v[1], \"pid\")) sprintf(path, \"/proc/%d/fd/%d\", getpid(), to);\n\
        if (!strcmp(v[1], \"self\")) sprintf(path, \"/proc/self/fd/%d\", to);\n\
        if (!strcmp(v[1], \"thread\")) sprintf(path, \"/proc/thread-self/fd/%d\", to);\n\
        if (!strcmp(v[1], \"dev\")) sprintf(path, \"/dev/fd/%d\", to);\n\
        if (!strcmp(v[1], \"link\")) { char t[64]; sprintf(t, \"/proc/self/fd/%d\", to); sprintf(path, \"%s\", v[2]);\n\
          if (symlink(t, path)) return 6; }\n\
        execve(path, args, environ); return 9; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "runs_memory", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for (round, way) in ["pid", "self", "thread", "dev", "link"].into_iter().enumerate() {
        let mut command = tracked(&program, &receiver.server);
        command.arg(way).arg(folder.join("link"));
        is_binpath(&event(&receiver, command, round * 2 + 2), "/memfd:payload (deleted)");
    }
}

#[test]
fn a_file_that_is_gone_is_said_to_be_deleted() {
    if !has("gcc") {
        return;
    }
    let source = "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <unistd.h>\nextern char **environ;\n\
        int main(int c, char **v) { char *args[] = {\"x\", 0}; int fd = open(v[c - 1], O_RDONLY | O_CLOEXEC);\n\
        if (unlink(v[c - 1])) return 2; fexecve(fd, args, environ); return 3; }\n";
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "removes", source, &[]);
    let gone = folder.compile(Compiler::Gcc, "gone", HELLO, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut command = tracked(&program, &receiver.server);
    command.arg(&gone);
    is_binpath(&event(&receiver, command, 2), format!("{} (deleted)", gone.display()));
}

#[test]
fn a_script_of_a_script_is_the_last_interpreter() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let inner = folder.write("inner", "#!/bin/cat\n");
    let outer = folder.write("outer", format!("#!{}\n", inner.display()));
    for script in [&inner, &outer] {
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let cat = fs::canonicalize("/bin/cat").unwrap();
    is_binpath(&event(&receiver, tracked(&outer, &receiver.server), 1), &cat);
    // A program that is given its own path is not its own interpreter, whatever its name is.
    let mut own = tracked("/bin/echo", &receiver.server);
    own.arg0("cat").arg("/bin/echo");
    is_binpath(&event(&receiver, own, 2), fs::canonicalize("/bin/echo").unwrap());
}

#[test]
fn a_registered_format_is_its_interpreter() {
    if !has("unshare") {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let cat = fs::canonicalize("/bin/cat").unwrap();
    // P keeps the first argument as it was, and O opens the file for the interpreter.
    for (round, flags) in ["", "P", "O"].into_iter().enumerate() {
        let file = folder.write("prog.foo", "FOOBAR payload\n");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let lines = format!(
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc &&\n\
             echo ':foo:M::FOOBAR::/bin/cat:{flags}' >/proc/sys/fs/binfmt_misc/register || exit 77\n\
             exec env LD_PRELOAD=\"$1\" OGRT_ACTIVE=1 OGRT_SERVER=\"$2\" ./prog.foo\n"
        );
        let status = Command::new("unshare")
            .args(["-Urm", "sh", "-c", &lines, "sh"])
            .arg(library())
            .arg(&receiver.server)
            .current_dir(folder.path())
            .output()
            .unwrap();
        if status.status.code() == Some(77) || String::from_utf8_lossy(&status.stderr).contains("unshare") {
            println!("skipped: binfmt_misc cannot be mounted in a user namespace");
            return;
        }
        let start = receiver.starts(round + 1).remove(round).start.unwrap();
        is_binpath(&start, &cat);
    }
}

#[test]
fn a_program_that_the_loader_was_called_for_is_named() {
    if !has_all(&["gcc", "musl-gcc"]) {
        return;
    }
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut count = 0;
    for compiler in [Compiler::Gcc, Compiler::Musl] {
        let program = folder.compile(compiler, &format!("{compiler:?}"), HELLO, &[]);
        let loader = Command::new("sh")
            .args(["-c", "readelf -lW \"$1\" | sed -n 's/.*interpreter: \\(.*\\)]/\\1/p'", "sh"])
            .arg(&program)
            .output()
            .unwrap();
        let loader = String::from_utf8(loader.stdout).unwrap();
        for named in [program.clone(), Path::new(".").join(program.file_name().unwrap())] {
            count += 1;
            let mut command = tracked(loader.trim(), &receiver.server);
            command.arg(named).current_dir(folder.path());
            let start = event(&receiver, command, count);
            is_binpath(&start, &program);
            assert!(!start.shared_objects.is_empty());
        }
    }
}
