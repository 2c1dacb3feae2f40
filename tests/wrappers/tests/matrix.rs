//! Every compiler with every linker in every way to link: the note is there once, the running
//! program finds it in its memory, its output is right, and the record is whole.
//!
//! A line is printed for each compiler and linker. A combination that fails without us (gold knows
//! no static-pie) has to fail in the same way with us; it is printed as `-`. The objects are
//! compiled once, so that nearly all of the time goes to links.

use ogrt_proto::{BuildRecord, FileKind};
use ogrt_wrapper_tests::{
    Bench, CLANG, CLANGXX, GCC, GFORTRAN, GXX, LOADER, Language, ProgramTexts, READER, has_tool, linkers,
    protections, signatures_of,
};

/// A way to link: its name, then the options and what is linked. `PROGRAM` stands for the objects
/// of the program.
const WAYS: [(&str, [&str; 2]); 13] = [
    ("PIE", ["-pie", "PROGRAM"]),
    ("no-PIE", ["-no-pie", "PROGRAM"]),
    ("static", ["-static", "PROGRAM"]),
    ("static-pie", ["-static-pie", "PROGRAM"]),
    ("shared", ["-shared", "answer.o"]),
    ("-r first", ["-no-pie", "together.o"]),
    ("LTO", ["-O2 -flto -no-pie", "lto_main.o lto_answer.o reader.o"]),
    ("gc-sections", ["-Wl,--gc-sections", "PROGRAM"]),
    ("strip", ["-s", "PROGRAM"]),
    ("response", ["", "@response"]),
    ("hardened", ["-pie -Wl,-z,relro,-z,now", "PROGRAM"]),
    ("lazy", ["-no-pie -Wl,-z,norelro,-z,lazy", "PROGRAM"]),
    ("no build-id", ["-Wl,--build-id=none", "PROGRAM"]),
];

/// A program that prints an answer and the signatures in its memory, and leaves with 3.
const PROGRAM: ProgramTexts = ProgramTexts {
    c: "#include <stdio.h>\nint answer(void); void print_signatures(void);\n\
    int main(void) { printf(\"answer %d\\n\", answer()); fflush(stdout); print_signatures(); return 3; }\n",
    cxx: "#include <iostream>\nextern \"C\" { int answer(void); void print_signatures(void); }\n\
    int main() { std::cout << \"answer \" << answer() << std::endl; print_signatures(); return 3; }\n",
    fortran: "program p\nuse iso_c_binding\ninterface\n\
    integer(c_int) function answer() bind(C)\nimport\nend function\n\
    subroutine print_signatures() bind(C)\nend subroutine\nend interface\n\
    write (*, '(a,i0)') 'answer ', answer()\nflush (6)\ncall print_signatures()\ncall exit(3)\nend program\n",
};

fn try_all(language: Language) {
    let Language { compiler, wrapper, source } = language;
    if !has_tool(compiler) || !has_tool("gcc") {
        return;
    }
    let bench = Bench::new();
    bench.write(source, PROGRAM.of(language)).write("answer.c", "int answer(void) { return 42; }\n");
    bench.write("reader.c", READER).write("loader.c", LOADER);
    // No cf-protection here: the last test asks whether a link keeps it.
    let prepare = format!(
        "{compiler} -g -fPIC -ffunction-sections -c {source} -o main.o && \
         gcc -g -fPIC -ffunction-sections -c answer.c reader.c && \
         gcc loader.c reader.o -o loader -ldl && \
         ld -r main.o answer.o reader.o -o together.o && \
         {compiler} -O2 -flto -c {source} -o lto_main.o && {c} -O2 -flto -c answer.c -o lto_answer.o",
        c = if compiler.starts_with("clang") { "clang" } else { "gcc" }
    );
    let prepared = bench.bare(&prepare);
    assert_eq!(prepared.code, Some(0), "{prepared:#?}");
    bench.write("response", "'main.o' \"answer.o\"\nreader.o -Wl,--as-needed\n");

    language.link_in_each_way(&WAYS, |case, linker, [options, inputs]| {
        let inputs = inputs.replace("PROGRAM", "main.o answer.o reader.o");
        let line = format!("-fuse-ld={linker} {options} {inputs}");
        let bare = bench.bare(&format!("{compiler} {line} -o bare"));
        let before = bench.spooled().len();
        let ours = bench.ours(&format!("{wrapper} {compiler} {line} -o ours"));
        assert_eq!(ours.code, bare.code, "{case}: {ours:#?}");
        assert_eq!(ours.stdout, bare.stdout, "{case}");
        assert_eq!(plain(&ours.stderr), plain(&bare.stderr), "{case}");
        if bare.code != Some(0) {
            return "-";
        }
        let marks = signatures_of(&bench.path("ours"));
        assert_eq!(marks.len(), 1, "{case}: one note");
        assert_eq!(signatures_of(&bench.path("bare")).len(), 0, "{case}");
        assert_eq!(protections(&bench.path("ours")), protections(&bench.path("bare")), "{case}");
        let run = bench.bare(if options == "-shared" { "./loader ./ours" } else { "./ours" });
        let expected = format!("answer 42\n{}\n", hex(&marks[0]));
        assert_eq!((run.code, run.stdout), (Some(3), expected), "{case}: the program");
        let records = bench.spooled();
        assert_eq!(records.len(), before + 1, "{case}: one record");
        let record = records.into_iter().find(|record| record.signature() == marks[0]);
        is_whole(&record.unwrap_or_else(|| panic!("{case}: no record of this signature")), case);
        "ok"
    });
}

