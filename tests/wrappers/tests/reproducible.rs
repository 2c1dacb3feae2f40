//! Where builds have to be reproducible, two equal links give equal bytes, wherever they are made.

use ogrt_wrapper_tests::{Bench, has_tool, signatures_of};

fn build(set: impl Fn(&mut Bench), options: &str) -> (Vec<u8>, [u8; 16]) {
    let mut bench = Bench::new().with_program();
    set(&mut bench);
    bench.ours_succeeds("ogrt-cc -c main.c answer.c");
    bench.ours_succeeds(&format!("ogrt-cc main.o answer.o {options} -o program"));
    let record = &bench.spooled()[0];
    let signature = signatures_of(&bench.path("program"))[0];
    assert_eq!(record.signature(), signature);
    (std::fs::read(bench.path("program")).expect("the program"), signature)
}

#[test]
fn equal_links_in_two_directories_give_equal_bytes() {
    if !has_tool("gcc") {
        return;
    }
    for variable in ["OGRT_REPRODUCIBLE", "SOURCE_DATE_EPOCH"] {
        let set = |bench: &mut Bench| {
            bench.set(variable, "1").set("OGRT_META_NAME", "zlib");
        };
        let (one, signature) = build(set, "");
        assert!(one == build(set, "").0, "{variable}");
        assert_eq!(signature[6] >> 4, 8, "a UUIDv8");
        let (other, other_signature) = build(set, "-Wl,-z,now");
        assert!(one != other && signature != other_signature, "another link line is another build");
        let renamed = build(
            |bench| {
                bench.set(variable, "1").set("OGRT_META_NAME", "zlib-ng");
            },
            "",
        );
        assert_ne!(signature, renamed.1, "other metadata are another build");
    }
}

#[test]
fn otherwise_every_link_has_its_own_signature() {
    if !has_tool("gcc") {
        return;
    }
    let (_, one) = build(|_| {}, "");
    let (_, two) = build(|_| {}, "");
    assert_ne!(one, two);
    assert_eq!(one[6] >> 4, 7, "a UUIDv7");
}

#[test]
fn what_does_not_reach_the_output_changes_nothing() {
    if !has_tool("gcc") {
        return;
    }
    // N is 1 in the one build, and 2 in the other.
    for (what, line) in [
        ("debug information that is stripped", "CC -g -s -O2 main.c answer.c -o program"),
        ("objects of link-time optimisation", "CC -flto -O2 main.c answer.c -o program"),
        (
            "the name of a directory of libraries",
            "mkdir libN && gcc -c main.c answer.c && ar rcD libN/liba.a answer.o \
             && CC main.o -LlibN -la -o program",
        ),
        (
            "a member of an archive that is not needed",
            "echo 'int unusedN;' > more.c && gcc -c main.c answer.c more.c \
             && ar rcD liba.a answer.o more.o && CC main.o liba.a -o program",
        ),
        (
            "a function that is collected",
            "echo 'static int a(void) { return N; } int (*unused)(void) = a;' > more.c \
             && CC -fdata-sections -ffunction-sections -s -Wl,--gc-sections main.c answer.c more.c -o program",
        ),
        (
            "an option without an effect",
            "CC -Wl,--defsym=xN=0 -s -Wl,-rpath-link=N main.c answer.c -o program",
        ),
        (
            "a library that is not needed",
            "gcc -shared -fPIC -x c /dev/null -o libN.so && CC -Wl,--as-needed main.c answer.c ./libN.so -o program",
        ),
    ] {
        let built = |compiler: &str, number: &str, ours: bool| {
            let mut bench = Bench::new().with_program();
            bench.set("OGRT_REPRODUCIBLE", "1");
            let line = line.replace('N', number).replace("CC", compiler);
            let outcome = if ours { bench.ours(&line) } else { bench.bare(&line) };
            assert_eq!(outcome.code, Some(0), "{what}: {outcome:?}");
            let signatures = signatures_of(&bench.path("program"));
            if ours {
                let record = bench.spooled().pop().expect("a record");
                assert_eq!(signatures, [record.signature().to_vec().as_slice()], "{what}");
                let digest = record.output.as_ref().expect("an output").sha256().to_vec();
                let sum = bench.bare("sha256sum program").stdout;
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(sum.starts_with(&digest), "{what}: the digest is of the file as it is now");
            }
            std::fs::read(bench.path("program")).expect("a program")
        };
        if built("gcc", "1", false) != built("gcc", "2", false) {
            println!("{what}: reaches the output of gcc alone");
            continue;
        }
        assert!(built("ogrt-cc gcc", "1", true) == built("ogrt-cc gcc", "2", true), "{what}");
    }
}

#[test]
fn an_output_that_its_owner_must_not_write() {
    if !has_tool("gcc") {
        return;
    }
    let mut bench = Bench::new().with_program();
    bench.set("OGRT_REPRODUCIBLE", "1");
    bench.ours_succeeds("umask 222; ogrt-cc main.c answer.c -o program");
    let signature = signatures_of(&bench.path("program"))[0];
    assert_eq!(bench.spooled()[0].signature(), signature);
    assert_eq!(bench.bare("stat -c %a program").stdout, "555\n");
}
