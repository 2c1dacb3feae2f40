//! Sketches of real files: what a linker and strip may change, and what they may not.

use ogrt_sketch::{Evidence, Minima, Sketch, compare};
use std::{fs, path::Path, process::Command};

/// A program of two sources with enough functions and messages of its own.
struct Sources(tempfile::TempDir);

impl Sources {
    fn new(functions: std::ops::Range<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let middle = functions.start.midpoint(functions.end);
        for (name, functions) in [("one.c", functions.start..middle), ("two.c", middle..functions.end)] {
            let mut source = "#include <stdio.h>\n".to_owned();
            for number in functions {
                let words = ["energy", "lattice", "solver", "basis", "domain"]
                    .map(|word| format!("{word}{}", letters(number)));
                source += &format!(
                    "int step_{0}(int x) {{ puts(\"{1} of the {2} is not\\n\\t{3} in {4}\"); return x + {number}; }}\n",
                    letters(number),
                    words[0],
                    words[1],
                    words[2],
                    words[3]
                );
            }
            if name == "one.c" {
                source += "int main(int count, char **words) { return (int)words[0][0] - count; }\n";
            }
            fs::write(folder.path().join(name), source).unwrap();
        }
        Sources(folder)
    }

    fn link(&self, name: &str, words: &[&str]) -> Option<Sketch> {
        let out = self.0.path().join(name);
        run(Command::new("gcc").current_dir(self.0.path()).args(["-o", name]).args(words));
        sketch(&out)
    }
}

/// A number in letters: digits of texts do not count.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn run(command: &mut Command) {
    let done = command.output().expect("a compiler and binutils");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn sketch(path: &Path) -> Option<Sketch> {
    Sketch::of_file(&fs::File::open(path).unwrap()).unwrap()
}

fn share(left: &Minima, right: &Minima) -> f64 {
    compare(left, right, |_| true).share()
}

#[test]
fn the_order_of_a_link_and_the_place_of_sections_change_nothing() {
    let sources = Sources::new(0..300);
    let first = sources.link("a", &["one.c", "two.c"]).expect("it has enough");
    for kind in Evidence::ALL {
        assert_eq!(first.minima(kind).hashes().len(), 256, "{kind:?}");
    }
    let script = ["-Wl,--sort-section=name", "-ffunction-sections", "-fdata-sections"];
    for (name, words) in [
        ("b", &["two.c", "one.c"][..]),
        ("c", &["one.c", "two.c", "-static"]),
        ("d", &["one.c", "two.c", "-no-pie", "-Wl,-z,noseparate-code"]),
        ("e", &["one.c", "two.c", script[0], script[1], script[2]]),
        ("f", &["one.c", "two.c", "-fuse-ld=gold"]),
    ] {
        let other = sources.link(name, words).expect("it has enough");
        for kind in Evidence::ALL {
            assert_eq!(first.minima(kind), other.minima(kind), "{name} {kind:?}");
        }
    }
    let optimized = sources.link("g", &["one.c", "two.c", "-O2"]).unwrap();
    for kind in Evidence::ALL {
        assert!(share(first.minima(kind), optimized.minima(kind)) > 0.9, "{kind:?}");
    }
}

#[test]
fn a_stripped_program_keeps_its_texts_and_a_library_its_names() {
    let sources = Sources::new(0..300);
    let whole = sources.link("a", &["one.c", "two.c"]).unwrap();
    run(Command::new("strip").arg(sources.0.path().join("a")));
    let stripped = sketch(&sources.0.path().join("a")).unwrap();
    assert_eq!(whole.minima(Evidence::Texts), stripped.minima(Evidence::Texts));
    assert!(stripped.minima(Evidence::Symbols).hashes().is_empty());
    let library = sources.link("b.so", &["one.c", "two.c", "-shared", "-fPIC"]).unwrap();
    run(Command::new("strip").arg(sources.0.path().join("b.so")));
    let stripped = sketch(&sources.0.path().join("b.so")).unwrap();
    assert_eq!(library, stripped);

    // Without the table of sections, the loader's own tables are there still.
    let mut bytes = fs::read(sources.0.path().join("b.so")).unwrap();
    bytes[0x28..0x30].fill(0);
    bytes[0x3C..0x40].fill(0);
    let bare = Sketch::of_file(&&bytes[..]).unwrap().unwrap();
    assert_eq!(bare.minima(Evidence::Symbols), library.minima(Evidence::Symbols));
    assert!(share(bare.minima(Evidence::Texts), library.minima(Evidence::Texts)) > 0.8);
}

#[test]
fn another_version_is_near_and_another_program_is_far() {
    let first = Sources::new(0..300).link("a", &["one.c", "two.c"]).unwrap();
    let next = Sources::new(60..360).link("a", &["one.c", "two.c"]).unwrap();
    let other = Sources::new(1000..1300).link("a", &["one.c", "two.c"]).unwrap();
    for kind in Evidence::ALL {
        let near = share(first.minima(kind), next.minima(kind));
        assert!((0.5..0.83).contains(&near), "240 of 360: {near}");
        let far = share(first.minima(kind), other.minima(kind));
        assert_eq!(far, 0.0, "{kind:?}");
    }
}

