//! Static programs that are linked with `OGRT_STATIC=1`: they run as they would without us, make
//! no call of ours when inactive, and tell of their start when active.
//!
//! A line is printed for each compiler and linker; `-` stands for what fails without us as well.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use ogrt_preload_tests::Receiver;
use ogrt_proto::ProcessInfo;
use ogrt_wrapper_tests::{
    Bench, CLANG, GCC, GFORTRAN, GXX, Language, MUSL, Outcome, ProgramTexts, carries_code, executable,
    has_tool, protections, signatures_of, static_object,
};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A way to link: its name, and its options.
const WAYS: [(&str, &str); 7] = [
    ("static", "-static"),
    ("static-pie", "-static-pie"),
    ("LTO", "-static -O2 -flto"),
    ("gc-sections", "-static -ffunction-sections -Wl,--gc-sections"),
    ("strip", "-static -s"),
    ("response", "-static @response"),
    ("profiled", "-static -pg"),
];

/// A program that prints its arguments and leaves with 3.
const PROGRAM: ProgramTexts = ProgramTexts {
    c: "#include <stdio.h>\n#include <stdlib.h>\n#include <errno.h>\n\
    int main(int c, char **v) { printf(\"%d %d %s %s\\n\", errno, c, v[c - 1], getenv(\"HELLO\")); return 3; }\n",
    cxx: "#include <iostream>\n#include <stdexcept>\n#include <cstdlib>\n\
    struct Early { Early() { std::cout << \"early\" << std::endl; } } early;\n\
    int main(int c, char **v) { try { throw std::runtime_error(v[c - 1]); }\n\
    catch (std::exception &e) { std::cout << c << e.what() << std::getenv(\"HELLO\") << std::endl; } return 3; }\n",
    fortran: "program p\ncharacter(len=80) :: word\ncall get_command_argument(1, word)\n\
    write (*, '(a)') trim(word)\ncall exit(3)\nend program\n",
};

