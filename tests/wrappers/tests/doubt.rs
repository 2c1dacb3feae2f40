//! A link is never worse for our addition: what links bare links with us, each message is told
//! once, and an ordinary failure costs no second run.

use ogrt_wrapper_tests::{Bench, Outcome, executable, has_tool, signatures_of};

/// The line bare and by us ends in the same way.
fn ends_the_same(bench: &Bench, compiler: &str, line: &str) -> Outcome {
    let bare = bench.bare(&line.replace("CC", compiler));
    let ours = bench.ours(&line.replace("CC", &format!("ogrt-cc {compiler}")));
    assert_eq!(ours, bare, "{compiler} {line}");
    ours
}

fn marks(bench: &Bench, name: &str) -> usize {
    signatures_of(&bench.path(name)).len()
}

/// A linker that counts its final links, and becomes the real one.
fn counting(bench: &Bench) {
    let text = "#!/bin/sh\nfor word; do case $word in *ogrt-note-trial*|--version|--verbose|--print-*) exec /usr/bin/ld \"$@\";; esac; done\n\
                echo x >> runs\nexec /usr/bin/ld \"$@\"\n";
    executable(bench, "bin/ld", text);
}

fn runs(bench: &Bench) -> usize {
    let runs = std::fs::read_to_string(bench.path("runs")).unwrap_or_default().lines().count();
    let _ = std::fs::remove_file(bench.path("runs"));
    runs
}

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    bench
}

#[test]
fn a_script_that_has_no_room_for_the_note() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write("k.c", "int x = 1; int _start(void) { return x; }\n");
    let discards = "/DISCARD/ : { *(.comment) *(.eh_frame*) *(.note.gnu*) }";
    let full = ".text : { *(.text*) *(.note.ogrt) . = ALIGN(64); } >F";
    let overlap = ".text 0x1000 : { *(.text*) *(.note*) . = 0x40; } .data 0x1040 : { *(.data*) }";
    bench.write("full.ld", &format!("MEMORY {{ F (rwx) : ORIGIN = 0, LENGTH = 128 }} SECTIONS {{ {full} .data : {{ *(.data*) }} >F {discards} }}"));
    bench.write("overlap.ld", &format!("SECTIONS {{ {overlap} {discards} }}"));
    bench.write(
        "assert.ld",
        &format!("SECTIONS {{ .n : {{ *(.note*) }} {discards} }} ASSERT(SIZEOF(.n) == 0, \"too large\")"),
    );
    let linkers = ["bfd", "lld"].into_iter().filter(|linker| has_tool(&format!("ld.{linker}")));
    for linker in linkers {
        for script in ["full", "overlap", "assert"] {
            let of = "-fno-pic -no-pie -nostdlib -static -Wl,--build-id=none";
            let line = format!("rm -f k; CC -fuse-ld={linker} {of} -T {script}.ld k.c -o k");
            ends_the_same(&bench, "gcc", &line);
        }
    }
    let records = bench.spooled();
    assert!(
        records.iter().any(|record| record.unmarked_reason().contains("failed with the note")),
        "{records:#?}"
    );
}

#[test]
fn an_ordinary_failure_is_run_once_and_told_once() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = bench();
    counting(&bench);
    let linker = bench.path("bin/ld");
    bench.set("OGRT_REAL_LD", linker);
    let script = "ld --verbose | sed '1,/^=====/d; /^=====/,$d' > program.ld";
    assert_eq!(bench.bare(script).code, Some(0));
    for (line, expected) in [
        ("CC main.o -o x", 1),
        ("CC main.o answer.o -lmissing -o x", 1),
        ("CC main.o answer.o missing.o -o x", 1),
        ("CC main.o answer.o answer.o -o x", 1),
        // In doubt, but what fails is known.
        ("CC -no-pie main.o -Wl,-T,program.ld -o x", 1),
        ("CC main.o -Wl,--fatal-warnings -o x", 1),
        ("CC main.o -Wl,--section-start=.mine=0x900000 -o x", 1),
        // The note was never opened, and of a script nobody knows whether it can open it.
        ("CC main.o answer.o -Wl,--no-such-option -o x", 2),
    ] {
        let failed = ends_the_same(&bench, "gcc", line);
        assert_eq!(failed.code, Some(1), "{line}");
        assert_eq!(runs(&bench), expected, "{line}");
    }
    assert_eq!(bench.spooled().len(), 0);
}

