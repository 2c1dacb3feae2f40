//! Sixteen ways in which wrappers of others broke builds, and the tests that keep us from them;
//! some are here, most where they belong. A name that leads to no test is a failure.

use ogrt_wrapper_tests::{Bench, has_tool, signatures_of};

/// Each fault, with the tests (`file::test`) that would show it.
const FAULTS: [(&str, &[&str]); 16] = [
    ("the linker's output is swallowed", &["transparency::every_line_does_what_it_does_without_us"]),
    (
        "the link fails because a temporary directory is not writable",
        &[
            "surroundings::no_place_of_ours_is_needed",
            "surroundings::a_full_temporary_directory_matters_as_much_as_without_us",
        ],
    ),
    (
        "a file is left in the temporary directory for every link",
        &[
            "routes::a_linker_that_is_a_script_gets_a_note_it_can_open",
            "faults_of_others::nothing_is_left_behind",
        ],
    ),
    ("quoting", &["faults_of_others::names_with_every_character"]),
    (
        "an executable stack, and protections lost",
        &["matrix::a_fully_protected_program_stays_so", "cross::branch_protection_of_aarch64_is_kept"],
    ),
    ("notes of 4 bytes' alignment in a segment of 8", &["matrix::gcc"]),
    (
        "a long line is the one argument @file",
        &["large_links::many_inputs_too_also_from_a_response_file_that_is_gone"],
    ),
    (
        "ld -r and then a final link: two notes",
        &["matrix::a_relocatable_link_by_us_is_not_marked_and_the_final_one_is_once"],
    ),
    (
        "a gcc with -B in its specs, or with a fixed linker",
        &[
            "faults_of_others::a_gcc_with_b_in_its_specs",
            "link_by_driver::a_driver_with_a_fixed_linker_is_marked_on_its_own_line",
        ],
    ),
    ("clang looks for no ld.lld on PATH", &["matrix::clang", "matrix::clangxx"]),
    (
        "an option that is an error on clang -c -Werror",
        &["transparency::every_line_does_what_it_does_without_us"],
    ),
    (
        "what is no final link; a .o behind -x c",
        &[
            "transparency::every_line_does_what_it_does_without_us",
            "link_by_driver::its_failures_and_questions_are_its_own",
            "link_by_driver::a_driver_with_a_fixed_linker_is_marked_on_its_own_line",
        ],
    ),
    (
        "the next wrapper on PATH is passed over",
        &["routes::a_wrapper_script_behind_us_is_called_and_finds_the_compiler"],
    ),
    (
        "two equal links give different bytes",
        &["reproducible::equal_links_in_two_directories_give_equal_bytes"],
    ),
    (
        "configure's probes flood the registry",
        &["registration::questions_of_configure_scripts_are_not_registered"],
    ),
    (
        "a process in the background holds the jobserver",
        &["large_links::the_companion_holds_nothing_of_the_build"],
    ),
];

#[test]
fn each_fault_has_its_test() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (number, (fault, tests)) in (1..).zip(FAULTS) {
        for test in tests {
            let (file, name) = test.split_once("::").expect("file::test");
            let source = std::fs::read_to_string(dir.join(format!("{file}.rs"))).expect(file);
            let is_test = source.contains(&format!("#[test]\nfn {name}() {{"));
            assert!(is_test, "{fault}: there is no test {test}");
            println!("{number:>2}. {fault}: {test}");
        }
    }
}

#[test]
fn nothing_is_left_behind() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.set("TMPDIR", bench.path("../tmp"));
    std::fs::create_dir(bench.path("../tmp")).expect("a directory");
    for line in [
        "ogrt-cc main.c answer.c -o program",
        "ogrt-cc main.c answer.c -o program -O2 -flto",
        "ogrt-cc main.c -o program 2> /dev/null || true",
        "ogrt-cc -c main.c answer.c && ogrt-cc -r main.o answer.o -o both.o",
    ] {
        bench.ours_succeeds(line);
        let left: Vec<_> =
            std::fs::read_dir(bench.path("../tmp")).expect("the directory").flatten().collect();
        assert!(left.is_empty(), "{line}: {left:?}");
    }
}

#[test]
fn names_with_every_character() {
    if !has_tool("gcc") {
        return;
    }
    // All characters but NUL and the slash, so that the line is long as well.
    let bench = Bench::new().with_program();
    let all: String = (1..=0x7e_u8).filter(|byte| *byte != b'/').map(char::from).collect();
    let names: Vec<String> = (0..4).map(|n| format!("{n}{all}ä$(touch oops)`touch oops`")).collect();
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    for name in &names {
        std::fs::copy(bench.path("answer.o"), bench.path(&format!("{name}.o"))).expect("a copy");
    }
    for (line, name) in
        ["ogrt-cc main.o \"$NAME.o\" -o \"$NAME\"", "ogrt-cc main.o ./\"$NAME\".o -o \"$NAME\" -Wl,-z,now"]
            .into_iter()
            .zip(&names)
    {
        let mut bench_line = format!("NAME='{}'\n", name.replace('\'', "'\\''"));
        bench_line.push_str(line);
        bench.ours_succeeds(&bench_line);
        let marks = signatures_of(&bench.path(name));
        assert_eq!(marks.len(), 1, "{line}");
        let records = bench.spooled();
        let record = records.iter().find(|record| record.signature() == marks[0]).expect("a record");
        assert_eq!(record.output.as_ref().expect("an output").path(), name.as_bytes());
        assert!(
            record.driver_command.iter().any(|word| &word[..] == name.as_bytes()),
            "{:?}",
            record.driver_command
        );
        assert!(record.inputs.iter().any(|input| input.path().ends_with(format!("{name}.o").as_bytes())));
    }
    assert!(!bench.path("oops").exists());
}

#[test]
fn a_gcc_with_b_in_its_specs() {
    if !has_tool("gcc") {
        return;
    }
    // Like Spack's gcc that was built with binutils: it looks there before it looks on PATH.
    let bench = Bench::new().with_program();
    bench.write("b.specs", "*self_spec:\n+ -B/usr/bin\n");
    let bare = bench.bare("gcc -specs=b.specs main.c answer.c -o program");
    assert_eq!(bare.code, Some(0), "{bare:?}");
    bench.ours_succeeds("ogrt-cc gcc -specs=b.specs main.c answer.c -o program");
    let marks = signatures_of(&bench.path("program"));
    assert_eq!((marks.len(), bench.spooled().len()), (1, 1));
    assert_eq!(bench.spooled()[0].signature(), marks[0]);
}