#[test]
fn a_program_of_a_few_lines_has_no_sketch_in_any_language_linked_in_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let hello = [
        ("hello.c", "#include <stdio.h>\nint main(void) { puts(\"Hello, world\"); return 0; }\n", "gcc"),
        ("hello.cc", "#include <iostream>\nint main() { std::cout << \"Hello, world\\n\"; }\n", "g++"),
        ("hello.f90", "print *, 'Hello, world'\nend\n", "gfortran"),
        ("hello.rs", "fn main() { println!(\"Hello, world\"); }\n", "rustc"),
    ];
    let mut looked_at = 0;
    for (source, text, compiler) in hello {
        fs::write(at(source), text).unwrap();
        let static_link = if compiler == "rustc" { "-Ctarget-feature=+crt-static" } else { "-static" };
        for words in [&[][..], &["-g"], &[static_link], &["-O", static_link]] {
            let mut compile = Command::new(compiler);
            compile.current_dir(folder.path()).args(["-o", "hello", source]).args(words);
            let Ok(done) = compile.output() else {
                assert!(std::env::var_os("CI").is_none(), "in CI {compiler} is there");
                println!("skipped: needs {compiler}");
                continue;
            };
            assert!(done.status.success(), "{compile:?}: {}", String::from_utf8_lossy(&done.stderr));
            let found = sketch(&at("hello"));
            let sizes =
                found.as_ref().map(|found| Evidence::ALL.map(|kind| found.minima(kind).hashes().len()));
            assert!(found.is_none(), "{compiler} {words:?}: {sizes:?}");
            looked_at += 1;
        }
    }
    assert!(looked_at >= 4, "one compiler at least");
}

#[test]
fn its_bytes_are_read_back_and_nothing_else_is() {
    let found = Sources::new(0..300).link("a", &["one.c", "two.c"]).unwrap();
    let bytes = found.encode();
    assert_eq!((bytes.len(), Sketch::decode(&bytes)), (ogrt_sketch::ENCODED_MAX, Some(found)));
    for cut in 0..bytes.len() {
        assert_eq!(Sketch::decode(&bytes[..cut]), None, "{cut}");
    }
    let changed = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        Sketch::decode(&changed)
    };
    assert_eq!((changed(0, 2), changed(1, 2), changed(3, 0xFF)), (None, None, None));
    assert_eq!(Sketch::decode(&[&bytes[..], &[0]].concat()), None);
    assert_eq!(Sketch::decode(&[1, 0, 0, 0, 0]), None, "of nothing");
    assert!(Sketch::of_file(&&b"#!/bin/sh\n"[..]).is_err());
}

#[test]
fn damage_is_survived() {
    let sources = Sources::new(0..40);
    sources.link("a", &["one.c", "two.c"]);
    let bytes = fs::read(sources.0.path().join("a")).unwrap();
    // Every field of the header, of the segments and of the sections once with the worst values.
    let sections = usize::from(u16::from_le_bytes([bytes[0x3C], bytes[0x3D]])) * 64;
    let places = (4..0x40 + 13 * 56).chain(bytes.len() - sections..bytes.len());
    for at in places.step_by(2) {
        for value in [0, 0x7F, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at..(at + 8).min(bytes.len())].fill(value);
            let _ = Sketch::of_file(&&damaged[..]);
        }
    }
}

#[test]
fn a_file_that_names_the_same_table_again_and_again_is_left_in_time() {
    // 5,000 tables of symbols over one part of the file, whose every name is as long as it can be.
    let (count, size) = (5000_u32, 8 << 20);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = 3;
    bytes[0x28..0x30].copy_from_slice(&64_u64.to_le_bytes());
    bytes[0x3A..0x3E].copy_from_slice(&[64, 0, (count & 0xFF) as u8, (count >> 8) as u8]);
    let begin = 64 + 64 * u64::from(count);
    for number in 0..count {
        let mut section = [0; 64];
        section[4] = 2;
        section[0x18..0x20].copy_from_slice(&begin.to_le_bytes());
        section[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
        section[0x28..0x2C].copy_from_slice(&number.to_le_bytes());
        bytes.extend(section);
    }
    bytes.resize(bytes.len() + size, 1);
    let start = std::time::Instant::now();
    let _ = Sketch::of_file(&&bytes[..]);
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
}

proptest::proptest! {
    /// Nothing that a file says makes it panic, or read without a bound.
    #[test]
    fn any_bytes_are_survived(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000), class in 1..3u8, order in 1..3u8) {
        let head = [b"\x7fELF", &[class, order, 1, 0][..]].concat();
        if bytes.len() > 18 {
            bytes[..8].copy_from_slice(&head);
            bytes[if order == 1 { 16 } else { 17 }] = 3;
        }
        let _ = Sketch::of_file(&&bytes[..]);
        let _ = Sketch::decode(&bytes);
    }
}