#[test]
fn a_doubtful_link_that_succeeds_tells_its_messages_once() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write("warns.c", "#include <stdio.h>\nint main(void) { return !tmpnam(0); }\n");
    assert_eq!(bench.bare("gcc -c warns.c").code, Some(0));
    let warned = ends_the_same(&bench, "gcc", "CC warns.o -Wl,--section-start=.mine=0x900000 -o x");
    assert_eq!(warned.code, Some(0));
    assert!(warned.stderr.contains("tmpnam"), "{warned:?}");
    assert_eq!(marks(&bench, "x"), 1);
    let traced = ends_the_same(&bench, "gcc", "CC main.o answer.o -Wl,--fatal-warnings -o x && ./x; echo $?");
    assert_eq!(traced.stdout, "answer 42\n3\n");
    ends_the_same(&bench, "gcc", "CC warns.o -Wl,--fatal-warnings -o x");
    // Both streams in one file: the order stays.
    let line = "CC warns.o -Wl,--section-start=.mine=0x900000 -Wl,--verbose -o x > all 2>&1; \
                grep -vE 'succeeded|proc/self/fd/199|collect2|attempt to open' all | sha256sum";
    ends_the_same(&bench, "gcc", line);
}

#[test]
fn a_launcher_that_closes_descriptors() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write(
        "closing.c",
        "#define _GNU_SOURCE\n#include <unistd.h>\n\
         int main(int c, char **v) { (void)c; closefrom(3); execv(LINKER, v); return 127; }\n",
    );
    for (dir, linker) in [("bin", "/usr/bin/ld"), ("lld", "/usr/bin/ld.lld")] {
        if !std::path::Path::new(linker).exists() {
            continue;
        }
        let build = format!("mkdir {dir}; gcc -DLINKER='\"{linker}\"' closing.c -o {dir}/ld");
        assert_eq!(bench.bare(&build).code, Some(0));
        let line = format!("COMPILER_PATH=$PWD/{dir} CC main.o answer.o -o x");
        assert_eq!(ends_the_same(&bench, "gcc", &line).code, Some(0));
        assert_eq!(marks(&bench, "x"), 1, "the note is in a file that it can open");
        assert_eq!(ends_the_same(&bench, "gcc", &line.replace("answer.o", "")).code, Some(1));
    }
    // Where nothing can be remembered.
    let mut bench = bench;
    let nowhere = bench.path("main.o/nowhere");
    bench.set("XDG_CACHE_HOME", nowhere);
    assert_eq!(ends_the_same(&bench, "gcc", "COMPILER_PATH=$PWD/bin CC main.o answer.o -o x").code, Some(0));
}

#[test]
fn a_linker_that_refuses_the_note_or_crashes() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    let refuses = "#!/bin/sh\nfor word; do case $word in */ogrt-note-*|/proc/self/fd/*)\n\
                   WHAT;; esac; done\nexec /usr/bin/ld \"$@\"\n";
    for (dir, what) in [("refuses", "echo no >&2; exit 3"), ("dies", "kill -SEGV $$")] {
        executable(&bench, &format!("{dir}/ld"), &refuses.replace("WHAT", what));
        let line = format!("COMPILER_PATH=$PWD/{dir} CC main.o answer.o -o x 2> /dev/null && ./x");
        let ended = ends_the_same(&bench, "gcc", &line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "answer 42\n"), "{dir}");
        assert_eq!(marks(&bench, "x"), 0);
    }
    assert!(bench.spooled().iter().all(|record| !record.marked() && !record.unmarked_reason().is_empty()));
}

