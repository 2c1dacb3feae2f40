//! The library built for other machines and run by qemu's user mode: a C program of each is tracked
//! as on this one.

use ogrt_note::{ByteOrder, Signature, encode, encoded_len};
use ogrt_preload_tests::*;
use std::{os::unix::ffi::OsStrExt, process::Command};

const PROGRAM: &str = "#include <stdio.h>\n#include <dlfcn.h>\nint marked(void);\n\
    int main(int c, char **v) { if (!dlopen(v[1], RTLD_NOW)) return 9; puts(v[c - 1]); return 4 + marked(); }\n";

fn is_tracked(machine: &Machine) {
    if !machine.is_there() {
        return;
    }
    let folder = Folder::new();
    let compiler = Compiler::Cross(machine.gcc);
    // All of them are little-endian, as is the machine that the tests run on.
    let mark = |name: &str, byte: u8| {
        let mut note = vec![0; encoded_len(4)];
        encode(ByteOrder::NATIVE, Signature::from_bytes([byte; 16]), b"meta", &mut note).unwrap();
        folder.note_object_by(compiler, name, &note)
    };
    let [a, b, c] = [mark("a", 1), mark("b", 2), mark("c", 3)];
    let marked = "int marked(void) { return 1; }";
    folder.compile(compiler, "libmarked.so", marked, &["-shared", "-fPIC", &a]);
    folder.compile(compiler, "liblater.so", "int later;", &["-shared", "-fPIC", &b]);
    let options = ["-L.", "-lmarked", "-ldl", "-Wl,-rpath,$ORIGIN", "-Wl,--build-id=sha1", &c];
    let program = folder.compile(compiler, "program", PROGRAM, &options);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    for (at, variable) in ["LD_PRELOAD", "LD_AUDIT"].into_iter().enumerate() {
        let output = Command::new(machine.qemu)
            .env_clear()
            .args(["-L", machine.root, "-E", "OGRT_ACTIVE=1", "-E", "OGRT_END=1", "-E", "JOBID=77", "-E"])
            .arg(format!("OGRT_SERVER={}", receiver.server))
            .arg("-E")
            .arg(format!("{variable}={}", machine.library().display()))
            .arg(&program)
            .arg(folder.join("liblater.so"))
            .arg("said")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let code = output.status.code();
        assert_eq!((code, &*output.stdout), (Some(5), &b"said\n"[..]), "{variable}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let process = receiver.ended(at + 1).remove(at);
        let (start, end) = (process.start.unwrap(), process.end.unwrap());
        assert_eq!(start.binpath(), program.as_os_str().as_bytes(), "{variable}");
        assert_eq!(start.arguments.last().map(|last| &last[..]), Some(&b"said"[..]));
        assert_eq!(start.job_id(), b"77");
        assert_eq!(start.working_directory(), folder.path().as_os_str().as_bytes());
        assert_eq!(start.notes[0].signature(), [3; 16], "{variable}");
        assert_eq!(start.build_id().len(), 20);
        let object = |name: &[u8]| start.shared_objects.iter().find(|object| object.path().ends_with(name));
        assert_eq!(object(b"/libmarked.so").unwrap().notes[0].signature(), [1; 16], "{variable}");
        assert!(object(b"/libc.so.6").is_some(), "{start:?}");
        assert_eq!((end.pid(), end.duration_ns() > 0), (start.pid(), true));
        assert_eq!(end.shared_objects.len(), 1, "{variable}: {end:?}");
        assert_eq!(end.shared_objects[0].notes[0].signature(), [2; 16], "{variable}");
    }
}

#[test]
fn aarch64() {
    is_tracked(&MACHINES[0]);
}

#[test]
fn riscv64() {
    is_tracked(&MACHINES[1]);
}

#[test]
fn powerpc64le() {
    is_tracked(&MACHINES[2]);
}
