//! What others derive from the compiler's name: CMake takes the `ogrt-` of `ogrt-cc` for a
//! toolchain's prefix, and the tools that it finds by it are those of the real compiler.

use ogrt_wrapper_tests::{Bench, executable, has_tool};

const PROJECT: &str = "cmake_minimum_required(VERSION 3.18)\nproject(p C)\n\
    include(CheckIPOSupported)\ncheck_ipo_supported(RESULT ipo OUTPUT why LANGUAGES C)\n\
    message(STATUS \"IPO ${ipo} ${why}\")\n\
    if(ipo)\n  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)\nendif()\n\
    add_library(answer STATIC answer.c)\nadd_executable(program main.c)\n\
    target_link_libraries(program answer)\n\
    file(WRITE ${CMAKE_BINARY_DIR}/tools \"${CMAKE_AR} ${CMAKE_RANLIB} ${CMAKE_C_COMPILER_AR}\")\n";

#[test]
fn cmake_finds_the_tools_and_link_time_optimisation_works() {
    if !has_tool("cmake") || !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.write("CMakeLists.txt", PROJECT);
    let mut forms = vec![("gcc", "gcc", "CC=ogrt-cc"), ("gcc", "named", "CC='ogrt-cc gcc'")];
    if has_tool("clang") && has_tool("llvm-ar") {
        forms.push(("clang", "clang", "OGRT_REAL_CC=clang CC=ogrt-cc"));
    }
    for (compiler, dir, form) in forms {
        let configure = |set: &str, dir: &str| format!("{set} cmake -S . -B {dir}");
        let bare = bench.bare(&configure(&format!("CC={compiler}"), &format!("bare-{dir}")));
        let ours = bench.ours(&configure(form, dir));
        assert_eq!((bare.code, ours.code), (Some(0), Some(0)), "{form}: {ours:?}");
        let ipo = |text: &str| text.lines().find(|line| line.contains("IPO ")).map(str::to_owned);
        assert_eq!(ipo(&ours.stdout), ipo(&bare.stdout), "{form}");
        assert!(bare.stdout.contains("IPO YES"), "{bare:?}");
        let built = bench.ours(&format!("{form} cmake --build {dir} && ./{dir}/program"));
        assert!(built.stdout.contains("answer 42"), "{form}: {built:?}");
    }
}

#[test]
fn each_tool_is_the_real_compilers() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    for (set, tool, real) in [
        ("", "ar", "ar"),
        ("", "gcc-ar", "gcc-ar"),
        ("", "strip", "strip"),
        ("OGRT_REAL_CC=aarch64-linux-gnu-gcc", "ar", "aarch64-linux-gnu-ar"),
        ("OGRT_REAL_CC=aarch64-linux-gnu-gcc", "gcc-ranlib", "aarch64-linux-gnu-gcc-ranlib"),
        ("OGRT_REAL_CC='aarch64-linux-gnu-gcc -O2'", "strip", "aarch64-linux-gnu-strip"),
        ("OGRT_REAL_CC='env X=1 aarch64-linux-gnu-gcc'", "nm", "aarch64-linux-gnu-nm"),
        ("OGRT_REAL_CXX=aarch64-linux-gnu-g++", "objcopy", "aarch64-linux-gnu-objcopy"),
    ] {
        if real.starts_with("aarch64") && !has_tool(real) {
            continue;
        }
        let (ours, bare) = (format!("{set} ogrt-{tool} --version"), format!("{real} --version"));
        assert_eq!(bench.ours(&ours), bench.bare(&bare), "{ours}");
    }
    // A version behind the compiler's name stands behind its tools' names, and they lie beside it.
    for name in ["gcc-99", "gcc-ar-99"] {
        executable(&bench, &format!("bin/{name}"), &format!("#!/bin/sh\necho this is {name}\n"));
    }
    let outcome = bench.ours("OGRT_REAL_CC=$PWD/bin/gcc-99 ogrt-gcc-ar rcs x");
    assert_eq!(outcome.stdout, "this is gcc-ar-99\n", "{outcome:?}");
}

#[test]
fn the_machine_of_the_objects_tells_where_the_compiler_does_not() {
    if !has_tool("aarch64-linux-gnu-gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    // As in a build with CC="ogrt-cc aarch64-linux-gnu-gcc".
    bench.ours_succeeds("ogrt-cc aarch64-linux-gnu-gcc -c main.c answer.c");
    bench.ours_succeeds("ogrt-ar rcs libanswer.a answer.o && ogrt-ranlib libanswer.a");
    bench.ours_succeeds("ogrt-cc aarch64-linux-gnu-gcc main.o -L. -lanswer -o program");
    bench.ours_succeeds("ogrt-strip program && ogrt-objcopy program copy");
    bench.ours_succeeds("ogrt-cc aarch64-linux-gnu-gcc -flto -c answer.c && rm libanswer.a");
    bench.ours_succeeds("ogrt-gcc-ar rcs libanswer.a answer.o");
    bench.ours_succeeds("ogrt-cc aarch64-linux-gnu-gcc -flto main.o -L. -lanswer -o program");
}

#[test]
fn bear_sees_the_compilations() {
    if !has_tool("gcc") || !has_tool("make") || !has_tool("bear") {
        return;
    }
    let bench = Bench::new().with_program();
    bench.write(
        "Makefile",
        "program: main.o answer.o\n\t$(CC) main.o answer.o -o program\n%.o: %.c\n\t$(CC) -c $<\n",
    );
    let entries = |run: &dyn Fn(&str) -> ogrt_wrapper_tests::Outcome, compiler: &str| {
        let outcome = run(&format!("rm -f *.o program compile_commands.json; bear -- make CC='{compiler}'"));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let text = std::fs::read_to_string(bench.path("compile_commands.json")).expect("a database");
        text.matches("\"directory\"").count()
    };
    assert_eq!(entries(&|line| bench.bare(line), "gcc"), 2);
    for compiler in ["ogrt-cc", "ogrt-cc gcc"] {
        assert_eq!(entries(&|line| bench.ours(line), compiler), 2, "{compiler}");
    }
}
