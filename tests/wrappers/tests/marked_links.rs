//! Every final link carries the note, once, where a process can read it, and is otherwise what it was.
//!
//! The matrix prints a line for each combination. A combination that fails without us (gold knows no
//! static-pie) has to fail in the same way with us.

use ogrt_wrapper_tests::{Bench, has_tool, protections, watermarks_of};

const COMPILERS: [&str; 2] = ["gcc", "clang"];
const LINKERS: [&str; 4] = ["bfd", "gold", "lld", "mold"];

/// Name, options, and what is run afterwards.
const MODES: [(&str, &str); 12] = [
    ("PIE", "-fPIE -pie main.c answer.c"),
    ("no-PIE", "-no-pie main.c answer.c"),
    ("static", "-static main.c answer.c"),
    ("static-pie", "-static-pie -fPIE main.c answer.c"),
    ("shared", "-shared -fPIC answer.c"),
    ("LTO", "-O2 -flto main.c answer.c"),
    ("gc-sections", "-ffunction-sections -Wl,--gc-sections main.c answer.c"),
    ("stripped", "-s main.c answer.c"),
    ("hardened", "-O2 -fcf-protection=full -Wl,-z,relro,-z,now main.c answer.c"),
    ("lazy", "-Wl,-z,norelro,-z,lazy main.c answer.c"),
    ("response", "@line"),
    ("no build-id", "-Wl,--build-id=none main.c answer.c"),
];

#[test]
fn the_matrix() {
    let mut marked = 0;
    for compiler in COMPILERS.into_iter().filter(|tool| has_tool(tool)) {
        for linker in LINKERS.into_iter().filter(|linker| has_tool(&format!("ld.{linker}"))) {
            let bench = Bench::new().with_program();
            let mut marked_here = 0;
            bench.write("line", "-O1 'main.c'\n\"answer.c\" -Wl,--as-needed\n");
            for (name, options) in MODES {
                let bare = bench.bare(&format!("{compiler} -fuse-ld={linker} {options} -o bare"));
                let ours = bench.ours(&format!("ogrt-cc {compiler} -fuse-ld={linker} {options} -o ours"));
                let case = format!("{compiler} {linker} {name}");
                assert_eq!(ours.stdout, bare.stdout, "{case}");
                assert_eq!(
                    without_temporary_names(&ours.stderr),
                    without_temporary_names(&bare.stderr),
                    "{case}"
                );
                assert_eq!(ours.code, bare.code, "{case}");
                if bare.code != Some(0) {
                    println!("{case:<24} fails without us too");
                    continue;
                }
                assert_eq!(watermarks_of(&bench.path("ours")).len(), 1, "{case}: one note");
                assert_eq!(watermarks_of(&bench.path("bare")).len(), 0, "{case}");
                assert_eq!(protections(&bench.path("ours")), protections(&bench.path("bare")), "{case}");
                if name != "shared" {
                    let run = bench.bare("./ours");
                    assert_eq!((run.code, run.stdout.as_str()), (Some(3), "answer 42\n"), "{case}");
                }
                println!("{case:<24} marked, protections as without us");
                marked_here += 1;
            }
            assert_eq!(bench.spooled().len(), marked_here, "{compiler} {linker}");
            marked += marked_here;
        }
    }
    assert!(marked > 0 || COMPILERS.iter().all(|tool| !has_tool(tool)), "nothing was linked");
}

fn without_temporary_names(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.contains("/tmp/")).collect::<Vec<_>>().join(" ")
}

#[test]
fn other_languages() {
    let bench = Bench::new();
    bench.write("m.cc", "#include <iostream>\nint main() { std::cout << \"c++\\n\"; }\n");
    bench.write("m.f90", "print *, 'fortran'\nend\n");
    for (tool, call, output) in [
        ("g++", "ogrt-c++ g++ m.cc", "c++\n"),
        ("clang++", "ogrt-c++ clang++ m.cc", "c++\n"),
        ("c++", "ogrt-c++ m.cc", "c++\n"),
        ("gfortran", "ogrt-fc m.f90", " fortran\n"),
    ] {
        if has_tool(tool) {
            bench.ours_succeeds(&format!("{call} -o program"));
            assert_eq!(watermarks_of(&bench.path("program")).len(), 1, "{call}");
            assert_eq!(bench.bare("./program").stdout, output, "{call}");
        }
    }
}

#[test]
fn a_relocatable_link_is_not_marked_and_the_final_one_is_once() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c && ogrt-cc -r -o both.o main.o answer.o");
    bench.ours_succeeds("ogrt-cc both.o -o program");
    assert_eq!(watermarks_of(&bench.path("program")).len(), 1);
    assert_eq!(bench.spooled().len(), 1);
}

#[test]
fn a_library_that_is_linked_in_stays_named_in_the_record() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -shared -fPIC answer.c -o libanswer.so");
    bench.ours_succeeds("ogrt-cc main.c -L. -lanswer -Wl,-rpath,'$ORIGIN' -o program");
    let library = watermarks_of(&bench.path("libanswer.so"))[0];
    let record = bench.spooled().into_iter().last().expect("a record");
    let input = record
        .inputs
        .iter()
        .find(|input| input.path().ends_with(b"libanswer.so"))
        .expect("the library among the inputs");
    assert_eq!(input.signatures, [library.to_vec()]);
    assert_eq!(bench.bare("./program").code, Some(3));
}

#[test]
fn a_fully_protected_program_stays_so() {
    if !has_tool("gcc") {
        return;
    }
    // Nothing but objects with IBT and SHSTK: here an object without the property would take it away.
    let bench = Bench::new();
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    for linker in LINKERS.into_iter().filter(|linker| has_tool(&format!("ld.{linker}"))) {
        let line = format!("-fuse-ld={linker} -fcf-protection=full -nostdlib -static start.c");
        assert_eq!(bench.bare(&format!("gcc {line} -o bare")).code, Some(0), "{linker}");
        bench.ours_succeeds(&format!("ogrt-cc gcc {line} -o ours"));
        let (ours, bare) = (protections(&bench.path("ours")), protections(&bench.path("bare")));
        assert!(bare.property.is_some(), "{linker}: the bare program has the property");
        assert_eq!(ours, bare, "{linker}");
        assert_eq!(watermarks_of(&bench.path("ours")).len(), 1, "{linker}");
    }
}
