//! Cross builds by build systems that derive the tools from a host's name, or read them from a
//! file: they find the same tools as without us, and the program has its note and its record.

use ogrt_wrapper_tests::{Bench, has_tool, prefix, signatures_of};
use std::fs;
use std::os::unix::fs::symlink;

/// A project of autoconf that writes down what it found.
fn autoconf_project() -> Bench {
    let bench = Bench::new().with_program();
    bench.write(
        "configure.ac",
        "AC_INIT([program], [1])\nAC_CONFIG_SRCDIR([main.c])\nAC_PROG_CC\nAC_PROG_RANLIB\n\
         AC_CHECK_TOOL([AR], [ar])\nAC_CHECK_TOOL([STRIP], [strip])\nAC_CHECK_TOOL([LD], [ld])\n\
         AC_CHECK_TOOL([OBJDUMP], [objdump])\n\
         AC_CHECK_FUNCS([getpid no_such_function])\nAC_CONFIG_FILES([Makefile found])\nAC_OUTPUT\n",
    );
    bench.write(
        "found.in",
        "@AR@ @RANLIB@ @STRIP@ @LD@ @OBJDUMP@ .@EXEEXT@ .@OBJEXT@ @cross_compiling@ @CFLAGS@ @DEFS@\n",
    );
    bench.write(
        "Makefile.in",
        "program: main.@OBJEXT@ libanswer.a\n\t@CC@ @CFLAGS@ main.@OBJEXT@ libanswer.a -o $@\n\
         libanswer.a: answer.@OBJEXT@\n\t@AR@ rc $@ $<\n\t@RANLIB@ $@\n.c.@OBJEXT@:\n\t@CC@ @CFLAGS@ -c $<\n",
    );
    let made = bench.bare("autoconf");
    assert_eq!(made.code, Some(0), "{made:?}");
    bench
}

/// Configures and builds by these lines, and returns what `configure` found.
fn found(bench: &Bench, configure: &str, path: &str) -> String {
    let line = format!("rm -rf *.o *.obj *.a program found; {configure} && make program");
    let outcome = bench.run(&line, path);
    assert_eq!(outcome.code, Some(0), "{configure}: {outcome:?}");
    fs::read_to_string(bench.path("found")).expect("what configure found")
}

#[test]
fn autoconf_finds_the_hosts_tools() {
    if !has_tool("autoconf") || !has_tool("make") {
        return;
    }
    let bench = autoconf_project();
    let system = std::env::var("PATH").expect("a PATH");
    let ours = format!("{}:{system}", prefix().join("bin").display());
    let names = bench.path("names");
    fs::create_dir(&names).expect("a directory");
    for (host, marks) in [("aarch64-linux-gnu", 1), ("x86_64-w64-mingw32", 0)] {
        if !has_tool(&format!("{host}-gcc")) {
            continue;
        }
        let bare = found(&bench, &format!("./configure --host={host}"), &system);
        assert!(bare.starts_with(&format!("{host}-ar {host}-ranlib {host}-strip {host}-ld ")), "{bare}");
        symlink(prefix().join("bin/ogrt-cc"), names.join(format!("{host}-gcc"))).expect("a link");
        let masquerade = format!("{}:{system}", names.display());
        for (line, path) in [
            (format!("./configure --host={host} CC='ogrt-cc {host}-gcc'"), &ours),
            (format!("export OGRT_REAL_CC={host}-gcc; ./configure --host={host} CC=ogrt-cc"), &ours),
            (format!("./configure --host={host}"), &masquerade),
        ] {
            let before = bench.spooled().len();
            assert_eq!(found(&bench, &line, path), bare, "{line}");
            let is_elf = fs::read(bench.path("program")).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"));
            assert_eq!(is_elf, marks == 1, "{line}");
            if is_elf {
                assert_eq!(signatures_of(&bench.path("program")).len(), marks, "{line}");
                let records = bench.spooled();
                let outputs: Vec<_> =
                    records[before..].iter().map(|record| record.output.as_ref().map(|o| o.path())).collect();
                assert_eq!(outputs, [Some(&b"program"[..])], "{line}: no question of configure");
            }
        }
    }
}

#[test]
fn mesons_cross_file_names_us() {
    let host = "aarch64-linux-gnu";
    if ["meson", "ninja", "qemu-aarch64", "aarch64-linux-gnu-gcc"].iter().any(|tool| !has_tool(tool)) {
        return;
    }
    let bench = Bench::new().with_program();
    bench.write(
        "meson.build",
        "project('program', 'c')\ncc = meson.get_compiler('c')\n\
         message('found', cc.get_id(), cc.version(), cc.get_linker_id(), cc.sizeof('long'),\n\
         cc.has_function('getpid'), cc.has_function('no_such_function'),\n\
         cc.get_supported_arguments('-Wall', '-Wno-such-thing'), cc.find_library('m').found())\n\
         answer = static_library('answer', 'answer.c')\n\
         program = executable('program', 'main.c', link_with: answer, install: true)\n\
         test('answers', program, should_fail: true)\n",
    );
    let cross = |name: &str, compiler: &str| {
        bench.write(
            name,
            &format!(
                "[binaries]\nc = {compiler}\nar = '{host}-gcc-ar'\nstrip = '{host}-strip'\n\
                 exe_wrapper = ['qemu-aarch64', '-L', '/usr/{host}']\n[host_machine]\nsystem = 'linux'\n\
                 cpu_family = 'aarch64'\ncpu = 'aarch64'\nendian = 'little'\n"
            ),
        );
    };
    cross("bare.ini", &format!("['{host}-gcc']"));
    cross("ours.ini", &format!("['ogrt-cc', '{host}-gcc']"));
    let line = |file: &str| {
        format!(
            "rm -rf build root; meson setup build --cross-file {file}.ini --prefix=/usr -Dstrip=true -Db_lto=true \
             && ninja -C build && meson test -C build && DESTDIR=$PWD/root meson install -C build"
        )
    };
    let bare = bench.bare(&line("bare"));
    assert_eq!(bare.code, Some(0), "{bare:?}");
    let ours = bench.ours(&line("ours"));
    assert_eq!(ours.code, Some(0), "{ours:?}");
    let said = |output: &str| -> Vec<String> {
        let wanted = ["Message: ", "Checking for ", "supports", "answers", "Expected Fail: "];
        let lines = output.lines().filter(|line| wanted.iter().any(|word| line.contains(word)));
        lines.map(|line| line.split("  ").next().unwrap_or("").to_owned()).collect()
    };
    assert_eq!(said(&ours.stdout), said(&bare.stdout));
    assert!(said(&bare.stdout).len() >= 8, "{bare:?}");
    assert_eq!(signatures_of(&bench.path("root/usr/bin/program")).len(), 1);
    let records = bench.spooled();
    let outputs: Vec<_> = records.iter().map(|record| record.output.as_ref().map(|o| o.path())).collect();
    assert_eq!(outputs, [Some(&b"program"[..])]);
}