/// Runs a program with little in its environment, and more variables.
fn run(program: &Path, variables: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(program);
    command.arg("said").env_clear().env("HELLO", "hello").envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).current_dir(program.parent().unwrap()).output().unwrap();
    Outcome {
        code: output.status.code(),
        signal: output.status.signal(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program with our code runs as the bare one, active or not, and its start arrives once.
fn tells_of_itself(bench: &Bench, ours: &str, bare: &str, case: &str) -> ProcessInfo {
    let (program, bare) = (bench.path(ours), bench.path(bare));
    let socket = bench.path("ogrt.sock");
    for name in ["ogrt.sock", "ogrt.sock.dgram"] {
        let _ = std::fs::remove_file(bench.path(name));
    }
    let receiver = Receiver::unix(&socket);
    let expected = run(&bare, &[]);
    assert_eq!(run(&program, &[]), expected, "{case}: inactive");
    assert_eq!(run(&program, &[("OGRT_ACTIVE", "0")]), expected, "{case}: switched off");
    let active = [("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &*receiver.server), ("JOBID", "77")];
    assert_eq!(run(&program, &active), expected, "{case}: active");
    let start = receiver.start();
    assert_eq!(receiver.frames_after_a_while(), 1, "{case}: one event, of the active run");
    let path = program.canonicalize().unwrap();
    assert_eq!(start.binpath(), path.as_os_str().as_bytes(), "{case}");
    assert_eq!(start.arguments.last().map(|word| &word[..]), Some(&b"said"[..]), "{case}");
    assert_eq!(start.working_directory(), path.parent().unwrap().as_os_str().as_bytes(), "{case}");
    assert_eq!(start.job_id(), b"77", "{case}");
    assert_eq!(start.notes[0].signature(), signatures_of(&program)[0], "{case}");
    assert!(start.is_static() && start.shared_objects.is_empty(), "{case}: {start:?}");
    assert!(start.pid() > 0 && start.parent_pid() as u32 == std::process::id(), "{case}: {start:?}");
    assert_eq!(start.incomplete, None, "{case}");
    start
}

fn segments(program: &Path) -> Vec<(elf::ProgramType, elf::ProgramFlags)> {
    const LE: object::LittleEndian = object::LittleEndian;
    let bytes = std::fs::read(program).unwrap();
    let header = elf::FileHeader64::<object::LittleEndian>::parse(&*bytes).unwrap();
    let segments = header.program_headers(LE, &*bytes).unwrap().iter();
    segments.map(|segment| (segment.p_type(LE), segment.p_flags(LE))).collect()
}

fn has_interpreter(program: &Path) -> bool {
    segments(program).iter().any(|(kind, _)| *kind == elf::PT_INTERP)
}

fn no_segment_is_writable_code(program: &Path, case: &str) {
    let both = elf::PF_W | elf::PF_X;
    assert!(segments(program).iter().all(|(_, flags)| *flags & both != both), "{case}");
}

fn try_all(language: Language) {
    let Language { compiler, wrapper, source } = language;
    let Some(object) = static_object().filter(|_| has_tool(compiler)) else { return };
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1");
    bench.write(source, PROGRAM.of(language)).write("response", "-Wl,--as-needed\n");
    language.link_in_each_way(&WAYS, |case, linker, options| {
        let line = format!("-fuse-ld={linker} {options} {source}");
        let bare = bench.bare(&format!("{compiler} {line} -o bare"));
        let ours = bench.ours(&format!("{wrapper} {compiler} {line} -o ours"));
        assert_eq!(ours.code, bare.code, "{case}: {ours:#?}");
        assert_eq!(ours.stdout, bare.stdout, "{case}");
        if bare.code != Some(0) || run(&bench.path("bare"), &[]).code != Some(3) {
            return "-";
        }
        let [bare, ours] = ["bare", "ours"].map(|name| bench.path(name));
        if has_interpreter(&bare) {
            // musl-gcc makes a dynamic program of `-static-pie`.
            assert_eq!(carries_code(&ours, object), 0, "{case}");
            return "dynamic";
        }
        assert_eq!(carries_code(&ours, object), 1, "{case}");
        assert_eq!(signatures_of(&ours).len(), 1, "{case}");
        assert_eq!(protections(&ours), protections(&bare), "{case}");
        no_segment_is_writable_code(&ours, case);
        tells_of_itself(&bench, "ours", "bare", case);
        "ok"
    });
}

#[test]
fn gcc() {
    try_all(GCC);
}

#[test]
fn clang() {
    try_all(CLANG);
}

#[test]
fn gxx() {
    try_all(GXX);
}

#[test]
fn gfortran() {
    try_all(GFORTRAN);
}

#[test]
fn musl() {
    try_all(MUSL);
}

/// Rust's own targets: musl, whose start files Rust brings along, and glibc.
#[test]
fn rust() {
    let Some(object) = static_object().filter(|_| has_tool("rustc")) else { return };
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1");
    bench.write(
        "main.rs",
        "fn main() { println!(\"{:?} {:?}\", std::env::args().last(), std::env::var(\"HELLO\"));\n\
         std::thread::spawn(|| println!(\"thread\")).join().unwrap(); std::process::exit(3) }\n",
    );
    let arch = std::env::consts::ARCH;
    for (case, target, options) in [
        ("musl", "musl", ""),
        ("musl at a fixed address", "musl", "-C relocation-model=static"),
        ("musl, LTO", "musl", "-O -C lto=fat -C strip=symbols"),
        ("glibc", "gnu", "-C target-feature=+crt-static"),
        ("glibc at a fixed address", "gnu", "-C target-feature=+crt-static -C relocation-model=static"),
    ] {
        let line = format!("--edition 2024 --target {arch}-unknown-linux-{target} {options} main.rs");
        let bare = bench.bare(&format!("rustc -C linker=cc {line} -o bare"));
        if bare.code != Some(0) {
            assert!(std::env::var_os("CI").is_none(), "needs the Rust target: {bare:#?}");
            println!("skipped: needs the Rust target for {target}");
            continue;
        }
        let ours = bench.ours(&format!("rustc -C linker=ogrt-cc {line} -o ours"));
        assert_eq!(ours.code, Some(0), "{case}: {ours:#?}");
        assert_eq!(carries_code(&bench.path("ours"), object), 1, "{case}");
        assert_eq!(protections(&bench.path("ours")), protections(&bench.path("bare")), "{case}");
        tells_of_itself(&bench, "ours", "bare", case);
    }
}

/// Go calls the compiler to link where cgo is used.
#[test]
fn go_with_an_external_linker() {
    let Some(object) = static_object().filter(|_| has_tool("go") && has_tool("gcc")) else { return };
    let mut bench = Bench::new();
    let [cache, home] = ["../go-cache", "../home"].map(|name| bench.path(name));
    bench.set("OGRT_STATIC", "1").set("GO111MODULE", "off").set("GOCACHE", cache).set("HOME", home);
    bench.write(
        "main.go",
        "package main\n// static int three(void) { return 3; }\nimport \"C\"\n\
         import (\"fmt\"; \"os\")\nfunc main() { fmt.Println(os.Args[1:], os.Getenv(\"HELLO\")); os.Exit(int(C.three())) }\n",
    );
    let line = "go build -ldflags='-linkmode=external -extldflags=-static";
    let bare = bench.bare(&format!("CC=gcc {line}' -o bare main.go"));
    assert_eq!(bare.code, Some(0), "{bare:#?}");
    let ours = bench.ours(&format!("CC=ogrt-cc {line} -extld=ogrt-cc' -o ours main.go"));
    assert_eq!(ours.code, Some(0), "{ours:#?}");
    assert_eq!(carries_code(&bench.path("ours"), object), 1);
    tells_of_itself(&bench, "ours", "bare", "Go");
}

/// The calls of a program, by their names and results as strace has them.
fn calls(bench: &Bench, program: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let log = bench.path("strace");
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(&log).arg("-X").arg("raw");
    strace.arg(bench.path(program)).arg("said").env_clear().env("HELLO", "hello");
    let status = strace.envs(variables.iter().copied()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(3), "{program}");
    let text = std::fs::read_to_string(log).unwrap();
    let call = |line: &str| Some(line.split_once(' ')?.1.trim().split_once('(')?.0.to_owned());
    text.lines().filter_map(call).collect()
}

#[test]
fn an_inactive_static_program_makes_no_call() {
    if static_object().is_none() || !has_tool("strace") {
        return;
    }
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1").write("main.c", PROGRAM.c);
    // The block of the environment is longer than a page.
    let much = ("MUCH", &*"x".repeat(20_000));
    let many: Vec<String> = (0..2000).map(|number| format!("V{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "1")).collect();
    for compiler in ["gcc", "musl-gcc"].into_iter().filter(|compiler| has_tool(compiler)) {
        for options in ["-static", "-static-pie"] {
            let line = format!("{compiler} {options} main.c");
            if bench.bare(&format!("{line} -o bare")).code != Some(0) || has_interpreter(&bench.path("bare"))
            {
                continue;
            }
            bench.ours_succeeds(&format!("ogrt-cc {line} -o ours"));
            for variables in [&[][..], &[("OGRT_ACTIVE", "0"), ("OGRT_SERVER", "127.0.0.1:1"), much], &many] {
                let [bare, ours] = ["bare", "ours"].map(|program| calls(&bench, program, variables));
                assert_eq!(ours, bare, "{line}");
                assert!(bare.contains(&"exit_group".to_owned()), "{bare:?}");
            }
            // An active one makes its calls, and makes them before main: then none is different.
            let active = [("OGRT_ACTIVE", "1"), ("OGRT_SERVER", "127.0.0.1:1")];
            let [bare, ours] = ["bare", "ours"].map(|program| calls(&bench, program, &active));
            let sent = ours.iter().position(|call| call == "sendmsg").expect("a message");
            assert_eq!(ours[sent + 1], "close", "{ours:?}");
            let rest = &ours[sent + 2..];
            assert!(
                bare.ends_with(rest) && rest.iter().any(|call| call.starts_with("write")),
                "{bare:?} {ours:?}"
            );
            let skipped = [("OGRT_ACTIVE", "1"), ("OGRT_SKIP", "*")];
            let [bare, ours] = ["bare", "ours"].map(|program| calls(&bench, program, &skipped));
            assert!(ours.len() <= bare.len() + 1, "{bare:?} {ours:?}");
        }
    }
}

#[test]
fn programs_of_every_kind_run_on() {
    if static_object().is_none() || !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1");
    let threads = "#include <pthread.h>\n#include <stdio.h>\nstatic __thread int own = 5;\n\
        static void *f(void *a) { own += (long) a; return (void *)(long) own; }\n\
        int main(void) { pthread_t t[8]; long sum = 0; void *got;\n\
        for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, f, (void *) i);\n\
        for (int i = 0; i < 8; i++) { pthread_join(t[i], &got); sum += (long) got; }\n\
        printf(\"%ld %d\\n\", sum, own); return 3; }\n";
    let killed = "#include <signal.h>\n#include <stdio.h>\nint main(void) { puts(\"up\"); fflush(stdout);\n\
        raise(SIGKILL); return 0; }\n";
    let stack = "#include <sys/resource.h>\n#include <unistd.h>\nint main(int c, char **v) {\n\
        struct rlimit r = { 64 << 10, 64 << 10 }; if (v[1][0] != 's') return 3;\n\
        setrlimit(RLIMIT_STACK, &r); v[1] = \"again\"; execv(v[0], v); return 9; }\n";
    let names = "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nchar **environ_of_libc;\n\
        int environ = 7; int on_start, start, send, socket, ogrt_static, ogrt_static_entry, strlen_of_ours;\n\
        void *memcpy(void *d, const void *s, size_t n) { char *a = d; const char *b = s; while (n--) *a++ = *b++; return d; }\n\
        int la_version(int v) { return v; }\n\
        ssize_t write(int f, const void *b, size_t n) { (void) f; (void) b; return -(ssize_t) n; }\n\
        int main(void) { char x[9]; memcpy(x, \"abc\", 4); return write(1, x, 3) == -3 && environ == 7 ? 3 : 4; }\n";
    let early = "#include <stdlib.h>\n#include <unistd.h>\n\
        __attribute__((constructor(101))) static void f(void) { clearenv(); close(0); close(1); close(2); _exit(3); }\n\
        int main(void) { return 0; }\n";
    let forks = "#include <unistd.h>\n#include <sys/wait.h>\nint main(void) { int s; pid_t p = fork();\n\
        if (!p) _exit(1); waitpid(p, &s, 0); p = vfork(); if (!p) _exit(2); waitpid(p, &s, 0); return 3; }\n";
    for (name, text) in [
        ("threads", threads),
        ("killed", killed),
        ("names", names),
        ("early", early),
        ("forks", forks),
        ("stack", stack),
    ] {
        bench.write(&format!("{name}.c"), text);
        for compiler in ["gcc", "musl-gcc"].into_iter().filter(|compiler| has_tool(compiler)) {
            let line = format!("{compiler} -w -static -fno-builtin {name}.c");
            let bare = bench.bare(&format!("{line} -o bare"));
            if bare.code != Some(0) {
                println!("{compiler} {name}: does not link without us: {}", bare.stderr);
                continue;
            }
            bench.ours_succeeds(&format!("ogrt-cc {line} -o ours"));
            let start = match name {
                // It executes itself again.
                "stack" => continue_twice(&bench, compiler),
                _ => tells_of_itself(&bench, "ours", "bare", &format!("{compiler} {name}")),
            };
            assert!(start.binpath().ends_with(b"/ours"));
        }
    }
}

/// A program that executes itself with a stack of 64 KB: both starts arrive.
fn continue_twice(bench: &Bench, compiler: &str) -> ProcessInfo {
    let receiver = Receiver::unix(&bench.path(&format!("{compiler}.sock")));
    let active = [("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &*receiver.server)];
    let bare = run(&bench.path("bare"), &[]);
    assert_eq!((bare.code, run(&bench.path("ours"), &active)), (Some(3), bare.clone()), "{compiler}");
    let starts = receiver.starts(2);
    let last = starts.into_iter().filter_map(|process| process.start).next_back().expect("a start");
    assert_eq!(last.arguments.last().map(|word| &word[..]), Some(&b"again"[..]));
    last
}

/// Servers that hang, are full or are not there cost a static program nothing, and what nobody
/// takes waits in the spool.
#[test]
fn without_a_server_the_event_waits_in_the_spool() {
    if static_object().is_none() || !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1").write("main.c", PROGRAM.c);
    bench.ours_succeeds("ogrt-cc -static main.c -o ours");
    assert_eq!(bench.bare("gcc -static main.c -o bare").code, Some(0));
    let spool = bench.path("spool").display().to_string();
    let absent = format!("unix:{}", bench.path("absent.sock").display());
    let active = [("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &*absent), ("OGRT_SPOOL_DIR", &*spool)];
    assert_eq!(run(&bench.path("ours"), &active), run(&bench.path("bare"), &[]));
    let files: Vec<_> = std::fs::read_dir(&spool).unwrap().flatten().map(|file| file.path()).collect();
    assert!(matches!(&files[..], [file] if file.extension().is_some_and(|end| end == "frames")), "{files:?}");
}

#[test]
fn what_does_not_fit_is_left_out_and_said() {
    if static_object().is_none() || !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1").write("main.c", PROGRAM.c);
    bench.ours_succeeds("ogrt-cc -static main.c -o ours");
    const ARGUMENTS: u32 = 1;
    let long = "x".repeat(40_000);
    for (unix, count, incomplete) in
        [(false, 1, None), (false, 2, Some(ARGUMENTS)), (true, 2, Some(ARGUMENTS))]
    {
        let socket = tempfile::tempdir().unwrap();
        let receiver = match unix {
            true => Receiver::unix(&socket.path().join("ogrt.sock")),
            false => Receiver::udp("127.0.0.1"),
        };
        let names = [("LONG_A", &*long), ("LONG_B", &*long)];
        let mut active =
            vec![("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &*receiver.server), ("OGRT_ENV", "LONG*,HE?LO")];
        active.extend(&names[..count]);
        assert_eq!(run(&bench.path("ours"), &active).code, Some(3));
        let start = receiver.start();
        assert_eq!(start.incomplete, incomplete, "{unix} {count}");
        let has_variable = start.environment_variables.iter().any(|entry| &entry[..] == b"HELLO=hello");
        assert_eq!(
            (has_variable, start.arguments.len()),
            if incomplete.is_none() { (true, 2) } else { (false, 0) }
        );
        // What names the build is always there.
        assert_eq!(start.notes[0].signature(), signatures_of(&bench.path("ours"))[0]);
        assert!(!start.build_id().is_empty() && !start.binpath().is_empty());
    }
}

#[test]
fn static_programs_are_found_through_links() {
    if static_object().is_none() || !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new();
    bench.set("OGRT_STATIC", "1").write("main.c", PROGRAM.c);
    let line = "mkdir -p real/deep && ogrt-cc -static main.c -o real/deep/ours && ln -s real linked && \
        ln -s ../linked/./deep//ours real/direct && ln -s $PWD/linked/direct absolute && ln -s loop loop";
    bench.ours_succeeds(line);
    let program = bench.path("real/deep/ours").canonicalize().unwrap();
    let script = format!("#!{}/linked/deep/ours\n", bench.dir().display());
    executable(&bench, "script", &script);
    // Each is called by the shell, from the bench's directory.
    for called in ["./absolute", "linked/deep/ours", "real/../linked/./deep/..//direct", "./script", "PATH"] {
        let socket = tempfile::tempdir().unwrap();
        let receiver = Receiver::unix(&socket.path().join("ogrt.sock"));
        let line = match called {
            "PATH" => "PATH=$PWD/linked/deep; ours said".to_owned(),
            called => format!("{called} said"),
        };
        let status = Command::new("/bin/sh")
            .args(["-c", &line])
            .current_dir(bench.dir())
            .env_clear()
            .env("OGRT_ACTIVE", "1")
            .env("OGRT_SERVER", &receiver.server)
            .stdout(Stdio::null())
            .status();
        assert_eq!(status.unwrap().code(), Some(3), "{called}");
        assert_eq!(receiver.start().binpath(), program.as_os_str().as_bytes(), "{called}");
    }
}
