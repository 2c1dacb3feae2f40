//! A command line does the same with us and without us: standard output, standard error, exit
//! status or signal, the files it leaves and what is in them.
//!
//! Each line runs twice in one directory, made anew, so that nothing differs but PATH. An output
//! that is marked differs by its note: for those the file's presence is compared here, and the rest
//! in `matrix.rs`.

use ogrt_wrapper_tests::{Bench, Outcome, has_tool};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The lines that are run; CC stands for the compiler, LD for the linker.
const LINES: &[&str] = &[
    // Compile only, in every form.
    "CC -c main.c",
    "CC -c main.c -o here.o",
    "CC -c -g -O2 main.c answer.c",
    "CC -S main.c",
    "CC -E main.c -o main.i",
    "CC -E main.c",
    "CC -M main.c",
    "CC -MM main.c answer.c",
    "CC -c -MD -MF main.d main.c",
    "CC -fsyntax-only main.c",
    "CC -x c -c -o stdin.o - < main.c",
    "CC -c -Werror -Wall main.c",
    "CC -c @compile_line",
    "CC -c main.c -o /dev/null",
    "CC -c main.c -frecord-gcc-switches",
    // Probing.
    "CC --version",
    "CC -dumpversion",
    "CC -dumpmachine",
    "CC -print-search-dirs",
    "CC -print-prog-name=ld",
    "CC -print-file-name=libc.so",
    "CC --help",
    "CC -v",
    "CC -### main.o",
    "LD --version",
    "LD -v",
    "LD --help",
    "LD -V",
    // Failing.
    "CC",
    "CC -o nothing",
    "CC missing.c",
    "CC missing.o -o x",
    "CC broken.c",
    "CC -c broken.c",
    "CC --no-such-option main.c",
    "CC -c main.c answer.c -o both.o",
    "CC main.o -o x",
    "CC main.o -lno-such-library -o x",
    "CC main.o answer.o -o no/such/dir/x",
    "CC main.o main.o answer.o -o x",
    "CC @missing_response -o x",
    "CC not_elf.o -o x",
    "CC main.o answer.o -Wl,--no-such-linker-option -o x",
    "CC main.o answer.o -Wl,-T,missing.ld -o x",
    "CC main.o answer.o -Wl,--version-script=broken.map -shared -o x",
    "CC empty.o -shared -nostdlib -o x && rm x",
    "LD",
    "LD -o x",
    "LD missing.o",
    "LD not_elf.o",
    "LD -m no_such_emulation main.o",
    "LD -r",
    // Warning, and linking.
    "CC warning.c answer.o -o x",
    "CC main.o answer.o -o x",
    "CC main.o answer.o",
    "CC main.o answer.o -ox",
    "CC -MD main.c answer.o -o x",
    "CC -MMD -MF deps.d main.c answer.o -o x",
    "CC -x c main.c -x none answer.o -o x",
    "CC main.c answer.c -save-temps=obj -o x",
    "CC tmpnam.c -o x",
    "CC main.o answer.o -Wl,-e,no_such_entry -o x",
    "CC main.o answer.o -z execstack -o x",
    "CC main.o -Wl,--unresolved-symbols=ignore-all -o x",
    "CC main.o -Wl,--warn-unresolved-symbols -o x",
    "CC -shared -fPIC answer.c -o libx.so",
    "CC main.o -Wl,--start-group libanswer.a -Wl,--end-group -o x",
    "CC main.o -Wl,--whole-archive libanswer.a -Wl,--no-whole-archive -o x",
    "CC main.o -Wl,--as-needed -L. -lanswer -Wl,--no-as-needed -o x",
    "CC main.o answer.o -Wl,--format=binary -Wl,data.txt -Wl,--format=default -o x",
    "CC main.o answer.o -Wl,--format=binary -Wl,data.txt -o x",
    "CC main.o answer.o -Wl,-Map=x.map -o x && rm x.map",
    "CC main.o answer.o -Wl,--orphan-handling=warn -o x",
    "CC main.o answer.o @link_line",
    "CC -r main.o answer.o -o both.o",
    "CC -static main.o answer.o -o x",
    "LD -r main.o answer.o -o both.o",
    "LD -shared answer.o -o libx.so",
    "LD --oformat binary -e answer answer.o -o raw.bin",
    "LD -b binary -r data.txt -o data.o",
    "printf 'int main(void){return 7;}' | CC -x c - -o x",
    // Probes of configure scripts.
    "CC conftest.c -o conftest",
    "CC conftest.c",
    // Killed.
    "CC main.o answer.o -fuse-ld=bfd -o x; sh -c 'kill -9 $$'",
];

