//! Every form in which a build calls a compiler: each ends in one note and one record that names
//! the real tool.

use ogrt_builds_tests::{Bench, block, has_tools};
use serde_json::Value;
use std::path::Path;

/// Each language: the name of the source, and its compilers.
const LANGUAGES: [(&str, &[&str]); 3] = [
    ("main.c", &["gcc", "cc", "clang", "mpicc"]),
    ("main.cpp", &["g++", "c++", "clang++"]),
    ("main.f90", &["gfortran"]),
];

fn driver(record: &Value) -> &str {
    record["driver"]["path"].as_str().unwrap_or_default()
}

#[test]
fn our_names_and_a_compiler_behind_them() {
    if !has_tools(&["gcc", "g++", "gfortran", "clang", "clang++"]) {
        return;
    }
    let bench = Bench::new();
    let bin = bench.bin();
    let version = bench.run("gcc -dumpversion", &[]).stdout.trim().to_owned();
    let versioned = [format!("gcc-{version}"), format!("g++-{version}"), format!("gfortran-{version}")];
    for (ours, source, behind) in [
        ("ogrt-cc", "main.c", ["", "gcc", "clang", &versioned[0], "/usr/bin/gcc"]),
        ("ogrt-c++", "main.cpp", ["", "g++", "clang++", &versioned[1], "/usr/bin/g++"]),
        ("ogrt-fc", "main.f90", ["", "gfortran", "gfortran", &versioned[2], "/usr/bin/gfortran"]),
    ] {
        for compiler in
            behind.into_iter().filter(|name| name.contains('/') || name.is_empty() || has_tools(&[name]))
        {
            bench.succeeds(&format!("{ours} {compiler} {source} -o program"), &[&bin]);
            let record = bench.one_record_of("program");
            let path = Path::new(driver(&record));
            assert!(path.is_file() && !path.starts_with(&bin), "{ours} {compiler}: {path:?}");
            // The words are those of one command, as in `$CC -c` and `$CC`.
            bench.succeeds(&format!("{ours} {compiler} -c {source} -o main.o"), &[&bin]);
            bench.succeeds(&format!("{ours} {compiler} main.o -o program"), &[&bin]);
            bench.one_record_of("program");
        }
    }
}

#[test]
fn masquerade_under_each_compilers_name() {
    if !has_tools(&["gcc", "g++", "gfortran", "clang", "clang++", "mpicc"]) {
        return;
    }
    let bench = Bench::new();
    for (source, names) in LANGUAGES {
        for name in names {
            let folder = bench.masquerade(&[name]);
            bench.succeeds(&format!("{name} {source} -o program"), &[&folder]);
            let record = bench.one_record_of("program");
            assert!(
                !driver(&record).is_empty() && !Path::new(driver(&record)).starts_with(&folder),
                "{name}"
            );
            // CMake calls by its path what it has found.
            bench.succeeds(&format!("{}/{name} {source} -o program", folder.display()), &[&folder]);
            bench.one_record_of("program");
        }
    }
}

#[test]
fn all_names_at_once_are_not_in_each_others_way() {
    if !has_tools(&["gcc", "g++", "gfortran", "clang", "clang++", "mpicc"]) {
        return;
    }
    // mpicc calls gcc by PATH, and finds us twice.
    let bench = Bench::new();
    let names: Vec<&str> = LANGUAGES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let folder = bench.masquerade(&names);
    for (source, names) in LANGUAGES {
        for name in names {
            bench.succeeds(&format!("{name} {source} -o program"), &[&folder]);
            bench.one_record_of("program");
        }
    }
}

#[test]
fn mpi_compiler_wrappers_as_in_the_manual() {
    if !has_tools(&["gcc", "mpicc.openmpi", "mpicc.mpich", "g++", "gfortran"]) {
        return;
    }
    let bench = Bench::new();
    let manual = block("Go, MPI");
    for (variable, mpi) in [("OMPI_CC=", "openmpi"), ("MPICH_CC=", "mpich")] {
        let line = manual.lines().find(|line| line.starts_with(variable)).expect("a line in the manual");
        for (compiler, source) in [("mpicc", "main.c"), ("mpicxx", "main.cpp"), ("mpifort", "main.f90")] {
            let compiler = format!("{compiler}.{mpi}");
            if !has_tools(&[&compiler]) {
                continue;
            }
            let line = line.replace("mpicc main.c", &format!("{compiler} {source} -o program"));
            bench.succeeds(&line, &[&bench.bin()]);
            let record = bench.one_record_of("program");
            let inputs = record["inputs"].to_string();
            assert!(inputs.contains("libmpi"), "{compiler}: {inputs}");
        }
    }
}

#[test]
fn go_links_externally_as_in_the_manual() {
    if !has_tools(&["go", "gcc"]) {
        return;
    }
    let bench = Bench::new();
    bench.write("go.mod", "module program\n\ngo 1.18\n");
    // cgo is what makes an external link needed.
    bench.write(
        "main.go",
        "package main\n\n// int answer(void) { return 42; }\nimport \"C\"\nimport \"fmt\"\n\n\
         func main() { fmt.Println(\"answer\", C.answer()) }\n",
    );
    for source in ["main.c", "main.cpp", "main.f90"] {
        std::fs::remove_file(bench.path(source)).expect("a source");
    }
    let manual = block("Go, MPI");
    let line = manual.lines().find(|line| line.starts_with("go build")).expect("a line in the manual");
    bench.succeeds(&format!("export GOFLAGS=-mod=mod GOTOOLCHAIN=local\n{line}"), &[&bench.bin()]);
    bench.one_record_of("program");
}

#[test]
fn the_makes_jobserver_reaches_the_compilers_parallel_parts() {
    if !has_tools(&["gcc", "make"]) {
        return;
    }
    // Link-time optimisation takes its tokens from make's jobserver, through us and ogrt-ld.
    // Without its descriptors gcc prints a warning, and succeeds() fails. A rule without `+` shows
    // that it would.
    let bench = Bench::new();
    bench.write(
        "main.c",
        "#include <stdio.h>\nint answer(void);\n\
         int main(void) { printf(\"answer %d\\n\", answer()); return 0; }\n",
    );
    bench.write(
        "answer.c",
        "__attribute__((noipa)) int half(void) { return 21; }\n\
         __attribute__((noipa)) int answer(void) { return 2 * half(); }\n",
    );
    bench.write(
        "Makefile",
        "CFLAGS = -O2 -flto=jobserver -flto-partition=max\nall: first second\nfirst second: main.o answer.o\n\
         \t+$(CC) $(CFLAGS) $^ -o $@\nalone: main.o answer.o\n\t$(CC) $(CFLAGS) $^ -o $@\n",
    );
    let bin = bench.bin();
    for compiler in ["gcc", "ogrt-cc gcc"] {
        let alone = bench.run(&format!("make -j2 CC='{compiler}' alone"), &[&bin]);
        assert!(alone.code == 0 && alone.stderr.contains("jobserver"), "{compiler}: {alone:#?}");
        bench.run("rm -f alone *.o", &[]);
    }
    let registered_alone = 1;
    bench.succeeds("make -j2 CC='ogrt-cc gcc'", &[&bin]);
    for program in ["first", "second"] {
        assert_eq!(bench.run(&format!("./{program}"), &[]).stdout, "answer 42\n");
    }
    bench.expect_records(registered_alone + 2);
}