#[test]
fn drivers_that_know_no_option_of_ours() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    // klcc knows no -Xlinker; zig cc refuses linker arguments; tcc drops notes.
    let refuses = "#!/bin/sh\nfor word; do case $word in -B*|-Xlinker|-print*|-###|*.note.o)\n\
                   echo \"unknown option $word\" >&2; exit 25;; esac; done\nexec /usr/bin/gcc \"$@\"\n";
    executable(&bench, "refuses", refuses);
    assert_eq!(ends_the_same(&bench, "./refuses", "CC main.c answer.c -o x").code, Some(0));
    assert_eq!(marks(&bench, "x"), 1);
    let drops = "#!/bin/sh\nfor word; do shift; case $word in *ogrt-note*.o|-Xlinker|/proc/self/fd/*) ;;\n\
                 *) set -- \"$@\" \"$word\";; esac; done\nCOMPILER_PATH= exec /usr/bin/gcc -B/usr/bin \"$@\"\n";
    executable(&bench, "drops", drops);
    assert_eq!(ends_the_same(&bench, "./drops", "CC -B/usr/bin main.c answer.c -o x").code, Some(0));
    if has_tool("klcc") {
        let bench = Bench::new();
        bench.write("main.c", "int answer(void); int main(void) { return answer() - 42; }\n");
        bench.write("answer.c", "int answer(void) { return 42; }\n");
        assert_eq!(ends_the_same(&bench, "klcc", "CC main.c answer.c -o x && ./x").code, Some(0));
        ends_the_same(&bench, "klcc", "CC main.c -o x");
    }
}

/// A disk that was full, or memory that was short, is not the tool's answer for good.
#[test]
fn a_trial_that_failed_is_made_again_after_a_time() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    // A compiled linker, and a script in front of a driver, which fail in our trials alone.
    bench.write(
        "ld.c",
        "#include <stdlib.h>\n#include <unistd.h>\nint main(int c, char **v) { (void)c;\n\
         if (getenv(\"OGRT_DISABLE\") && !access(\"trouble\", F_OK)) return 1;\n\
         v[0] = \"/usr/bin/ld\"; execv(v[0], v); return 127; }\n",
    );
    assert_eq!(bench.bare("mkdir -p lib && gcc ld.c -o lib/ld").code, Some(0));
    bench.write("fixed.specs", "*linker:\n/usr/bin/ld\n");
    let fails = "[ -e trouble ] && [ \"$OGRT_DISABLE$OGRT_LD_TRIAL\" ] && exit 1";
    executable(&bench, "led", &format!("#!/bin/sh\n{fails}\nexec gcc \"$@\"\n"));
    executable(&bench, "fixed", &format!("#!/bin/sh\n{fails}\nexec gcc -specs=fixed.specs \"$@\"\n"));
    let objects = "main.o answer.o -o x";
    for (line, kind) in [
        (format!("ogrt-cc gcc -Blib {objects}"), "notes-1"),
        (format!("ogrt-cc ./fixed {objects}"), "drivers-1"),
        (format!("ogrt-cc ./led {objects}"), "routes-2"),
    ] {
        for (before, marked) in [
            ("touch trouble", false),
            ("rm trouble", false),
            ("find ../cache -type f -size 0 -exec touch -d '2 hours ago' {} +", true),
        ] {
            let outcome = bench.ours(&format!("rm -f x; {before}; {line}"));
            assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{line}: {outcome:?}");
            assert_eq!(marks(&bench, "x") == 1, marked, "{kind} after {before}");
        }
    }
}

#[test]
fn a_link_under_proot() {
    if !has_tool("gcc") || !has_tool("proot") {
        return;
    }
    let bench = bench();
    assert_eq!(ends_the_same(&bench, "gcc", "proot CC main.o answer.o -o x").code, Some(0));
    ends_the_same(&bench, "gcc", "proot CC main.o -o x");
}

#[test]
fn a_line_at_the_systems_limit() {
    if !has_tool("gcc") {
        return;
    }
    let bench = bench();
    bench.write(
        "longest.sh",
        "ulimit -s 1024\nlink() { n=$1; shift; \"$@\" main.o answer.o $(printf -- \
         '-L/tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%05d ' $(seq $n)) -o x > /dev/null 2>&1; }\n\
         low=100 high=6000\nwhile [ $((high - low)) -gt 20 ]; do m=$(((low + high) / 2))\n\
         if link $m gcc; then low=$m; else high=$m; fi; done\n\
         for less in 60 400 1500; do link $((low - less)) ogrt-cc gcc || echo \"fails $less below $low\"; done\n",
    );
    let outcome = bench.ours("sh longest.sh");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome:?}");
    // The driver's whole command is in the record all the same.
    let longest = bench.spooled().iter().map(|record| record.driver_command.len()).max();
    assert!(longest.is_some_and(|words| words > 1000), "{longest:?}");
}
