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