/// The record holds all that a record of these links can hold.
fn is_whole(record: &BuildRecord, case: &str) {
    let output = record.output.as_ref().unwrap_or_else(|| panic!("{case}: no output"));
    assert!(
        output.sha256().len() == 32 && output.size() > 0 && output.loaded.is_some(),
        "{case}: {output:?}"
    );
    assert!(record.inputs.len() > 1, "{case}: {:?}", record.inputs);
    for input in &record.inputs {
        assert!(input.sha256().len() == 32 && input.size() > 0, "{case}: {input:?}");
    }
    assert!(record.inputs.iter().any(|input| input.kind() == FileKind::Object), "{case}");
    assert!(!record.compilers.is_empty(), "{case}: compilers");
    let version =
        |tool: &Option<ogrt_proto::Tool>| tool.as_ref().is_some_and(|tool| !tool.version().is_empty());
    assert!(version(&record.driver) && version(&record.linker), "{case}: versions of the tools");
    assert!(record.driver_command.len() > 2 && record.linker_command.len() > 4, "{case}: commands");
    assert!(record.time_ns() > 0 && record.duration_ns() > 0 && !record.hostname().is_empty(), "{case}");
}

/// Temporary files have other names every time.
fn plain(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.contains("/tmp/")).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn gcc() {
    try_all(GCC);
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
fn clang() {
    try_all(CLANG);
}

#[test]
fn clangxx() {
    try_all(CLANGXX);
}

#[test]
fn a_relocatable_link_by_us_is_not_marked_and_the_final_one_is_once() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    for linker in linkers() {
        bench.ours_succeeds(&format!(
            "ogrt-cc -c main.c answer.c && ld.{linker} -r -o both.o main.o answer.o"
        ));
        bench.ours_succeeds("ogrt-cc -r -o all.o both.o");
        let before = bench.spooled().len();
        bench.ours_succeeds(&format!("ogrt-cc gcc -fuse-ld={linker} all.o -o program"));
        assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{linker}");
        assert_eq!(bench.spooled().len(), before + 1, "{linker}");
    }
}

#[test]
fn a_library_that_is_linked_in_stays_named_in_the_record() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.ours_succeeds("ogrt-cc -shared -fPIC answer.c -o libanswer.so");
    bench.ours_succeeds("ogrt-cc main.c -L. -lanswer -Wl,-rpath,'$ORIGIN' -o program");
    let library = signatures_of(&bench.path("libanswer.so"))[0];
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
    // All objects have IBT and SHSTK, so an object without the property would take it away.
    let bench = Bench::new();
    bench.write("start.c", "void _start(void) { for (;;) ; }\n");
    for linker in linkers() {
        let line = format!("-fuse-ld={linker} -fcf-protection=full -nostdlib -static start.c");
        assert_eq!(bench.bare(&format!("gcc {line} -o bare")).code, Some(0), "{linker}");
        bench.ours_succeeds(&format!("ogrt-cc gcc {line} -o ours"));
        let (ours, bare) = (protections(&bench.path("ours")), protections(&bench.path("bare")));
        assert!(bare.property.is_some(), "{linker}: the bare program has the property");
        assert_eq!(ours, bare, "{linker}");
        assert_eq!(signatures_of(&bench.path("ours")).len(), 1, "{linker}");
    }
}
