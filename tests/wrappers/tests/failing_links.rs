//! Links that fail, as configure scripts and people make them by the hundred: each ends with us as
//! it ends without us, with the same messages, told once. Those that succeed succeed with us.
//!
//! With `OGRT_TEST_FULL=1` the time of each kind is measured by pairs and printed.

use ogrt_wrapper_tests::{Bench, Outcome, has_tool};
use std::thread;
use std::time::{Duration, Instant};

/// What is linked behind the compiler and its choice of linker, and why it fails.
const LINES: &[(&str, &str)] = &[
    ("an undefined function", "main.o -o x"),
    ("an undefined function of C++", "vtable.o -o x"),
    ("an undefined function in a library", "-shared main.o -Wl,-z,defs -o x"),
    ("an undefined function, told once", "-shared main.o -Wl,--no-undefined -o x"),
    ("an undefined function in an archive", "use.o libmain.a -o x"),
    ("an undefined function of a static program", "-static main.o -o x"),
    ("an undefined function beside collected sections", "main.o -Wl,--gc-sections -o x"),
    ("an undefined variable", "variable.o -o x"),
    ("an undefined thread variable", "thread.o -o x"),
    ("many undefined functions", "many.o -o x"),
    ("no main", "answer.o -o x"),
    ("a library that is not there", "main.o answer.o -lmissing -o x"),
    ("a library that is only shared", "-static main.o -L. -lonly -o x"),
    ("a library under an exact name", "main.o answer.o -l:libmissing.so.3 -o x"),
    ("a library of another machine", "main.o -Lother -lanswer -o x"),
    ("an object that is not there", "main.o missing.o -o x"),
    ("an archive that is not there", "main.o libmissing.a -o x"),
    ("an object twice", "main.o main.o answer.o -o x"),
    ("a function twice", "main.o answer.o again.o -o x"),
    ("a function twice in a whole archive", "main.o answer.o -Wl,--whole-archive libagain.a -o x"),
    ("a text in place of an object", "main.o text.o -o x"),
    ("half an object", "main.o half.o -o x"),
    ("half an archive", "main.o half.a -o x"),
    ("an empty object", "main.o empty.o -o x"),
    ("an object of another machine", "main.o foreign.o -o x"),
    ("a directory in place of an object", "main.o dir -o x"),
    ("no such directory for the output", "main.o answer.o -o no/such/x"),
    ("a directory in place of the output", "main.o answer.o -o dir"),
    ("an output that may not be written", "main.o answer.o -o /proc/version"),
    ("code that cannot move", "-shared fixed.o -o x"),
    ("an unknown option", "main.o answer.o -Wl,--no-such-option -o x"),
    ("an unknown emulation", "main.o answer.o -Wl,-m,nothing -o x"),
    ("an unknown hash", "main.o answer.o -Wl,--hash-style=none -o x"),
    ("a value that is missing", "main.o answer.o -Wl,-z -o x"),
    ("a response file that is not there", "main.o answer.o -Wl,@missing.rsp -o x"),
    ("a script that is not there", "main.o answer.o -Wl,-T,missing.ld -o x"),
    ("a script with a fault", "main.o answer.o -Wl,-T,broken.ld -o x"),
    ("a region that is full", "-nostdlib -static -Wl,-T,full.ld start.o -o x"),
    ("sections that overlap", "-nostdlib -static -Wl,-T,overlap.ld start.o -o x"),
    ("an assertion in a script", "-nostdlib -static -Wl,-T,assert.ld start.o -o x"),
    ("a symbol that a script does not know", "-nostdlib -static -Wl,-T,symbol.ld start.o -o x"),
    ("a version script that is not there", "-shared answer.o -Wl,--version-script=missing.map -o x"),
    ("a version script with a fault", "-shared answer.o -Wl,--version-script=broken.map -o x"),
    ("a dynamic list that is not there", "main.o answer.o -Wl,--dynamic-list=missing.list -o x"),
    ("a symbol that has to be there", "main.o answer.o -Wl,--require-defined=nothing -o x"),
    ("a symbol made of nothing", "main.o answer.o -Wl,--defsym=a=nothing -o x"),
    ("a warning that is an error", "main.o answer.o -Wl,--fatal-warnings,-e,nothing -o x"),
    ("a text relocation", "-shared fixed.o -Wl,-z,text -o x"),
    ("a hidden function", "main.o hidden.o -L. -lcaller -o x"),
    ("a thread variable that is an ordinary one", "thread.o plain.o -o x"),
    // These succeed with most linkers.
    ("an entry that is not there", "main.o answer.o -Wl,-e,nothing -o x"),
    ("undefined functions that are let be", "main.o -Wl,--unresolved-symbols=ignore-all -o x"),
    ("an unknown word of -z", "main.o answer.o -Wl,-z,nothing -o x"),
    ("nothing wrong", "main.o answer.o -o x"),
];