#[test]
fn every_line_does_what_it_does_without_us() {
    let mut different = Vec::new();
    for compiler in ["gcc", "clang"].into_iter().filter(|tool| has_tool(tool)) {
        let bench = sources();
        let template = files(&bench.dir(), |bytes| bytes);
        for line in LINES {
            let bare = run(&bench, &template, &line.replace("CC", compiler).replace("LD", "ld"), Bench::bare);
            let our_line = line.replace("CC", &format!("ogrt-cc {compiler}")).replace("LD", "ld");
            let how = if line.contains("LD") { Bench::ours_as_linkers } else { Bench::ours };
            let ours = run(&bench, &template, &our_line, how);
            if ours != bare {
                different.push(format!("{our_line}\n  ours: {ours:?}\n  bare: {bare:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{} lines differ:\n{}", different.len(), different.join("\n"));
}

type Files = BTreeMap<String, Vec<u8>>;

fn sources() -> Bench {
    let bench = Bench::new().with_program();
    bench.write("broken.c", "int main(void) { return }\n");
    bench.write("warning.c", "int answer(void);\nint main(void) { int unused; answer(); return \"\"; }\n");
    bench.write("tmpnam.c", "#include <stdio.h>\nint main(void) { return !tmpnam(0); }\n");
    bench.write("conftest.c", "int main(void) { return 0; }\n");
    bench.write("not_elf.o", "this is not an object\n");
    bench.write("empty.c", "");
    bench.write("broken.map", "{ global\n");
    bench.write("data.txt", "data\n");
    bench.write("compile_line", "-O1 -DX='1' main.c\n");
    bench.write("link_line", "-o 'x' -Wl,--as-needed\n");
    let prepared = bench.bare("gcc -c main.c answer.c empty.c && ar rcsD libanswer.a answer.o");
    assert_eq!(prepared.code, Some(0), "{prepared:?}");
    bench
}

/// The outcome of a line, and the files by name. Files that a link made have no contents here.
fn run(bench: &Bench, template: &Files, line: &str, how: fn(&Bench, &str) -> Outcome) -> (Outcome, Files) {
    fs::remove_dir_all(bench.dir()).expect("the last run's files");
    fs::create_dir(bench.dir()).expect("a directory");
    for (name, bytes) in template {
        fs::write(bench.path(name), bytes).expect("a source");
    }
    let mut outcome = how(bench, line);
    outcome.stdout = without_temporary_names(&outcome.stdout);
    // We call the compiler by its path, and its -v prints it: nothing else may differ.
    outcome.stderr =
        without_temporary_names(&outcome.stderr).replace("COLLECT_GCC=/usr/bin/", "COLLECT_GCC=");
    let shown = |bytes: Vec<u8>| {
        let linked = bytes.starts_with(b"\x7fELF") && bytes.get(16..18) != Some(&[1, 0]);
        if linked { b"linked".to_vec() } else { bytes }
    };
    (outcome, files(&bench.dir(), shown))
}

fn files(dir: &Path, shown: impl Fn(Vec<u8>) -> Vec<u8>) -> Files {
    let entries = fs::read_dir(dir).expect("the directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, shown(fs::read(&path).expect("a file")))
        })
        .collect()
}

/// The compiler's temporary files have random names.
fn without_temporary_names(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) =
        ["/tmp/cc", "/tmp/main-", "/tmp/warning-", "/tmp/tmpnam-"].iter().find_map(|s| rest.find(s))
    {
        out.push_str(&rest[..at]);
        out.push_str("TEMPORARY");
        let tail = &rest[at + 5..];
        let end = tail.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(tail.len());
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}