const SOURCES: &[(&str, &str)] = &[
    ("use.c", "int main(void); int use(void) { return main(); }"),
    ("variable.c", "extern int missing; int main(void) { return missing; }"),
    ("thread.c", "extern __thread int local; int main(void) { return local; }"),
    ("plain.c", "int local = 3;"),
    ("again.c", "int answer(void) { return 43; }"),
    ("fixed.c", "extern int there; int *at(void) { return &there; }"),
    ("start.c", "int data = 1; int _start(void) { return data; }"),
    ("hidden.c", "__attribute__((visibility(\"hidden\"))) int answer(void) { return 1; }"),
    ("caller.c", "int answer(void); int call(void) { return answer(); }"),
    ("only.c", "int only(void) { return 1; }"),
];

const DISCARDED: &str = "/DISCARD/ : { *(.comment) *(.eh_frame*) *(.note.gnu*) *(.note.GNU*) }";

fn bench() -> Bench {
    let bench = Bench::new().with_program();
    for (name, text) in SOURCES {
        bench.write(name, text);
    }
    let many: String =
        (0..40).map(|n| format!("int f{n}(void); int g{n}(void) {{ return f{n}(); }}\n")).collect();
    bench.write("many.c", &format!("{many}int main(void) {{ return g0(); }}\n"));
    bench.write(
        "vtable.cc",
        "struct A { virtual int f(); int g() { return f(); } }; int main() { return A().g(); }",
    );
    bench.write("text.o", "This is not an object.\n").write("empty.o", "");
    bench.write("broken.ld", "SECTIONS { .text : { *(.text }\n").write("broken.map", "V1 { global: answer\n");
    let script = |sections: &str| format!("SECTIONS {{ {sections} {DISCARDED} }}\n");
    let rooms = "MEMORY { F (rwx) : ORIGIN = 0, LENGTH = 8 } ";
    bench.write("full.ld", &format!("{rooms}{}", script(".t : { *(.text*) *(.data*) *(.note*) } >F")));
    bench.write(
        "overlap.ld",
        &script(".t 0x1000 : { *(.text*) *(.note*) . = 0x40; } .d 0x1010 : { *(.data*) }"),
    );
    bench.write("assert.ld", &format!("{}ASSERT(0, \"never\")\n", script(".t : { *(.text*) *(.data*) }")));
    bench.write("symbol.ld", &script(".t : { *(.text*) *(.data*) } value = no_such_symbol + 1;"));
    let made = bench.bare(
        "gcc -c main.c answer.c use.c variable.c thread.c plain.c again.c start.c hidden.c only.c many.c && \
         gcc -fno-pic -c fixed.c && g++ -c vtable.cc && mkdir dir other && \
         gcc -shared -fPIC caller.c -o libcaller.so && gcc -shared -fPIC only.c -o libonly.so && \
         ar rcs libmain.a main.o && ar rcs libagain.a again.o && \
         head -c 700 main.o > half.o && head -c 300 libagain.a > half.a && \
         sed 's/\\x02\\x01\\x01/\\x01\\x02\\x01/' answer.o > foreign.o && cp foreign.o other/libanswer.so",
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    bench
}

/// The compilers with the linkers that are here.
fn compilers() -> Vec<String> {
    let mut compilers = Vec::new();
    for (compiler, linkers) in [("gcc", &["bfd", "gold", "lld", "mold"][..]), ("clang", &["bfd", "lld"])] {
        if has_tool(compiler) {
            let here = linkers.iter().filter(|linker| has_tool(&format!("ld.{linker}")));
            compilers.extend(here.map(|linker| format!("{compiler} -fuse-ld={linker}")));
        }
    }
    compilers
}

/// The messages in order of the alphabet, without the names of temporary files: threads of a linker
/// tell what they find in any order.
fn comparable(outcome: Outcome) -> (Option<i32>, Option<i32>, Vec<String>) {
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    // mold: "cannot open no/such/.mold-LaYEu4"
    let without_name = |line: &str| match line.split_once(".mold-") {
        Some((before, after)) => format!("{before}{}", after.get(6..).unwrap_or_default()),
        None => line.to_owned(),
    };
    let mut lines: Vec<String> = told.lines().map(without_name).collect();
    lines.sort();
    (outcome.code, outcome.signal, lines)
}

/// The number of links that fail without us, and what is different with us.
fn failing_links(compilers: &[String]) -> (usize, Vec<String>) {
    let bench = bench();
    let (mut failing, mut different) = (0, Vec::new());
    for compiler in compilers {
        for (why, line) in LINES {
            let bare = bench.bare(&format!("rm -f x; {compiler} {line}"));
            let ours = bench.ours(&format!("rm -f x; ogrt-cc {compiler} {line}"));
            failing += usize::from(bare.code != Some(0));
            let (bare, ours) = (comparable(bare), comparable(ours));
            if bare != ours {
                different.push(format!("{why}: {compiler} {line}\n  bare {bare:?}\n  ours {ours:?}"));
            }
        }
    }
    (failing, different)
}

#[test]
fn two_hundred_failing_links_end_as_without_us() {
    if !has_tool("gcc") || !has_tool("g++") {
        return;
    }
    let compilers = compilers();
    let (one_half, other_half) = compilers.split_at(compilers.len() / 2);
    // The links of each half have a directory of their own.
    let (mut failing, mut different) = (0, Vec::new());
    thread::scope(|scope| {
        let halves = [one_half, other_half].map(|half| scope.spawn(|| failing_links(half)));
        for half in halves {
            let (count, found) = half.join().expect("a half");
            failing += count;
            different.extend(found);
        }
    });
    println!("{failing} failing links by {compilers:?}");
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(compilers.len() < 6 || failing >= 200, "only {failing} links fail");
}

#[test]
fn the_time_of_failing_links_by_pairs() {
    if std::env::var_os("OGRT_TEST_FULL").is_none_or(|value| value != "1") || !has_tool("gcc") {
        println!("skipped: measured with OGRT_TEST_FULL=1");
        return;
    }
    const PAIRS: usize = 40;
    let bench = bench();
    for compiler in compilers() {
        for (why, line) in [LINES[0], LINES[11], LINES[15], LINES[17]] {
            let timed = |run: &dyn Fn() -> Outcome| {
                let started = Instant::now();
                run();
                started.elapsed()
            };
            let bare = || timed(&|| bench.bare(&format!("{compiler} {line}")));
            let ours = || timed(&|| bench.ours(&format!("ogrt-cc {compiler} {line}")));
            ours();
            let mut pairs: Vec<(f64, Duration)> = (0..PAIRS)
                .map(|pair| {
                    let (bare, ours) = if pair % 2 == 0 {
                        let bare = bare();
                        (bare, ours())
                    } else {
                        let ours = ours();
                        (bare(), ours)
                    };
                    (ours.as_secs_f64() / bare.as_secs_f64(), bare)
                })
                .collect();
            pairs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            let (share, bare) = pairs[PAIRS / 2];
            println!("{:+.1} % of {bare:.1?}  {compiler}: {why}", (share - 1.0) * 100.0);
        }
    }
}
